// The session as a form or as JSON, one beside the other's truth; what is sent is only what differs.

import { FIELDS, check, difference, editable, read, write } from "../model/session.js";
import { t } from "../words/words.js";
import { button, fill, h, say } from "./dom.js";

const GROUPS = ["answer", "turns", "hearing", "tools"];

export class SessionView {
  #base = null;
  #edited = null;
  #send;
  #mode = "form";
  #broken = null; // JSON that does not parse, or a tools field that does not
  #inputs = new Map();

  /** `send(event)` true when it was sent. */
  constructor(send) {
    this.#send = send;
    this.#build();
    this.show(null);
  }

  /** The session in force. What was edited and not yet sent stays. */
  show(session) {
    if (JSON.stringify(session) === JSON.stringify(this.#base)) return;
    const touched = this.#base !== null && this.#update() !== null;
    const mine = touched ? this.#edited : null;
    this.#base = session;
    this.none.hidden = session !== null;
    this.body.hidden = session === null;
    if (session === null) return;
    this.#edited = mine ?? editable(session);
    this.#draw();
  }

  #update() {
    return this.#base && this.#edited ? difference(editable(this.#base), this.#edited) : null;
  }

  #build() {
    this.none = h("p", { class: "nothing" }, t("sessionNone"));
    this.form = h("form", { class: "session-form", on: { submit: (event) => event.preventDefault() } }, GROUPS.map((group) =>
      h("fieldset", {}, h("legend", {}, t(`group_${group}`)), FIELDS.filter((field) => field.group === group).map((field) => this.#field(field)))));
    this.json = h("textarea", { class: "code", rows: 22, spellcheck: false, "aria-label": t("sessionJson"), hidden: true, on: { input: () => this.#typed() } });
    this.problems = h("ul", { class: "problems", role: "status" });
    this.sent = h("span", { class: "small", role: "status" });
    this.sendKey = button(t("sessionSend"), () => this.#submit(), { class: "key key-main key-small" });
    this.modeKey = button(t("asJson"), () => this.#switch(), { class: "key key-small", "aria-pressed": "false" });
    this.change = h("pre", { class: "json change", tabindex: "0", "aria-label": t("sessionChange") });
    this.body = h("div", { class: "session-body" }, this.form, this.json, this.problems, this.change,
      h("p", { class: "panel-actions" }, this.sendKey, button(t("reset"), () => this.#reset(), { class: "key key-small" }), this.modeKey, this.sent));
    this.root = h("div", { class: "session-view" }, this.none, this.body);
  }

  #field(field) {
    const id = `field-${Math.random().toString(36).slice(2, 8)}`;
    const change = { on: { input: () => this.#changed(field) }, id };
    let input;
    if (field.kind === "text") input = h("textarea", { rows: 4, ...change });
    else if (field.kind === "json") input = h("textarea", { class: "code", rows: 4, spellcheck: false, ...change });
    else if (field.kind === "check") input = h("input", { type: "checkbox", ...change });
    else if (field.kind === "choice") {
      input = h("select", change);
      fill(input, field.choices.map((name) => [name, name === "off" ? t("off") : name]));
    } else if (field.kind === "number") input = h("input", { type: "number", min: field.min, max: field.max, step: field.step, ...change });
    else input = h("input", { type: "text", spellcheck: false, ...change });
    const choices = field.kind === "suggest" ? h("datalist", { id: `${id}-list` }, field.choices.map((value) => h("option", { value }))) : null;
    if (choices) input.setAttribute("list", choices.id);
    const label = h("label", { for: id }, t(`field_${field.path.split(".").slice(-2).join("_")}`));
    const row = h("div", { class: `field field-${field.kind}`, title: field.path }, label, input, choices);
    this.#inputs.set(field, { input, row });
    return row;
  }

  #draw() {
    const mode = this.#edited.audio?.input?.turn_detection?.type ?? "off";
    for (const [field, { input, row }] of this.#inputs) {
      row.hidden = Boolean(field.only) && !(field.only === mode || (field.only === "any" && mode !== "off"));
      if (input === document.activeElement && this.#mode === "form") continue;
      const value = read(this.#edited, field);
      if (field.kind === "check") input.checked = value;
      else if (field.kind === "json") input.value = value.length ? JSON.stringify(value, null, 2) : "[]";
      else if (field.kind === "choice" && typeof value === "object") input.value = field.choices[0];
      else input.value = value;
    }
    if (this.json !== document.activeElement) this.json.value = JSON.stringify(this.#edited, null, 2);
    this.#judge();
  }

  #changed(field) {
    const { input } = this.#inputs.get(field);
    let value = field.kind === "check" ? input.checked : input.value;
    this.#broken = null;
    if (field.kind === "number") value = input.value === "" ? "" : Number(input.value);
    if (field.kind === "limit" && value !== "inf") value = value === "" ? "inf" : Number(value);
    if (field.kind === "json") {
      try {
        value = JSON.parse(value);
      } catch (error) {
        this.#broken = { path: field.path, problem: "notJson", values: { detail: error.message } };
        return this.#judge();
      }
    }
    this.#edited = write(this.#edited, field, value);
    return this.#draw();
  }

  #typed() {
    this.#broken = null;
    try {
      this.#edited = JSON.parse(this.json.value);
    } catch (error) {
      this.#broken = { path: "session", problem: "notJson", values: { detail: error.message } };
    }
    this.#judge();
  }

  /** Show what is wrong, or what would be sent. */
  #judge() {
    const found = this.#broken ? [this.#broken] : check(this.#edited);
    const update = found.length ? null : this.#update();
    const words = found.map(({ path, problem, values }) => `${path}: ${t(`problem_${problem}`, values)}`);
    if (words.join() !== [...this.problems.children].map((item) => item.textContent).join()) this.problems.replaceChildren(...words.map((text) => h("li", {}, text)));
    for (const [field, { input }] of this.#inputs) {
      const bad = found.some(({ path }) => path === field.path || path.startsWith(`${field.path}[`));
      input.setAttribute("aria-invalid", String(bad));
    }
    this.sendKey.disabled = update === null;
    this.change.hidden = update === null;
    this.change.textContent = update ? JSON.stringify({ type: "session.update", session: update }, null, 2) : "";
  }

  #switch() {
    if (this.#mode === "json" && (this.#broken || check(this.#edited).some(({ problem }) => problem === "notObject"))) return;
    this.#mode = this.#mode === "form" ? "json" : "form";
    this.form.hidden = this.#mode === "json";
    this.json.hidden = this.#mode === "form";
    say(this.modeKey, t(this.#mode === "form" ? "asJson" : "asForm"));
    this.#draw();
  }

  #reset() {
    this.#edited = editable(this.#base);
    this.#broken = null;
    this.json.blur();
    this.#draw();
  }

  #submit() {
    const update = this.#update();
    if (!update) return;
    this.sent.textContent = t(this.#send({ type: "session.update", session: update }) ? "sent" : "notSent");
  }
}
