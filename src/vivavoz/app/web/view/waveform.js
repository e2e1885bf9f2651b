// Two voices over time, the caller above and the assistant below one line: drawn from peaks, played by an <audio>.
// Works as a slider: click or drag to seek, arrow keys by five seconds.

import { t } from "../words/words.js";
import { clock, h } from "./dom.js";

const STEP_S = 5;

export class Waveform {
  #peaks = { caller: [], assistant: [] };
  #seconds = 0;
  #at = 0;
  #gaps = [];
  #seek;

  /** `seek(seconds)` is asked for. */
  constructor(seek) {
    this.#seek = seek;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.root = h("div", {
      class: "waveform", role: "slider", tabindex: "0", "aria-label": t("position"), "aria-valuemin": "0",
      on: {
        pointerdown: (event) => this.#point(event), pointermove: (event) => event.buttons === 1 && this.#point(event),
        keydown: (event) => this.#key(event),
      },
    }, h("span", { class: "wave-name wave-caller" }, t("caller")), this.canvas, h("span", { class: "wave-name wave-them" }, t("them")));
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.at(0);
  }

  /** `peaks`: loudness 0..1 for each voice, evenly over the time; `gaps`: `[[from, to]…]` in seconds. */
  show(peaks, seconds, gaps = []) {
    this.#peaks = peaks;
    this.#seconds = seconds;
    this.#gaps = gaps;
    this.root.setAttribute("aria-valuemax", String(Math.round(seconds)));
    this.at(this.#at);
  }

  at(seconds) {
    this.#at = seconds;
    this.root.setAttribute("aria-valuenow", String(Math.round(seconds)));
    this.root.setAttribute("aria-valuetext", t("ofTime", { at: clock(seconds * 1000), time: clock(this.#seconds * 1000) }));
    this.#draw();
  }

  #point(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    this.#to(((event.clientX - left) / width) * this.#seconds);
  }

  #key(event) {
    const to = { ArrowLeft: this.#at - STEP_S, ArrowRight: this.#at + STEP_S, ArrowDown: this.#at - STEP_S, ArrowUp: this.#at + STEP_S, Home: 0, End: this.#seconds }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#to(to);
  }

  #to(seconds) {
    this.#seek(Math.min(this.#seconds, Math.max(0, seconds)));
  }

  #draw() {
    const { canvas } = this;
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const half = height / 2;
    const pitch = 3 * devicePixelRatio;
    const played = this.#seconds ? (this.#at / this.#seconds) * width : 0;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour("--rule");
    for (const [from, to] of this.#gaps) pen.fillRect((from / this.#seconds) * width, 0, Math.max(2, ((to - from) / this.#seconds) * width), height);
    pen.fillRect(0, half - 0.5, width, 1);
    for (const [name, paint, up] of [["caller", "--you", true], ["assistant", "--them", false]]) {
      pen.fillStyle = colour(paint);
      for (let x = 0; x < width; x += pitch) {
        const tall = loudest(this.#peaks[name], x / width, (x + pitch) / width) * (half - 2 * devicePixelRatio);
        pen.globalAlpha = x < played ? 1 : 0.45;
        if (tall >= 0.5) pen.fillRect(x, up ? half - 1 - tall : half + 1, pitch * 0.66, tall);
      }
    }
    pen.globalAlpha = 1;
    pen.fillStyle = colour("--ink");
    pen.fillRect(Math.min(width - 2, played), 0, Math.max(1, 1.5 * devicePixelRatio), height);
  }
}

/** The largest of the peaks between two shares (0..1) of the time. */
export function loudest(peaks, from, to) {
  const first = Math.floor(from * peaks.length);
  const last = Math.max(first + 1, Math.ceil(to * peaks.length));
  let most = 0;
  for (let index = first; index < Math.min(last, peaks.length); index++) most = Math.max(most, peaks[index]);
  return Math.min(1, most);
}
