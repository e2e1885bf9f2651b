// JSON to read: indented, with its words and numbers told apart. Built of text nodes only.

import { h } from "./dom.js";
import { t } from "../words/words.js";

const LONGEST = 100_000;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

export function jsonText(value) {
  const text = JSON.stringify(value, null, 2) ?? "";
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${t("jsonCut", { count: text.length })}` : text;
}

/** The nodes of a `<pre>`. */
export function jsonNodes(value) {
  const text = jsonText(value);
  const nodes = [];
  let done = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [, string, colon] = found;
    nodes.push(text.slice(done, found.index));
    const kind = colon ? "json-name" : string ? "json-string" : "json-value";
    nodes.push(h("span", { class: kind }, string ?? found[0]), colon ?? "");
    done = found.index + found[0].length;
  }
  nodes.push(text.slice(done));
  return nodes;
}
