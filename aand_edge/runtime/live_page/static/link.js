// The one socket: everything comes through it, and each message is acknowledged when it was shown. When it breaks, or
// falls silent, that is told, and it is opened again, for ever.

const SILENT_MS = 2000; // the server speaks four times a second
const DEAD_MS = 6000;
const CONNECT_MS = 5000;
const PAUSE_MS = [500, 5000];
const NO_TOKEN = 4401;
const TOO_MANY = 4429;

export class Link {
  #socket = null;
  #pause = PAUSE_MS[0];
  #heard = performance.now();
  #crowded = false;

  /** handlers: state(object), picture(head, blob), and health("open" | "lost" | "crowded", seconds). */
  constructor(handlers) {
    this.handlers = handlers;
    document.addEventListener("visibilitychange", () => this.#send(document.hidden ? "hidden" : "visible"));
    setInterval(() => this.#look(), 250);
    this.#open();
  }

  large(id) {
    this.#send(`large ${id}`);
  }

  #open() {
    const address = new URL("live", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.search = address.hash = "";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const late = setTimeout(() => this.#lost(socket), CONNECT_MS);
    socket.onopen = () => {
      clearTimeout(late);
      this.#crowded = false;
      if (document.hidden) this.#send("hidden");
    };
    socket.onmessage = (event) => this.#message(socket, event.data);
    socket.onclose = (event) => {
      clearTimeout(late);
      if (event.code === NO_TOKEN) location.reload();
      this.#crowded = event.code === TOO_MANY;
      this.#lost(socket);
    };
  }

  async #message(socket, data) {
    this.#heard = performance.now();
    this.#pause = PAUSE_MS[0];
    try {
      if (typeof data === "string") {
        this.handlers.state(JSON.parse(data));
      } else {
        const length = new DataView(data).getUint32(0);
        const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
        await this.handlers.picture(head, new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
      }
    } finally {
      if (socket.readyState === WebSocket.OPEN) socket.send("ack");
    }
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.onmessage = socket.onclose = socket.onopen = null;
    socket.close();
    setTimeout(() => this.#open(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, PAUSE_MS[1]);
    this.#look();
  }

  #look() {
    const quiet = performance.now() - this.#heard;
    const open = this.#socket?.readyState === WebSocket.OPEN;
    if (open && quiet > DEAD_MS) this.#lost(this.#socket);
    else if (open && quiet < SILENT_MS) this.handlers.health("open", 0);
    else this.handlers.health(this.#crowded ? "crowded" : "lost", quiet / 1000);
  }

  #send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }
}
