// The operator's panel beside the telephone: this browser's own events and the observer's, in one log.

import { t } from "../words/words.js";
import { $, say } from "./dom.js";
import { Inspector } from "./inspector.js";

export class TalkInspector {
  #call = null;
  #turns = [];
  #panel = new Inspector({
    send: (event, way) => (way === "observer" ? this.#call?.watch?.send(event) : this.#call?.call.send(event)) ?? false,
    ways: [["browser", t("wayBrowser")], ["observer", t("wayObserver")]],
    began: () => this.#call?.startedAt ?? 0,
  });

  constructor() {
    $("talk-inspector").append(...this.#panel.nodes);
    $("inspect").addEventListener("click", () => this.toggle());
    this.#say("observerIdle");
  }

  allow(operator) {
    $("inspect").hidden = !operator;
    if (!operator) this.toggle(false);
  }

  toggle(open = $("talk-inspector").hidden) {
    if (open && $("inspect").hidden) return;
    $("talk-inspector").hidden = !open;
    $("inspect").setAttribute("aria-expanded", String(open));
    document.body.classList.toggle("inspecting", open);
  }

  search() {
    this.toggle(true);
    if (!$("talk-inspector").hidden) this.#panel.search();
  }

  /** A call that is about to begin. */
  follow(call) {
    this.#call = call;
    this.#turns = [];
    this.#panel.clear();
    this.#say("observerIdle");
    const on = (type, act) => call.addEventListener(type, ({ detail }) => this.#call === call && act(detail));
    on("event", ({ event, sent }) => this.#add(() => this.#panel.log.fromBrowser(event, Date.now(), { sent })));
    on("observed", (entries) => this.#observed(call, entries));
    on("state", (state) => this.#state(call, state));
    on("network", (network) => this.#panel.turns.show(this.#turns, network));
    on("observer", ({ type, detail }) => this.#observer(type, detail));
  }

  #observed(call, entries) {
    this.#add(() => {
      for (const entry of entries) {
        const row = this.#panel.log.fromObserver(entry, { ownBrowser: true });
        if (row && !row.browser && !entry.seen && entry.sender === "server") call.learn(entry.event);
      }
    });
  }

  #add(change) {
    change();
    this.#panel.logView.refresh();
  }

  #state(call, state) {
    this.#turns = state.turns_log;
    this.#panel.turns.show(this.#turns, call.network);
    this.#panel.session.show(state.session);
    if (state.session?.model) say($("model"), state.session.model);
    this.#say(`observer_${state.observer}`);
  }

  #observer(type, detail) {
    if (type === "rejected") this.#panel.rejected(detail);
    else if (type === "refused") this.#say("observerRefused", { message: detail.message });
    else if (type === "ended") this.#say("observerEnded");
    else if (detail === "waiting") this.#say("observerReconnecting");
    else if (detail === "connecting") this.#say("observer_attaching");
  }

  #say(word, values) {
    say(this.#panel.state, t(word, values));
    this.#panel.state.dataset.word = word;
  }
}
