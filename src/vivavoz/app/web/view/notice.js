// What stands in the way, what it means, and what can be done about it.

import { t } from "../words/words.js";
import { $, button, say } from "./dom.js";

export const notice = {
  /** `actions` is a list of [word key, function]; `askKey` shows the form for a key; `doctor` is a line on why. */
  show(title, text, actions = [], { askKey = false, doctor = "" } = {}) {
    $("notice-title").textContent = title;
    $("notice-text").textContent = text;
    $("notice-text").hidden = !text;
    $("doctor").textContent = doctor;
    $("doctor").hidden = !doctor;
    $("key-form").hidden = !askKey;
    $("notice-actions").replaceChildren(
      ...actions.map(([word, act], index) =>
        button(t(word), act, { class: index === 0 && !askKey ? "key key-main" : "key", "data-action": word })),
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
  say($("state"), state);
  $("hint").textContent = hint;
}
