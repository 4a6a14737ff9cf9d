// Puts the page together: what comes over the link goes to the panels, and the worst of it into the headline.

import { Cameras, troubleOf } from "./cameras.js";
import { Link } from "./link.js";
import { Rejects } from "./rejects.js";
import { Scores } from "./scores.js";
import { clock, milliseconds, number, say, seconds } from "./text.js";

const NOTICES = 30;
const IN_A_ROW = 10; // rejected parts that are hardly chance
const find = (id) => document.getElementById(id);

const cameras = new Cameras(find("cameras"), document.querySelector("template#camera"));
const scores = new Scores(find("scores"));
const rejects = new Rejects(find("rejects"), document.querySelector("template#reject"), find("large"), (id) =>
  link.large(id),
);
let last = null;
let health = ["lost", 0];

const link = new Link({
  state(state) {
    if (last && last.run !== state.run) forget();
    last = state;
    cameras.show(state.cameras);
    scores.add(state.parts, state.threshold);
    count(state);
    tell(state.notices);
    find("pinned").hidden = !state.pinned;
    say(find("engine"), state.engine);
  },
  picture(head, blob) {
    if (head.kind === "camera") return cameras.picture(head, blob);
    return head.kind === "reject" ? rejects.add(head, blob) : rejects.large(head, blob);
  },
  health(...now) {
    health = now;
    headline();
  },
});

function forget() {
  cameras.clear();
  scores.clear();
  rejects.clear();
  find("notices").querySelector("ol").replaceChildren();
}

function count(state) {
  const { counts, latency_ms: latency } = state;
  for (const name of ["judged", "rejected", "dropped", "failed", "late"]) {
    say(find(name), number(counts[name]));
    find(name).parentElement.dataset.some = counts[name] > 0;
  }
  say(find("share"), counts.judged ? `${((100 * counts.rejected) / counts.judged).toFixed(1)} %` : "");
  say(find("fps"), counts.fps.toFixed(1));
  say(find("latency"), latency.p50 ? `${milliseconds(latency.p50)} · ${milliseconds(latency.p95)} ms` : "–");
}

function tell(notices) {
  const list = find("notices").querySelector("ol");
  for (const notice of notices) {
    const item = document.querySelector("template#notice").content.cloneNode(true).firstElementChild;
    item.dataset.level = notice.level;
    item.querySelector("time").textContent = clock(notice.time);
    item.querySelector("span").textContent = notice.text;
    list.prepend(item);
  }
  while (list.children.length > NOTICES) list.lastChild.remove();
  find("notices").querySelector(".nothing").hidden = list.children.length > 0;
}

function headline() {
  const [level, text] = worst();
  find("status").dataset.level = level;
  find("main").classList.toggle("old", health[0] !== "open");
  say(find("headline"), text);
  document.title = level === "good" ? "aand-edge" : `${text} · aand-edge`;
}

function worst() {
  const [link, quiet] = health;
  if (link === "crowded") return ["bad", "Too many browsers watch: close one"];
  if (last?.ended) return ["idle", "The run has ended"];
  if (link === "lost") return last || quiet > 2 ? ["bad", `No connection for ${seconds(quiet)}`] : ["idle", "Connecting …"];
  if (!last) return ["idle", "Connecting …"];
  return ofCameras(last.cameras);
}

function ofCameras(all) {
  const broken = all.filter(troubleOf);
  if (broken.length === 1) return ["bad", `Camera ${broken[0].name} is ${troubleOf(broken[0])}`];
  if (broken.length) return ["bad", `${broken.length} of ${all.length} cameras give no pictures`];
  const opening = all.filter((camera) => camera.state === "connecting");
  if (opening.length) return ["warn", `Connecting to ${opening.map((camera) => camera.name).join(", ")}`];
  if (all.every((camera) => camera.state === "ended")) return ["idle", "All sources have ended"];
  const drifted = all.find((camera) => camera.drifted.length);
  if (drifted) return ["warn", `The ${drifted.drifted[0]} at ${drifted.name} has drifted`];
  if (!last.counts.judged) return ["idle", "Waiting for the first part"];
  if (scores.rejectedInARow >= IN_A_ROW) return ["warn", `The last ${scores.rejectedInARow} parts were all rejected`];
  return ["good", all.length === 1 ? "Inspecting" : `Inspecting · ${all.length} cameras`];
}

const THEME = "aand-edge-theme";
const prefersLight = matchMedia("(prefers-color-scheme: light)");

function theme(chosen) {
  document.documentElement.dataset.theme = chosen ?? (prefersLight.matches ? "light" : "dark");
  scores.redraw();
}

find("theme").addEventListener("click", () => {
  const chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem(THEME, chosen);
  theme(chosen);
});
prefersLight.addEventListener("change", () => theme(localStorage.getItem(THEME)));
theme(localStorage.getItem(THEME));
