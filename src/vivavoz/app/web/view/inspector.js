// What an operator sees of one call: its events, turns, session, and a way to send anything.

import { EventLog } from "../model/lens.js";
import { t } from "../words/words.js";
import { h, tabs } from "./dom.js";
import { LogView } from "./log-view.js";
import { SendView } from "./send-view.js";
import { SessionView } from "./session-view.js";
import { WaterfallView } from "./waterfall-view.js";

export class Inspector {
  log = new EventLog();

  /** `send(event, way)` true when it was sent; `ways` as in send-view.js; `began()` Unix ms. */
  constructor({ send, ways, began, readOnly = false }) {
    this.logView = new LogView(this.log, began);
    this.turns = new WaterfallView();
    const panels = [["log", t("tabLog"), h("div", { class: "panel panel-log" }, this.logView.root)], ["turns", t("tabTurns"), h("div", { class: "panel" }, this.turns.root)]];
    if (!readOnly) {
      this.session = new SessionView((event) => send(event, "observer") || send(event, "browser"));
      this.sender = new SendView(send, ways);
      panels.push(["session", t("tabSession"), h("div", { class: "panel" }, this.session.root)], ["send", t("tabSend"), h("div", { class: "panel" }, this.sender.root)]);
    }
    const { bar, show } = tabs(t("inspector"), panels);
    this.show = show;
    this.state = h("p", { class: "observer-state", role: "status" });
    this.nodes = [h("div", { class: "inspector-head" }, bar, this.state), ...panels.map(([, , panel]) => panel)];
  }

  /** A new call: nothing of the last one is left. */
  clear() {
    this.log.clear();
    this.logView.pause(false);
    this.turns.show([]);
    this.session?.show(null);
  }

  /** An event that was sent was not passed on. */
  rejected({ message }) {
    this.sender.said.textContent = this.session.sent.textContent = t("failedWith", { message });
  }

  search() {
    this.show("log");
    this.logView.focusSearch();
  }
}
