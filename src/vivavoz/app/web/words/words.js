// The page speaks the first of the browser's languages that it knows.

import { ENGLISH } from "./en.js";
import { PORTUGUESE } from "./pt.js";

/** Both tables, for the test that neither lacks a word. */
export const tables = { en: ENGLISH, pt: PORTUGUESE };

export const language =
  (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in tables) ?? "en";

/** The words for `key`, with `{name}` places filled from `values`. */
export function t(key, values = {}) {
  const words = tables[language][key] ?? ENGLISH[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** Put the words into every element that names them (`data-t`, `data-t-label`, `data-t-placeholder`). */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  for (const element of root.querySelectorAll("[data-t-placeholder]")) element.placeholder = t(element.dataset.tPlaceholder);
}
