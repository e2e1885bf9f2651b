// The event log: a lens, a search, and the one event that is looked at. Only the rows in sight are elements.

import { gist, typeChoices } from "../model/lens.js";
import { t } from "../words/words.js";
import { button, fill, h, say } from "./dom.js";
import { jsonNodes, jsonText } from "./json.js";

const ROW = 28; // px; style/panels.css has the same
const SPARE = 6;
const SEARCH_AFTER_MS = 150;
const ARROWS = { server: "↓", browser: "↑", console: "↑", tool: "↑" };

export class LogView {
  #log;
  #began = () => 0;
  #lens = "both";
  #frozen = null;
  #frozenAt = 0;
  #chosen = null;
  #follow = true;
  #frame = 0;
  #typing = 0;
  #seen = 0;

  /** `began()` is when the call began, Unix ms: times are shown from there. */
  constructor(log, began) {
    this.#log = log;
    this.#began = began;
    this.#build();
    this.refresh();
  }

  /** Draw soon: what arrives in one frame is drawn once. */
  refresh() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  focusSearch() {
    this.search.focus();
  }

  pause(on = this.#frozen === null) {
    this.#frozen = on ? this.#log.visible.slice() : null;
    this.#frozenAt = this.#log.size + this.#log.dropped;
    this.pauseKey.setAttribute("aria-pressed", String(on));
    this.refresh();
  }

  #build() {
    this.search = h("input", { type: "search", placeholder: t("logSearch"), "aria-label": t("logSearch"), spellcheck: false, on: { input: () => this.#searchSoon() } });
    this.type = h("select", { "aria-label": t("logType"), on: { change: () => this.#filter({ type: this.type.value }) } });
    this.pauseKey = button(t("pause"), () => this.pause(), { class: "key key-small", "aria-pressed": "false" });
    this.count = h("span", { class: "log-count" });
    const group = `lens-${Math.random().toString(36).slice(2)}`;
    const lens = h("div", { class: "lens", role: "radiogroup", "aria-label": t("lens") },
      ["both", "browser", "observer"].map((name) =>
        h("label", {}, h("input", { type: "radio", name: group, value: name, checked: name === "both", on: { change: () => this.#look(name) } }), h("span", {}, t(`lens_${name}`)))));
    this.rows = h("div", { class: "rows" });
    this.list = h("div", {
      class: "event-list", role: "listbox", tabindex: "0", "aria-label": t("logEvents"),
      on: { scroll: () => this.#scrolled(), keydown: (event) => this.#key(event), click: (event) => this.#click(event) },
    }, this.rows);
    this.none = h("p", { class: "nothing" });
    this.pre = h("pre", { class: "json", tabindex: "0", "aria-label": t("logJson") });
    this.detailTitle = h("span", { class: "detail-title" });
    this.detail = h("div", { class: "detail", hidden: true },
      h("div", { class: "detail-bar" }, this.detailTitle,
        button(t("copy"), () => this.#copy(), { class: "key key-small" }),
        button("×", () => this.#choose(null), { class: "key key-small", "aria-label": t("dismiss") })),
      this.pre);
    this.heads = h("div", { class: "lens-heads", "aria-hidden": "true" }, h("span", {}), h("span", {}, t("lensBrowserGets")), h("span", {}, t("lensObserverGets")));
    this.root = h("div", { class: "event-log", "data-lens": "both" },
      h("div", { class: "log-bar" }, lens, h("span", { class: "log-bar-end" }, this.count, this.pauseKey)),
      h("div", { class: "log-bar" }, this.search, this.type),
      this.heads, h("div", { class: "event-frame" }, this.none, this.list), this.detail);
    new ResizeObserver(() => this.refresh()).observe(this.list);
  }

  get #shown() {
    return this.#frozen ?? this.#log.visible;
  }

  #searchSoon() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#filter({ text: this.search.value.trim().toLowerCase() }), SEARCH_AFTER_MS);
  }

  #look(lens) {
    this.#lens = lens;
    this.root.dataset.lens = lens;
    this.#filter({ lens });
  }

  #filter(members) {
    this.#log.filter(members);
    if (this.#frozen) this.pause(true);
    this.refresh();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    this.#follow = scrollHeight - scrollTop - clientHeight < ROW;
    this.refresh();
  }

  #draw() {
    const shown = this.#shown;
    const height = shown.length * ROW;
    if (this.#seen !== height) this.rows.style.setProperty("height", `${height}px`);
    this.#seen = height;
    if (this.#follow && !this.#frozen) this.list.scrollTop = height;
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - SPARE);
    const last = Math.min(shown.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + SPARE);
    const began = this.#began();
    const made = [];
    for (let index = first; index < last; index++) made.push(this.#row(shown[index], index, shown.length, began));
    this.rows.replaceChildren(...made);
    this.#active();
    this.#counts(shown);
  }

  #row(row, index, size, began) {
    const chosen = row === this.#chosen;
    const where = row.browser && row.observer ? "both" : row.browser ? "browser" : "observer";
    const made = h("div", {
      class: "event-row", role: "option", id: `event-${row.n}`, "data-n": row.n, "data-where": where, "data-sender": row.sender,
      "aria-selected": String(chosen), "aria-setsize": size, "aria-posinset": index + 1,
    }, h("span", { class: "event-time" }, stamp(row.at - began)), this.#cell(row, "browser"), this.#cell(row, "observer"),
    h("span", { class: "unseen" }, t(row.sender === "server" ? `got_${where}` : `sent_${row.sender}`)));
    made.style.setProperty("top", `${index * ROW}px`);
    return made;
  }

  #cell(row, who) {
    if (!row[who]) return h("span", { class: `event-cell cell-${who} withheld`, "aria-hidden": "true" });
    return h("span", { class: `event-cell cell-${who}`, ...(who === "observer" && row.browser ? { "aria-hidden": "true" } : {}) },
      h("span", { class: "arrow", "aria-hidden": "true" }, ARROWS[row.sender]),
      h("span", { class: "event-type" }, h("bdi", {}, row.type)),
      h("span", { class: "event-gist" }, gist(row.event)));
  }

  #counts(shown) {
    const { size, dropped } = this.#log;
    const missed = this.#frozen ? size + dropped - this.#frozenAt : 0;
    say(this.count, shown.length === size ? t("logCount", { count: size }) : t("logCountOf", { count: shown.length, size }));
    this.count.title = dropped ? t("logDropped", { count: dropped }) : "";
    say(this.pauseKey, this.#frozen ? (missed ? t("resumeCount", { count: missed }) : t("resume")) : t("pause"));
    say(this.none, shown.length ? "" : t(size ? "logNoMatch" : "logEmpty"));
    fill(this.type, [["", t("logAllTypes")], ...typeChoices(this.#log.types).map((type) => [type, type])]);
  }

  #active() {
    const row = this.#chosen && this.rows.querySelector(`[data-n="${this.#chosen.n}"]`);
    if (row) this.list.setAttribute("aria-activedescendant", row.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  #click({ target }) {
    const made = target.closest(".event-row");
    if (made) this.#choose(this.#shown.find((row) => row.n === Number(made.dataset.n)));
  }

  #key(event) {
    const shown = this.#shown;
    if (!shown.length) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const at = this.#chosen ? shown.indexOf(this.#chosen) : shown.length;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: shown.length - 1 }[event.key];
    if (event.key === "Escape" && this.#chosen) {
      event.stopPropagation();
      this.#choose(null);
    }
    if (to === undefined) return;
    event.preventDefault();
    const index = Math.min(shown.length - 1, Math.max(0, to));
    this.#follow = index === shown.length - 1;
    const top = index * ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + ROW > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + ROW - this.list.clientHeight;
    this.#choose(shown[index]);
  }

  #choose(row) {
    this.#chosen = row ?? null;
    if (row) this.#follow = false;
    this.detail.hidden = !row;
    if (row) {
      this.detailTitle.textContent = row.type;
      this.pre.replaceChildren(...jsonNodes(row.event));
    }
    this.refresh();
  }

  async #copy() {
    await navigator.clipboard?.writeText(jsonText(this.#chosen.event)).catch(() => {});
  }
}

function stamp(ms) {
  const sign = ms < 0 ? "−" : "";
  const all = Math.abs(ms) / 1000;
  const minutes = Math.floor(all / 60);
  return `${sign}${minutes}:${(all - minutes * 60).toFixed(3).padStart(6, "0")}`;
}
