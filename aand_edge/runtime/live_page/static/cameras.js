// A card for each camera: its picture with heat, the verdict in a word, and what is wrong with it.

import { say, score, seconds } from "./text.js";

const LONG_S = 5; // without a part; then its age says more than a rate
const TROUBLE = { lost: "lost", stalled: "stalled", connecting: "connecting", ended: "ended" };

export class Cameras {
  #cards = new Map();

  constructor(place, template) {
    this.place = place;
    this.template = template;
  }

  /** Forget the cameras of another run. */
  clear() {
    this.#cards.clear();
    this.place.replaceChildren();
  }

  show(cameras) {
    this.place.style.setProperty("--columns", Math.ceil(Math.sqrt(cameras.length)));
    for (const camera of cameras) {
      const card = this.#card(camera.name);
      const pause = camera.seen_s > LONG_S ? `last part ${seconds(camera.seen_s)} ago` : `${camera.fps.toFixed(1)}/s`;
      say(card.querySelector(".name"), `${camera.name} · ${pause}`);
      const badges = camera.drifted.map((quantity) => `${quantity} drifted`);
      if (camera.failed) badges.push(`${camera.failed} failed`);
      if (camera.missed) badges.push(`${camera.missed} missed at the gate`);
      say(card.querySelector(".badges"), badges.join(" · "));
      card.querySelector(".badges").title = camera.failure;
      this.#trouble(card, camera);
    }
  }

  async picture(head, blob) {
    const bitmap = await createImageBitmap(blob);
    const card = this.#card(head.camera);
    const canvas = card.querySelector("canvas");
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    canvas.dataset.number = head.number;
    card.dataset.verdict = head.rejected ? "reject" : "pass";
    say(card.querySelector(".word"), head.rejected ? "✕ REJECT" : "✓ PASS");
    this.#meter(card, head);
  }

  #card(name) {
    let card = this.#cards.get(name);
    if (!card) {
      card = this.template.content.cloneNode(true).firstElementChild;
      card.dataset.camera = name;
      card.querySelector("canvas").setAttribute("aria-label", `What ${name} shows, with heat`);
      this.place.append(card);
      this.#cards.set(name, card);
    }
    return card;
  }

  #meter(card, head) {
    const meter = card.querySelector(".meter");
    meter.hidden = false;
    meter.classList.toggle("bare", !(head.threshold > 0));
    const share = head.threshold > 0 ? head.score / (2 * head.threshold) : 0;
    meter.querySelector(".fill").style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
    const late = head.late ? " · late" : "";
    say(meter.querySelector(".score"), `score ${score(head.score)}${late}`);
    say(meter.querySelector(".limit"), `threshold ${score(head.threshold)}`);
  }

  #trouble(card, camera) {
    const silent = camera.state === "live" && camera.silent_s !== null;
    const word = silent ? "silent" : TROUBLE[camera.state];
    const trouble = card.querySelector(".trouble");
    trouble.hidden = !word;
    card.dataset.state = word ?? "live";
    if (!word) return;
    const since = silent ? camera.silent_s : camera.since_s;
    say(trouble.querySelector("strong"), `${word.toUpperCase()} ${word === "ended" ? "" : seconds(since)}`.trim());
    say(trouble.querySelector("span"), silent ? "it is open and gives no picture" : camera.reason);
  }
}

/** What a camera's state is called, where it is in trouble; null where it is not. */
export function troubleOf(camera) {
  if (camera.state === "lost" || camera.state === "stalled") return camera.state;
  return camera.state === "live" && camera.silent_s !== null ? "silent" : null;
}
