// Keys that do something wherever the focus is, and the dialog that lists them.

import { t } from "../words/words.js";
import { $, button, h } from "./dom.js";

const LIST = [
  ["1 – 4", "keyViews"], ["Esc", "keyInterrupt"], ["M", "keyMute"], ["I", "keyInspect"], ["/", "keySearch"],
  ["P", "keyPause"], ["K", "keyPlay"], ["Ctrl Enter", "keyRun"], ["?", "keyHelp"],
];

let single = true; // one-letter keys may be switched off: speech input types them by accident

export function showShortcuts() {
  const dialog = $("shortcuts");
  const toggle = h("input", { type: "checkbox", checked: single, on: { change: () => { single = toggle.checked; } } });
  dialog.replaceChildren(
    h("h2", { id: "shortcuts-title" }, t("shortcuts")),
    h("dl", { class: "keys" }, LIST.flatMap(([key, word]) => [h("dt", {}, key.split(" ").map((part) => (part === "–" ? " – " : h("kbd", {}, part)))), h("dd", {}, t(word))])),
    h("label", { class: "check" }, toggle, h("span", {}, t("keySingle"))),
    h("p", { class: "dialog-actions" }, button(t("dismiss"), () => dialog.close(), { autofocus: true })));
  dialog.showModal();
}

/** `acts`: `{key: function}`; "Escape" works also while typing. */
export function listen(acts) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return void acts.Escape();
    const typing = event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [role=listbox]");
    const act = acts[event.key.toLowerCase()];
    if (typing || !act || (!single && event.key !== "?")) return undefined;
    event.preventDefault();
    return act();
  });
}
