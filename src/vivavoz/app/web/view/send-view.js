// Any client event, typed or from a template, through the browser's own channel or the observer's.

import { TEMPLATES, parseEvent } from "../model/templates.js";
import { t } from "../words/words.js";
import { button, fill, h } from "./dom.js";

export class SendView {
  #send;

  /** `send(event, way)`; `ways` is `[[name, words]…]`: through whom it may be sent. */
  constructor(send, ways) {
    this.#send = send;
    this.template = h("select", { "aria-label": t("template"), on: { change: () => this.#take() } });
    fill(this.template, [["", t("templates")], ...TEMPLATES.map(([name], index) => [String(index), name])]);
    this.way = h("select", { "aria-label": t("sendWay") });
    this.way.hidden = ways.length < 2;
    fill(this.way, ways);
    this.text = h("textarea", { class: "code", rows: 12, spellcheck: false, "aria-label": t("clientEvent"), on: { keydown: (event) => this.#key(event) } });
    this.text.value = JSON.stringify(TEMPLATES[0][1], null, 2);
    this.said = h("p", { class: "said-result", role: "status" });
    this.root = h("div", { class: "send-view" },
      h("label", { class: "stack" }, h("span", {}, t("template")), this.template),
      h("label", { class: "stack grow" }, h("span", {}, t("clientEvent")), this.text),
      this.said,
      h("p", { class: "panel-actions" }, button(t("sendEvent"), () => this.#submit(), { class: "key key-main key-small" }), this.way, h("span", { class: "small" }, t("sendKeys"))));
  }

  #take() {
    if (this.template.value === "") return;
    this.text.value = JSON.stringify(TEMPLATES[Number(this.template.value)][1], null, 2);
    this.template.value = "";
    this.text.focus();
  }

  #key(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const { event, problem, detail } = parseEvent(this.text.value);
    this.text.setAttribute("aria-invalid", String(Boolean(problem)));
    if (problem) this.said.textContent = t(`problem_${problem}`, { detail });
    else this.said.textContent = this.#send(event, this.way.value) ? t("sentType", { type: event.type }) : t("notSent");
  }
}
