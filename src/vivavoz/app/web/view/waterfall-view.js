// The turns of a call, newest first, each as a waterfall: where the time between question and answer went.

import { axis, totals, waterfall } from "../model/waterfall.js";
import { t } from "../words/words.js";
import { h } from "./dom.js";

const SHOWN = 100;

export class WaterfallView {
  #drawn = "";

  constructor() {
    this.summary = h("p", { class: "turns-summary" });
    this.list = h("ol", { class: "turns" });
    this.root = h("div", { class: "waterfall" }, this.summary, this.list);
    this.show([]);
  }

  /** `turns` as in the call's `turns_log`; `network` as in model/network.js, where this page holds the call. */
  show(turns, network = null) {
    const way = network && { rttMs: network.rttMs, bufferMs: network.bufferMs };
    const now = JSON.stringify([turns, way]);
    if (now === this.#drawn) return;
    this.#drawn = now;
    const { count, p50, p95 } = totals(turns, way);
    this.summary.textContent = count ? t("turnsSummary", { count, p50, p95 }) : t(turns.length ? "turnsUnheard" : "turnsNone");
    const drawn = turns.slice(-SHOWN).reverse().map((turn) => [turn, waterfall(turn, way)]);
    const longest = Math.max(0, ...drawn.flatMap(([, { bars }]) => bars.map((bar) => bar.to)));
    const scale = axis(longest);
    this.list.replaceChildren(...drawn.map(([turn, made]) => row(turn, made, scale)));
  }
}

function row(turn, { bars, total, source }, { end, ticks }) {
  const words = [t("turn", { n: turn.n }), total === null ? t("notHeard") : t("heardAfter", { ms: total })];
  if (turn.interrupted) words.push(t("turnInterrupted"));
  else if (turn.status && turn.status !== "completed") words.push(t(`status_${turn.status}`));
  const share = (ms) => `${(100 * ms) / end}%`;
  const lanes = bars.map((bar) => {
    const block = h("span", { class: "block", "data-stage": bar.name });
    block.style.setProperty("left", share(bar.from));
    block.style.setProperty("width", `max(2px, ${share(bar.to - bar.from)})`);
    return h("li", { class: "lane" },
      h("span", { class: "lane-name" }, t(`stage_${bar.name}`)),
      h("span", { class: "track", "aria-hidden": "true" }, block),
      h("span", { class: "lane-ms" }, t("atMs", { ms: bar.to }), h("span", { class: "unseen" }, ` ${t("tookMs", { ms: bar.to - bar.from })}`)));
  });
  const scale = h("li", { class: "lane lane-axis", "aria-hidden": "true" }, h("span", {}), h("span", { class: "track" }, ticks.map((ms) => {
    const tick = h("span", { class: "tick" }, String(ms));
    tick.style.setProperty("left", share(ms));
    return tick;
  })), h("span", { class: "lane-ms" }, "ms"));
  return h("li", { class: "turn-times", "data-source": source },
    h("p", { class: "turn-head" }, h("b", {}, words[0]), h("span", {}, words.slice(1).join(" · "))),
    h("ol", { class: "lanes" }, lanes, lanes.length ? scale : null),
    source === "events" && bars.length ? h("p", { class: "small" }, t("fromEvents")) : null);
}
