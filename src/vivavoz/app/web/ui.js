// The page's elements: drawing lines, states and notices. It decides nothing; app.js does.

import { t } from "./i18n.js";
import { qualityName, stateName, summary, taskName } from "./status.js";

export const $ = (id) => document.getElementById(id);

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The conversation on the page, one `li` a line. */
export class Log {
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
    $("log").append(element("li", "aside", text));
    this.#empty();
    if (follow) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  clear() {
    this.#rows.clear();
    $("log").replaceChildren();
    this.#empty();
  }

  #add(line) {
    const item = element("li", `turn turn-${line.who}`);
    item.dataset.id = line.id;
    const words = element("p", "words");
    const row = {
      item, told: false,
      said: element("span", "said"), ahead: element("span", "ahead"), cut: element("s", "cut"), note: element("small", "mark-note"),
    };
    words.append(row.said, row.ahead, row.cut, element("span", "dots"));
    const body = element("div", "body");
    body.append(words, row.note);
    item.append(element("span", "who", t(line.who)), body);
    $("log").append(item);
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

/** What stands in the way, what it means, and what can be done about it. */
export const notice = {
  /** `actions` is a list of [word key, function]; `askKey` shows the form for a key. */
  show(title, text, actions = [], { askKey = false } = {}) {
    $("notice-title").textContent = title;
    $("notice-text").textContent = text;
    $("notice-text").hidden = !text;
    $("key-form").hidden = !askKey;
    $("notice-actions").replaceChildren(
      ...actions.map(([word, act], index) => {
        const button = element("button", index === 0 && !askKey ? "key key-main" : "key", t(word));
        button.type = "button";
        button.dataset.action = word;
        button.addEventListener("click", act);
        return button;
      }),
    );
    $("notice").hidden = false;
    if (askKey) $("key").focus();
  },

  text(text) {
    $("notice-text").textContent = text;
  },

  hide() {
    $("notice").hidden = true;
  },
};

export function showState(state, hint = "") {
  if ($("state").textContent !== state) $("state").textContent = state;
  $("hint").textContent = hint;
}

const URGENT = ["loading", "absent", "failed"];
let helped = false; // opened once by itself; after that it is the person's to close

/** The engines' line and rows; null rows: the service does not answer. */
export function showEngines(rows) {
  const { lamp, words, help = false } = rows ? summary(rows) : { lamp: "failed", words: t("unreached") };
  $("lamp").dataset.lamp = lamp;
  if (help && !helped) $("engines").open = true;
  helped ||= help;
  $("engines-summary").textContent = words;
  $("engines-rows").replaceChildren(
    // What needs somebody comes first.
    ...(rows ?? []).toSorted((one, other) => URGENT.indexOf(other.state) - URGENT.indexOf(one.state)).map((row) => {
      const item = element("li", "engine");
      item.dataset.state = row.state;
      const quality = row.quality && row.quality !== row.name ? ` · ${qualityName(row)}` : "";
      item.append(
        element("span", "engine-task", taskName(row)),
        element("span", "engine-name", row.name + quality),
        element("span", "engine-state", stateName(row)),
      );
      if (row.detail) item.append(element("span", "engine-detail", row.detail));
      return item;
    }),
  );
}

/** The microphones to choose from; shown only where there is a choice. */
export function showMicrophones(devices, current) {
  $("device").replaceChildren(
    ...devices.map((device) => {
      const option = element("option", "", device.label || t("microphone"));
      option.value = device.deviceId;
      option.selected = device.deviceId === current;
      return option;
    }),
  );
  $("picker").hidden = devices.length < 2;
}
