// The calls that are alive, and those that just ended: a list beside the one that is open.

import { listCalls } from "../net/api.js";
import { Feed } from "../net/feed.js";
import { t } from "../words/words.js";
import { $, clock, h, say } from "./dom.js";
import { CallView } from "./call-view.js";

const TICK_MS = 1_000;
const LISTED_WITHIN_MS = 5_000;

/** Nobody observes calls here, or not for this viewer. */
const notForUs = () => listCalls().then(() => false, (error) => error.status >= 400 && error.status < 500);

export class Calls {
  #feed = null;
  #calls = [];
  #open = null;
  #info = null;
  #cards = new Map();
  #waiting = new Set();

  constructor() {
    this.list = h("ol", { class: "cards" });
    this.none = h("p", { class: "nothing", role: "status" }, t("callsNone"));
    this.state = h("p", { class: "small link-state", role: "status" });
    this.side = h("div", { class: "side" }, h("h2", {}, t("viewCalls")), this.state, this.none, this.list);
    this.stage = h("div", { class: "stage" }, h("p", { class: "nothing" }, t("callsChoose")));
    $("view-calls").append(this.side, this.stage);
    setInterval(() => this.#ticks(), TICK_MS);
  }

  /** Listen for calls while the viewer may. */
  allow(info) {
    this.#info = info;
    const may = Boolean(info?.user?.operator);
    if (may && !this.#feed) {
      this.#feed = new Feed("api/watch", { refused: notForUs });
      this.#feed.addEventListener("message", ({ detail }) => detail.kind === "calls" && this.#show(detail.calls));
      this.#feed.addEventListener("state", ({ detail }) => this.#link(detail));
    } else if (!may && this.#feed) {
      this.#feed.close();
      this.#feed = null;
      this.open(null);
    }
  }

  /** Resolves when the call is listed, or has not been for so long that it may be asked for. */
  listed(id) {
    return new Promise((resolve) => {
      const stop = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const look = () => this.#calls.some((call) => call.id === id) && stop();
      const timer = setTimeout(stop, LISTED_WITHIN_MS);
      this.#waiting.add(look);
      look();
    });
  }

  /** Show the call with this id, or none. */
  open(id) {
    if (this.#open?.id === id) return;
    this.#open?.close();
    this.#open = id && this.#feed ? new CallView(id, this.#info) : null;
    this.stage.replaceChildren(...(this.#open ? this.#open.nodes : [h("p", { class: "nothing" }, t("callsChoose"))]));
    $("view-calls").classList.toggle("has-open", this.#open !== null);
    this.#mark();
  }

  search() {
    this.#open?.search();
  }

  pause() {
    this.#open?.pause();
  }

  #link(state) {
    say(this.state, state === "open" ? "" : t(`feed_${state}`));
  }

  #show(calls) {
    this.#calls = calls.toSorted((one, other) => (one.status === other.status ? other.started_at - one.started_at : one.status === "live" ? -1 : 1));
    const live = calls.filter((call) => call.status === "live").length;
    say($("calls-count"), live ? String(live) : "");
    const seen = new Set(calls.map((call) => call.id));
    for (const id of [...this.#cards.keys()]) if (!seen.has(id)) this.#cards.delete(id);
    this.list.replaceChildren(...this.#calls.map((call) => this.#card(call)));
    for (const look of [...this.#waiting]) look();
    this.none.hidden = calls.length > 0;
    this.#ticks();
    this.#mark();
  }

  #card(call) {
    let card = this.#cards.get(call.id);
    if (!card) {
      const part = (name) => h("span", { class: name });
      const parts = { lamp: h("span", { class: "lamp", "aria-hidden": "true" }), who: part("card-who"), time: part("card-time"), words: part("card-words"), facts: part("card-facts") };
      const link = h("a", { href: `#/calls/${encodeURIComponent(call.id)}` }, parts.lamp, parts.who, parts.time, parts.words, parts.facts);
      card = { ...parts, link, item: h("li", { "data-call": call.id }, link) };
      this.#cards.set(call.id, card);
    }
    card.lamp.dataset.lamp = call.status === "ended" ? "off" : { attached: "ready", refused: "failed", lost: "failed" }[call.observer] ?? "loading";
    say(card.who, call.user || call.id);
    say(card.words, call.last_words || t("nothingSaid"));
    const facts = [call.profile, t("turnsCount", { count: call.turns }), t(`filtered_${call.filtered}`), call.status === "live" && call.observer !== "attached" && t(`observer_${call.observer}`), call.recorded && t("recorded")];
    say(card.facts, facts.filter(Boolean).join(" · "));
    card.item.dataset.status = call.status;
    return card.item;
  }

  #ticks() {
    for (const call of this.#calls) {
      const until = call.ended_at ?? Date.now() / 1000;
      const words = clock((until - call.started_at) * 1000);
      const card = this.#cards.get(call.id);
      if (card) say(card.time, call.status === "live" ? words : t("endedAfter", { time: words }));
    }
    this.#open?.tick();
  }

  #mark() {
    for (const [id, { link }] of this.#cards) {
      if (id === this.#open?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}
