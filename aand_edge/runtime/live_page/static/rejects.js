// The last rejected parts, the newest first, and one of them large.

import { clock, score } from "./text.js";

const KEPT = 16;

export class Rejects {
  #asked = null;

  constructor(panel, template, dialog, ask) {
    this.list = panel.querySelector("ol");
    this.nothing = panel.querySelector(".nothing");
    this.template = template;
    this.dialog = dialog;
    this.ask = ask;
    dialog.querySelector("button").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => (this.#asked = null));
  }

  clear() {
    while (this.list.lastChild) this.#drop(this.list.lastChild);
    this.nothing.hidden = false;
    this.dialog.close();
  }

  add(head, blob) {
    const item = this.template.content.cloneNode(true).firstElementChild;
    const image = item.querySelector("img");
    image.src = URL.createObjectURL(blob);
    item.dataset.id = head.id;
    item.querySelector("b").textContent = times(head);
    item.querySelector("span").textContent = `${head.camera} · ${clock(head.time)}`;
    item.querySelector("button").addEventListener("click", () => this.#open(head, image.src));
    this.list.prepend(item);
    this.nothing.hidden = true;
    if (this.list.children.length > KEPT) this.#drop(this.list.lastChild);
  }

  large(head, blob) {
    if (head.id !== this.#asked) return;
    if (head.kind === "gone") {
      this.dialog.querySelector("p").textContent += " · only the last 16 are kept large";
      return;
    }
    const image = this.dialog.querySelector("img");
    const address = URL.createObjectURL(blob);
    image.onload = () => URL.revokeObjectURL(address);
    image.src = address;
    this.dialog.dataset.large = head.id;
  }

  #open(head, small) {
    this.#asked = head.id;
    delete this.dialog.dataset.large;
    const image = this.dialog.querySelector("img");
    image.onload = null;
    image.src = small;
    const regions = head.regions === 1 ? "one region" : `${head.regions} regions`;
    const scored = `score ${score(head.score)}, threshold ${score(head.threshold)}, ${regions}`;
    const late = head.late ? " · the verdict came late" : "";
    this.dialog.querySelector("p").textContent = `${head.name} · ${clock(head.time)} · ${scored}${late}`;
    this.dialog.showModal();
    this.ask(head.id);
  }

  #drop(item) {
    URL.revokeObjectURL(item.querySelector("img").src);
    item.remove();
  }
}

function times(head) {
  if (!(head.threshold > 0)) return score(head.score);
  return `${(head.score / head.threshold).toFixed(1)} ×`;
}
