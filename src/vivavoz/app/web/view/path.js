// How the call travels: the way it is made, its path, and the path's figures.

import { t } from "../words/words.js";
import { $, h, say } from "./dom.js";

const BAD_LOSS_PERCENT = 3;

/** The two ways to make a call, and what each of them shows the browser. */
export function showWays(info) {
  const reads = info.browser_reads_session;
  for (const input of document.querySelectorAll("input[name=way]")) {
    input.closest("label").hidden = input.value === "token" && info.tokens === false;
    if (input.value === "connect" && info.tokens === false) input.checked = true;
  }
  const filtered = info.upstream.abilities.filter && info.filter !== "off";
  say($("way-token-text"), t(reads.token ? (filtered ? "wayTokenCanRead" : "wayReads") : "wayTokenText"));
  say($("way-connect-text"), t(reads.connect ? "wayReads" : "wayConnectText"));
  $("way-token-text").classList.toggle("warn", reads.token);
  $("way-connect-text").classList.toggle("warn", reads.connect);
}

/** `network` as in model/network.js, null outside a call; `progress` as in net/call.js. */
export function showNetwork(network, progress = null) {
  const lamp = $("path-lamp");
  if (!network) {
    lamp.dataset.lamp = "off";
    say($("path-summary"), t("connection"));
    $("facts").replaceChildren();
    $("level-you").value = $("level-them").value = 0;
    return;
  }
  const { path, rttMs, lossPercent, jitterMs, bufferMs } = network;
  const bad = (lossPercent ?? 0) > BAD_LOSS_PERCENT || progress.connection !== "connected";
  lamp.dataset.lamp = bad ? "demo" : "ready";
  const figures = [path && t(`path_${path}`), rttMs !== null && `${rttMs} ms`, lossPercent !== null && t("lossShort", { percent: percent(lossPercent) })];
  say($("path-summary"), figures.filter(Boolean).join(" · ") || t("connection"));
  const rows = [
    ["factState", `${progress.connection} · ICE ${progress.ice}`],
    ["factPath", network.local && `${network.protocol?.toUpperCase() ?? ""} ${network.local} → ${network.remote}`],
    ["factRtt", ms(rttMs)], ["factLoss", lossPercent === null ? null : `${percent(lossPercent)} %`],
    ["factJitter", ms(jitterMs)], ["factBuffer", ms(bufferMs)],
    ["factRate", network.receivedKbps === null ? null : `${network.receivedKbps} kbit/s`],
  ];
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => (value ? [h("dt", {}, t(name)), h("dd", {}, value)] : [])));
}

const ms = (value) => (value === null ? null : `${value} ms`);
const percent = (value) => (value < 0.05 ? "0" : value.toFixed(1));
