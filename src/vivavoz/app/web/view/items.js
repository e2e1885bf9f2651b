// A transcript as the observer keeps it (live calls and recordings): messages with what was heard, and tools.

import { t } from "../words/words.js";
import { clock, h } from "./dom.js";

const WHO = { user: "caller", assistant: "them", system: "system" };

/** The list of a transcript. Only what changed is drawn again, so that a reader keeps its place. */
export class Items {
  #rows = new Map();
  #seek;
  #began;

  /** `began()`: Unix s. With `seek(item)`, every line is a button that goes there. */
  constructor({ began = () => null, seek = null } = {}) {
    this.#began = began;
    this.#seek = seek;
    this.list = h("ol", { class: "log items", "aria-label": t("conversation") });
    this.none = h("p", { class: "nothing" });
    this.root = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("conversation") }, this.none, this.list);
  }

  show(items) {
    const follow = this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < 60;
    const seen = new Set();
    let place = null;
    for (const item of items) {
      seen.add(item.item_id);
      const print = JSON.stringify(item);
      const known = this.#rows.get(item.item_id);
      let made = known?.made;
      if (known?.print !== print) {
        made = this.#row(item);
        if (known) known.made.replaceWith(made);
        this.#rows.set(item.item_id, { made, print });
      }
      const next = place ? place.nextSibling : this.list.firstChild;
      if (made !== next) this.list.insertBefore(made, next);
      place = made;
    }
    for (const [id, { made }] of this.#rows) {
      if (seen.has(id)) continue;
      made.remove();
      this.#rows.delete(id);
    }
    this.none.textContent = items.length ? "" : t("nothingSaid");
    if (follow && !this.#seek) this.root.scrollTop = this.root.scrollHeight;
  }

  /** Mark the line that is being played. */
  mark(itemId) {
    for (const [id, { made }] of this.#rows) {
      const now = id === itemId;
      if (made.classList.contains("is-now") === now) continue;
      made.classList.toggle("is-now", now);
      if (now) {
        made.setAttribute("aria-current", "true");
        made.scrollIntoView({ block: "nearest" });
      } else made.removeAttribute("aria-current");
    }
  }

  #row(item) {
    const message = item.kind === "message";
    const who = message ? (WHO[item.role] ?? "system") : "tool";
    const words = this.#words(item);
    const at = typeof item.at === "number" && this.#began() !== null ? clock((item.at - this.#began()) * 1000) : "";
    const body = this.#seek
      ? h("button", { type: "button", class: "seek", on: { click: () => this.#seek(item) } }, words)
      : h("div", { class: "body" }, words);
    return h("li", { class: `turn turn-${who}`, "data-id": item.item_id },
      h("span", { class: "who" }, t(who), at ? h("time", {}, at) : null), body);
  }

  #words(item) {
    if (item.kind !== "message") {
      const word = item.kind === "function_call_output" ? "toolOutput" : "toolCall";
      return h("span", { class: "words code" }, h("b", {}, t(word)), " ", item.text || "…");
    }
    const { text, heard } = item;
    const cut = item.role === "assistant" && typeof heard === "string" && heard.length < text.length;
    if (!cut) return h("span", { class: "words" }, item.status === "deleted" ? h("s", { class: "cut" }, text) : text || h("span", { class: "silent" }, t(item.final ? "noWords" : "noWordsYet")));
    const rest = text.startsWith(heard) ? text.slice(heard.length) : text;
    return h("span", { class: "words" }, h("span", { class: "said" }, text.startsWith(heard) ? heard : ""),
      item.final ? h("s", { class: "cut" }, rest) : h("span", { class: "ahead" }, rest),
      item.final ? h("small", { class: "mark-note" }, t("interrupted")) : null);
  }
}
