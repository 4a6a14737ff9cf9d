// The last parts' scores against the threshold, and how many verdicts another threshold would turn. It only looks:
// what it shows is to be written into aand-edge.toml by hand.

import { say, score } from "./text.js";

const REMEMBERED = 1000;
const REJECTED = 1;
const LATE = 2; // such a part goes the safe way, whatever its score
const STEPS = 500;
const LEAST = 100; // parts across the chart

export class Scores {
  #parts = []; // [score, threshold, flags, camera]
  #threshold = null;
  #chosen = null;
  #range = null;
  #held = false;

  constructor(panel) {
    this.canvas = panel.querySelector("canvas");
    this.slider = panel.querySelector("#preview");
    this.reset = panel.querySelector("#reset");
    this.flips = panel.querySelector("#flips");
    this.advice = panel.querySelector("#advice");
    this.line = panel.querySelector("#line");
    this.count = panel.querySelector("#remembered");
    this.slider.addEventListener("input", () => this.#choose(Number(this.slider.value)));
    this.slider.addEventListener("pointerdown", () => (this.#held = true));
    addEventListener("pointerup", () => (this.#held = false));
    addEventListener("pointercancel", () => (this.#held = false));
    this.reset.addEventListener("click", () => this.#choose(null));
    this.canvas.addEventListener("pointerdown", (event) => this.#point(event));
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
  }

  clear() {
    this.#parts = [];
    this.#range = this.#chosen = this.#threshold = null;
  }

  add(parts, threshold) {
    if (parts.length) this.#parts = this.#parts.concat(parts).slice(-REMEMBERED);
    this.#threshold = threshold;
    say(this.count, String(this.#parts.length));
    if (threshold === null) return;
    if (!this.#held) this.#fit();
    this.#say();
    this.#draw();
  }

  /** How many parts in a row were rejected, up to now. */
  get rejectedInARow() {
    const passed = this.#parts.findLastIndex(([, , flags]) => !(flags & REJECTED));
    return this.#parts.length - 1 - passed;
  }

  redraw() {
    this.#draw();
  }

  #choose(value) {
    this.#chosen = value;
    if (value === null) this.slider.value = String(this.#threshold);
    this.#say();
    this.#draw();
  }

  #point(event) {
    if (!this.#range) return;
    const { top, bottom } = frame(this.canvas);
    const [low, high] = this.#range;
    const share = (bottom - event.offsetY) / (bottom - top);
    this.slider.value = String(low + Math.min(1, Math.max(0, share)) * (high - low));
    this.#choose(Number(this.slider.value)); // as the slider rounds it
  }

  /** A range that shows the good parts and the threshold; it stays as long as it does, so that the slider is calm. */
  #fit() {
    const sorted = Float64Array.from(this.#parts, (part) => part[0]).sort();
    const most = sorted[sorted.length - 1];
    const middle = sorted[sorted.length >> 1];
    const lines = [this.#threshold, this.#chosen ?? this.#threshold];
    const ceiling = Math.min(1.1 * most, 4 * Math.max(...lines, middle));
    const least = Math.min(sorted[0], ...lines);
    const high = Math.max(1.3 * Math.max(...lines), ceiling, least + 1e-6);
    const beneath = least - 0.15 * (high - least);
    const low = least >= 0 ? Math.max(0, beneath) : beneath;
    const [oldLow, oldHigh] = this.#range ?? [Infinity, -Infinity];
    if (low >= oldLow && high <= oldHigh && high - low > 0.4 * (oldHigh - oldLow)) return;
    const step = 10 ** Math.floor(Math.log10((high - low) / STEPS) + 0.7);
    const places = Math.max(0, -Math.floor(Math.log10(step)));
    this.#range = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
    this.slider.step = step.toFixed(places);
    this.slider.min = this.#range[0].toFixed(places);
    this.slider.max = this.#range[1].toFixed(places);
    this.slider.disabled = this.reset.disabled = false;
    this.slider.value = String(this.#chosen ?? this.#threshold);
  }

  #say() {
    const chosen = this.#chosen;
    if (chosen === null) this.slider.value = String(this.#threshold);
    this.advice.hidden = chosen === null;
    if (chosen === null) {
      say(this.flips, `In use: ${score(this.#threshold)}. Move the slider to see how many verdicts would turn.`);
      return;
    }
    const { more, fewer } = turned(this.#parts, chosen);
    this.flips.dataset.more = more;
    this.flips.dataset.fewer = fewer;
    const all = `${more + fewer} of ${this.#parts.length} parts would turn`;
    say(this.flips, `At ${chosen}, ${all}: ${more} more rejected, ${fewer} fewer.`);
    say(this.line, `threshold = ${decimal(chosen)}`);
  }

  #draw() {
    const { canvas } = this;
    const { width, height, left, right, top, bottom } = frame(canvas);
    if (!this.#range || !width) return;
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const [low, high] = this.#range;
    const y = (value) => bottom - (Math.min(high, Math.max(low, value)) - low) / (high - low) * (bottom - top);
    const span = Math.max(LEAST, this.#parts.length) - 1;
    const x = (index) => right - ((this.#parts.length - 1 - index) / span) * (right - left);
    const colour = colours();
    grid(pen, colour, [low, high], y, left, right);
    this.#dots(pen, colour, x, y);
    steps(pen, colour.text, this.#parts, x, y);
    if (this.#chosen !== null) dashed(pen, colour.warn, y(this.#chosen), left, right);
  }

  #dots(pen, colour, x, y) {
    const chosen = this.#chosen === null ? null : Math.fround(this.#chosen);
    this.#parts.forEach(([value, , flags], index) => {
      const rejected = (flags & REJECTED) !== 0;
      const turns = chosen !== null && !(flags & LATE) && rejected !== rejects(value, chosen);
      const [across, down] = [x(index), y(value)];
      pen.fillStyle = rejected ? colour.bad : colour.dot;
      if (rejected) diamond(pen, across, down, 3.5);
      else pen.fillRect(across - 1.25, down - 1.25, 2.5, 2.5);
      if (turns) ring(pen, colour.warn, across, down);
    });
  }
}

/** How many parts another threshold would reject that were not, and the other way round. */
export function turned(parts, threshold) {
  const line = Math.fround(threshold); // scores are compared in single precision
  let more = 0;
  let fewer = 0;
  for (const [value, , flags] of parts) {
    if (flags & LATE) continue;
    const would = rejects(value, line);
    if (would && !(flags & REJECTED)) more += 1;
    if (!would && flags & REJECTED) fewer += 1;
  }
  return { more, fewer };
}

function rejects(value, threshold) {
  return !(value <= threshold);
}

/** As TOML reads a number with a fraction. */
function decimal(value) {
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function frame(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  return { width, height, left: 46, right: width - 6, top: 8, bottom: height - 8 };
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = { text: "--text", dim: "--dim", line: "--line", bad: "--bad", warn: "--warn", dot: "--dot" };
  return Object.fromEntries(Object.entries(names).map(([key, name]) => [key, style.getPropertyValue(name).trim()]));
}

function grid(pen, colour, [low, high], y, left, right) {
  const step = nice((high - low) / 5);
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.lineWidth = 1;
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) {
    const down = Math.round(y(value)) + 0.5;
    pen.strokeStyle = colour.line;
    pen.beginPath();
    pen.moveTo(left, down);
    pen.lineTo(right, down);
    pen.stroke();
    pen.fillStyle = colour.dim;
    pen.fillText(String(Number(value.toPrecision(3))), left - 6, down);
  }
}

/** 1, 2 or 5 times a power of ten. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((times) => times * power >= value * 0.999);
}

/** The threshold as it was at each part. */
function steps(pen, colour, parts, x, y) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  parts.forEach(([, threshold], index) => {
    if (index === 0) pen.moveTo(x(0) - 4, y(threshold));
    pen.lineTo(x(index), y(threshold));
  });
  pen.stroke();
}

function dashed(pen, colour, down, left, right) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.setLineDash([7, 5]);
  pen.beginPath();
  pen.moveTo(left, down);
  pen.lineTo(right, down);
  pen.stroke();
  pen.setLineDash([]);
}

function diamond(pen, x, y, radius) {
  pen.beginPath();
  pen.moveTo(x, y - radius);
  pen.lineTo(x + radius, y);
  pen.lineTo(x, y + radius);
  pen.lineTo(x - radius, y);
  pen.fill();
}

function ring(pen, colour, x, y) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.arc(x, y, 5, 0, 2 * Math.PI);
  pen.stroke();
}
