// The recordings: a list to search, beside the one that is open.

import { listRecordings } from "../net/api.js";
import { t } from "../words/words.js";
import { $, button, clock, h, say } from "./dom.js";
import { Player } from "./player.js";

const PAGE = 30;
const SEARCH_AFTER_MS = 300;

export class Recordings {
  #player = null;
  #typing = 0;
  #asked = 0;
  #before = null;

  constructor() {
    this.find = h("input", { type: "search", placeholder: t("recordingsSearch"), "aria-label": t("recordingsSearch"), on: { input: () => this.#searchSoon() } });
    this.list = h("ol", { class: "cards" });
    this.state = h("p", { class: "nothing", role: "status" });
    this.problem = h("p", { class: "problems", role: "alert" });
    this.more = button(t("more"), () => this.#load(false), { hidden: true });
    this.stage = h("div", { class: "stage" }, h("p", { class: "nothing" }, t("recordingsChoose")));
    $("view-recordings").append(
      h("div", { class: "side" }, h("h2", {}, t("viewRecordings")), this.find, this.problem, this.state, this.list, this.more), this.stage);
  }

  /** The view was opened, with the recording of this id or none. */
  open(id) {
    this.#load(true);
    if (this.#player?.id === id) return;
    this.#player?.close();
    this.#player = id ? new Player(id, () => this.#removed()) : null;
    this.stage.replaceChildren(...(this.#player ? this.#player.nodes : [h("p", { class: "nothing" }, t("recordingsChoose"))]));
    $("view-recordings").classList.toggle("has-open", this.#player !== null);
    this.#mark();
  }

  search() {
    this.find.focus();
  }

  toggle() {
    this.#player?.toggle();
  }

  #removed() {
    location.hash = "#/recordings";
  }

  #searchSoon() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#load(true), SEARCH_AFTER_MS);
  }

  async #load(anew) {
    const asked = ++this.#asked;
    if (anew) this.#before = null;
    try {
      const { recordings, next, problem } = await listRecordings({ before: this.#before, limit: PAGE, query: this.find.value.trim() });
      if (asked !== this.#asked) return;
      const cards = recordings.map((recording) => this.#card(recording));
      if (anew) this.list.replaceChildren(...cards);
      else this.list.append(...cards);
      this.#before = next ?? null;
      this.more.hidden = this.#before === null;
      say(this.problem, problem ?? "");
      say(this.state, this.list.childElementCount ? "" : t(this.find.value.trim() ? "recordingsNoMatch" : "recordingsNone"));
      this.#mark();
    } catch (error) {
      if (asked === this.#asked) say(this.state, t("failedWith", { message: error.detail || t(error.kind) }));
    }
  }

  #card({ id, started_at: startedAt, duration_ms: ms, user, profile, last_words: words, status, audio }) {
    const facts = [new Date(startedAt * 1000).toLocaleString(), profile, status === "interrupted" && t("recording_interrupted"), !audio && t("noAudioShort")];
    return h("li", { "data-recording": id }, h("a", { href: `#/recordings/${encodeURIComponent(id)}` },
      h("span", { class: "card-who" }, user || id), h("span", { class: "card-time" }, clock(ms)),
      h("span", { class: "card-words" }, words || ""), h("span", { class: "card-facts" }, facts.filter(Boolean).join(" · "))));
  }

  #mark() {
    for (const item of this.list.children) {
      const link = item.firstChild;
      if (item.dataset.recording === this.#player?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}
