// The conversation on the page, line by line. What the lines are, model/transcript.js decides.

import { t } from "../words/words.js";
import { $, h } from "./dom.js";

/** The conversation on the page, one `li` a line. */
export class Lines {
  #rows = new Map();
  #scroll = $("scroll");

  /** Draw a line of transcript.js, new or changed; tell it to screen readers once it is whole. */
  draw(line) {
    let row = this.#rows.get(line.id);
    if (line.gone) {
      row?.item.remove();
      this.#rows.delete(line.id);
      this.#empty();
      return;
    }
    row ??= this.#add(line);
    const follow = this.#atEnd();
    const rest = line.text.slice(line.said);
    const gap = rest.length - rest.trimStart().length;
    row.said.textContent = line.text.slice(0, line.said + gap);
    row.ahead.textContent = line.cut ? "" : rest.slice(gap);
    row.cut.textContent = line.cut ? rest.slice(gap) : "";
    row.note.textContent = line.note ? t(line.note) : "";
    row.item.classList.toggle("pending", !line.text && !line.note);
    row.item.classList.toggle("is-cut", line.cut);
    if (line.done && !row.told && line.text) {
      row.told = true;
      $("announcer").textContent = `${t(line.who)}: ${line.text}`;
    }
    if (follow) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** A line that nobody said: an error the service reported, say. */
  note(text) {
    const follow = this.#atEnd();
    $("log").append(h("li", { class: "aside" }, text));
    this.#empty();
    if (follow) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  clear() {
    this.#rows.clear();
    $("log").replaceChildren();
    this.#empty();
  }

  #add(line) {
    const words = h("p", { class: "words" });
    const row = {
      told: false,
      said: h("span", { class: "said" }), ahead: h("span", { class: "ahead" }), cut: h("s", { class: "cut" }), note: h("small", { class: "mark-note" }),
    };
    words.append(row.said, row.ahead, row.cut, h("span", { class: "dots" }));
    row.item = h("li", { class: `turn turn-${line.who}`, "data-id": line.id },
      h("span", { class: "who" }, t(line.who)), h("div", { class: "body" }, words, row.note));
    $("log").append(row.item);
    this.#rows.set(line.id, row);
    this.#empty();
    return row;
  }

  #empty() {
    $("empty").hidden = $("log").childElementCount > 0;
  }

  #atEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < 60;
  }
}
