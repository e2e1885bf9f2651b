// One live call, open: what is said, what happens, and the ways to step in.

import { hangUp } from "../net/api.js";
import { CallWatch } from "../net/watch.js";
import { t } from "../words/words.js";
import { agreed, button, clock, fill, h, say } from "./dom.js";
import { Inspector } from "./inspector.js";
import { Items } from "./items.js";

export class CallView {
  #state = null;
  #ended = false;
  #private;
  #watch;

  constructor(id, info) {
    this.id = id;
    // Only our own service can keep an item from the browser.
    this.#private = info.upstream.name === "vivavoz";
    this.items = new Items({ began: () => this.#state?.started_at ?? null });
    this.inspector = new Inspector({
      send: (event, way) => way === "observer" && this.#send(event), ways: [["observer", t("wayObserver")]],
      began: () => (this.#state?.started_at ?? 0) * 1000,
    });
    this.#build();
    this.#watch = new CallWatch(id);
    const on = (type, act) => this.#watch.addEventListener(type, ({ detail }) => act(detail));
    on("entries", (entries) => this.#entries(entries));
    on("call", (state) => this.#show(state));
    on("link", (state) => state !== "open" && !this.#ended && state !== "closed" && this.#say(t(`feed_${state}`), "loading"));
    on("rejected", (error) => {
      say(this.said, t("failedWith", { message: error.message }));
      this.inspector.rejected(error);
    });
    on("refused", (error) => this.#say(t("observerRefused", { message: error.message }), "failed"));
    on("ended", (reason) => this.#over(reason));
  }

  close() {
    this.#watch.close();
  }

  search() {
    this.inspector.search();
  }

  pause() {
    this.inspector.logView.pause();
  }

  tick() {
    if (!this.#state) return;
    say(this.time, clock(((this.#state.ended_at ?? Date.now() / 1000) - this.#state.started_at) * 1000));
  }

  #build() {
    this.title = h("h2", { tabindex: "-1" }, this.id);
    this.time = h("span", { class: "call-time" });
    this.status = h("p", { class: "small call-status", role: "status" });
    this.facts = h("p", { class: "small" });
    this.record = h("a", { class: "small", hidden: true }, t("openRecording"));
    this.said = h("p", { class: "small", role: "status" });
    this.hang = button(t("hangUp"), () => this.#hangUp(), { class: "key key-end" });
    this.cancel = button(t("cancelAnswer"), () => this.#cancel());
    this.respond = button(t("respondNow"), () => this.#tell({ type: "response.create" }));
    this.kind = h("select", { "aria-label": t("coachKind") });
    fill(this.kind, [["system", t("coachSystem")], ["user", t("coachUser")], ["say", t("coachSay")]]);
    this.words = h("input", { type: "text", autocomplete: "off", maxLength: 4000, "aria-label": t("coachWords"), placeholder: t("coachWords") });
    this.answer = h("input", { type: "checkbox", checked: true });
    this.coach = h("form", { class: "coach", on: { submit: (event) => this.#coach(event) } },
      h("div", { class: "coach-row" }, this.kind, this.words, h("button", { type: "submit", class: "key" }, t("send"))),
      h("div", { class: "coach-row" }, h("label", { class: "check" }, this.answer, h("span", {}, t("coachAnswer"))), this.respond, this.cancel, this.said));
    this.errors = h("ul", { class: "problems", role: "status" });
    this.nodes = [
      h("section", { class: "sheet", "aria-label": t("conversation") },
        h("header", { class: "call-head" }, h("a", { class: "back", href: "#/calls" }, t("back")),
          h("div", { class: "call-name" }, this.title, this.facts, this.status, this.record), this.time, this.hang),
        this.errors, this.items.root, this.coach),
      h("aside", { class: "inspector", "aria-label": t("inspector") }, this.inspector.nodes),
    ];
  }

  #entries(entries) {
    for (const entry of entries) this.inspector.log.fromObserver(entry);
    this.inspector.logView.refresh();
  }

  #show(state) {
    this.#state = state;
    say(this.title, state.user || state.id);
    const facts = [state.id, state.profile, state.session?.model, t(`filtered_${state.filtered}`), state.browser_reads_session && t("browserReads"), state.recorded && t("recorded")];
    say(this.facts, facts.filter(Boolean).join(" · "));
    this.items.show(state.transcript);
    this.inspector.turns.show(state.turns_log);
    this.inspector.session.show(state.session);
    const trouble = [
      ...state.errors.map((error) => error.message ?? String(error)),
      ...state.gaps.map((gap) => t("gap", { from: clock((gap.since - state.started_at) * 1000), to: clock((gap.until - state.started_at) * 1000), reason: gap.reason })),
    ].slice(-5);
    this.errors.replaceChildren(...trouble.map((text) => h("li", {}, text)));
    this.record.hidden = !(state.recording && state.status === "ended");
    if (state.recording) this.record.href = `#/recordings/${encodeURIComponent(state.recording)}`;
    if (state.status === "ended") this.#over(state.end_reason);
    else if (!this.#ended) this.#say(t(`observer_${state.observer}`), state.observer === "attached" ? "ready" : state.observer === "attaching" ? "loading" : "failed");
    this.tick();
  }

  #over(reason) {
    this.#ended = true;
    this.#say(t("callEnded", { reason: reason ?? "" }).trim(), "off");
    for (const each of [this.hang, this.cancel, this.respond, ...this.coach.elements]) each.disabled = true;
  }

  #say(words, lamp) {
    say(this.status, words);
    this.status.dataset.lamp = lamp;
  }

  #send(event) {
    return this.#watch.send(event);
  }

  #tell(...events) {
    const sent = events.every((event) => this.#send(event));
    say(this.said, t(sent ? "sent" : "notSent"));
    return sent;
  }

  #coach(event) {
    event.preventDefault();
    const text = this.words.value.trim();
    if (!text) return;
    const kind = this.kind.value;
    let events;
    if (kind === "say") events = [{ type: "response.create", response: { instructions: t("sayExactly", { text }) } }];
    else {
      const item = { type: "message", role: kind, content: [{ type: "input_text", text }], ...(kind === "system" && this.#private ? { private: true } : {}) };
      events = [{ type: "conversation.item.create", item }, ...(this.answer.checked ? [{ type: "response.create" }] : [])];
    }
    if (this.#tell(...events)) this.words.value = "";
  }

  /** Stop what is being said: no more of it is made, and what was made is not played. */
  #cancel() {
    this.#tell({ type: "response.cancel" }, { type: "output_audio_buffer.clear" });
  }

  async #hangUp() {
    if (!(await agreed(t("hangUpTitle"), t("hangUpText"), t("hangUp"), t("cancel")))) return;
    try {
      await hangUp(this.id);
      say(this.said, t("hungUp"));
    } catch (error) {
      say(this.said, t("failedWith", { message: error.detail || t(error.kind) }));
    }
  }
}
