// The telephone: start, speak, hear, read both sides, interrupt, type, end. One call at a time.

import { CallError, adopt, callByConnect, callByToken } from "../net/api.js";
import { openMicrophone, openSilence } from "../net/call.js";
import { diagnose } from "../model/network.js";
import { t } from "../words/words.js";
import { listDevices } from "./devices.js";
import { $, clock, fill } from "./dom.js";
import { Lines } from "./lines.js";
import { Grille } from "./meter.js";
import { notice, showState } from "./notice.js";
import { showNetwork, showWays } from "./path.js";
import { TalkCall } from "./talk-call.js";
import { TalkInspector } from "./talk-inspector.js";

// Races that the protocol answers with an error and that harm nobody.
const BENIGN = new Set(["response_cancel_not_active", "item_retrieve_invalid_item_id"]);

export class Talk {
  #lines = new Lines();
  #grille = new Grille($("grille"), (you, them) => {
    if (!$("connection").open) return;
    $("level-you").value = you;
    $("level-them").value = them;
  });
  #inspector = new TalkInspector();
  #info = null;
  #sound = null; // the AudioContext: made at the first click, as browsers want it
  #live = null; // the call in progress, or what stands for it while it is being made
  #typing = false; // how the last call began
  #askKey;
  #listed;

  /** `askKey(kind, then)` asks for a key, and `then` starts what it was needed for. `listed(id)` resolves when the
   *  application lists that call. */
  constructor({ askKey, listed }) {
    this.#askKey = askKey;
    this.#listed = listed;
    showState(t("stateIdle"), t("hintIdle"));
    showNetwork(null);
    this.#wire();
    listDevices(this.#live?.microphone);
  }

  get inCall() {
    return this.#live !== null;
  }

  /** The browser's own counters of the call in progress. */
  stats() {
    return this.#live?.call?.stats() ?? null;
  }

  /** What the application says of itself; null while it does not answer. */
  configure(info) {
    if (!info) return;
    this.#info = info;
    fill($("profile"), info.profiles.map(({ name, title }) => [name, title || name]), $("profile").dataset.chosen ?? info.default_profile);
    $("profile").hidden = info.profiles.length < 2;
    $("consent").hidden = !(info.notice || info.recordings);
    $("consent").textContent = info.notice ?? t("mayBeRecorded");
    showWays(info);
    this.#inspector.allow(info.user?.operator ?? false);
  }

  search() {
    this.#inspector.search();
  }

  toggleInspector() {
    this.#inspector.toggle();
  }

  // ------------------------------------------------------------------------------------------ states

  #setCall(state) {
    document.body.dataset.call = state;
    this.#grille.waiting = state === "starting";
    for (const input of [$("profile"), ...$("modes").elements]) input.disabled = state !== "idle";
  }

  #showPhase() {
    const live = this.#live;
    if (!live?.phase || !live.began) return;
    const { word } = live.phase;
    document.body.dataset.phase = word;
    $("stop").disabled = !live.phase.busy;
    if (word === "listening" && live.muted) showState(t("stateMuted"), t("hintMuted"));
    else if (word === "listening" && !live.microphone) showState(t("stateTyping"), t("hintTyping"));
    else if (word === "listening") showState(t("stateListening"), t("hintListening"));
    else if (word === "speaking") showState(t("stateSpeaking"), t("hintSpeaking"));
    else showState(t(word === "hearing" ? "stateHearing" : "stateThinking"));
  }

  #idle(state, hint) {
    this.#live = null;
    this.#setCall("idle");
    document.body.dataset.phase = "idle";
    $("mute").setAttribute("aria-pressed", "false");
    $("mute").textContent = t("mute");
    showState(state, hint);
    showNetwork(null);
  }

  #ended(call, error) {
    this.#idle(t("stateEnded"), t("hintEnded", { time: clock(performance.now() - call.began) }));
    if (!error) return $("talk").focus();
    const again = ["retry", () => this.start({ typing: this.#typing })];
    return notice.show(t(error.kind), t(`${error.kind}Text`), [again, ["dismiss", notice.hide]]);
  }

  // ---------------------------------------------------------------------------------------- starting

  /** Start a call, by voice or by typing only; `first` is the line that starts it. */
  async start({ typing = false, first = "" } = {}) {
    this.#live?.close();
    if (!window.RTCPeerConnection) return notice.show(t("unsupported"), t("unsupportedText"));
    notice.hide();
    this.#lines.clear();
    this.#typing = typing;
    this.#setCall("starting");
    let microphone = null;
    let mine = (this.#live = { close: () => {}, type: (text) => { first = text; } });
    try {
      this.#sound ??= new AudioContext();
      await this.#sound.resume();
      if (!typing) {
        showState(t("stateMicrophone"), t("hintMicrophone"));
        microphone = await openMicrophone($("device").value);
      }
      if (this.#live !== mine) return microphone?.getTracks().forEach((track) => track.stop());
      showState(t("stateConnecting"));
      mine = this.#live = this.#newCall(microphone);
      if (first) mine.type(first);
      await this.#open(mine);
    } catch (error) {
      mine?.close();
      const known = error instanceof CallError ? error : new CallError("refusedCall", { message: String(error.message ?? error) });
      if (this.#live === mine) this.#refused(known, { typing, first });
    }
    return undefined;
  }

  get #way() {
    return document.querySelector("input[name=way]:checked").value;
  }

  #newCall(microphone) {
    const filtered = Boolean(this.#info?.upstream.abilities.filter) && this.#info.filter !== "off";
    const made = new TalkCall({ microphone, silence: openSilence(this.#sound), filtered });
    const on = (type, act) => made.addEventListener(type, ({ detail }) => act(detail));
    on("line", (line) => this.#lines.draw(line));
    on("phase", (event) => this.#heard(event));
    on("voice", (stream) => this.#voice(stream));
    on("microphone", (stream) => this.#grille.listen("you", this.#sound, stream));
    on("gone", () => this.#lines.note(t("microphoneGone")));
    on("network", (network) => this.#live === made && showNetwork(network, made.call.progress));
    on("over", (error) => this.#over(made, error));
    this.#inspector.follow(made);
    return made;
  }

  async #open(mine) {
    const profile = $("profile").value;
    const way = this.#way;
    const exchange = way === "connect"
      ? (sdp, signal) => callByConnect(sdp, { profile }, signal)
      : (sdp, signal) => callByToken(sdp, { profile, filter: mine.phase.filtered }, signal);
    const made = await mine.open(exchange);
    if (this.#live !== mine) return mine.close();
    $("model").textContent = made.model ?? $("model").textContent;
    this.#setCall("live");
    this.#showPhase();
    if (mine.id && this.#info?.user?.operator) mine.observe(this.#known(mine.id, way, profile));
    await listDevices(this.#live?.microphone);
    if (this.#typing) $("line").focus();
    return undefined;
  }

  /** The application knows of the call: it made it, the service lists it, or it is told now. */
  #known(id, way, profile) {
    const told = way === "connect" || this.#info.upstream.abilities.lists_calls;
    return told ? this.#listed(id) : adopt(id, profile).catch(() => {}); // What is wrong, the watch will say.
  }

  /** Hang up; where the call has not begun yet, take the attempt back. */
  end() {
    const was = this.#live;
    if (was !== null && !was.began) this.#idle(t("stateIdle"), t("hintIdle"));
    was?.close();
  }

  #heard(event) {
    if (event?.type === "error" && !BENIGN.has(event.error.code)) this.#lines.note(event.error.message);
    if (event?.session?.model) $("model").textContent = event.session.model;
    this.#showPhase();
  }

  #voice(stream) {
    $("voice").srcObject = stream;
    // Where the browser refuses to start by itself, the click that began the call lets it.
    $("voice").play().catch(() => {});
    this.#grille.listen("them", this.#sound, stream);
  }

  #over(call, error) {
    if (this.#live !== call) return;
    $("voice").srcObject = null;
    this.#grille.listen("you", this.#sound, null);
    this.#grille.listen("them", this.#sound, null);
    if (call.began) this.#ended(call, error);
  }

  /** A call that did not start: say why, and offer what helps. */
  #refused(error, attempt) {
    this.#idle(t("stateError"), "");
    const retry = ["retry", () => this.start(attempt)];
    const typing = ["goOnTyping", () => this.start({ ...attempt, typing: true })];
    const close = ["dismiss", notice.hide];
    switch (error.kind) {
      case "noMicrophone":
      case "denied":
      case "micBusy":
        return notice.show(t(error.kind), t(`${error.kind}Text`), [retry, typing]);
      case "insecure":
        return notice.show(t("insecure"), t("insecureText"), [typing, close]);
      case "refused":
      case "wrongKey":
        return this.#askKey(error.kind, () => this.start(attempt));
      case "busy":
        return this.#waitAndRetry(error, attempt);
      case "network":
        return notice.show(t("network"), t("networkText", { host: location.host }), [retry, close]);
      case "unreachable":
        return this.#unreachable(error, [retry, close]);
      default:
        return notice.show(t(error.kind), error.detail, [retry, close]);
    }
  }

  #unreachable(error, actions) {
    const { cause, tried } = diagnose(error);
    $("connection").open = true;
    notice.show(t("unreachable"), t("unreachableText"), actions, { doctor: t(cause, { tried: tried.slice(0, 3).join(", ") }) });
  }

  #waitAndRetry(error, attempt) {
    let seconds = Math.ceil(error.retryAfter);
    const words = () => t("busyText", { message: error.detail, seconds }).trim();
    const stop = () => clearInterval(timer);
    const again = () => {
      stop();
      this.start(attempt);
    };
    const timer = setInterval(() => {
      seconds -= 1;
      if (this.#live !== null || $("notice").hidden) stop();
      else if (seconds > 0) notice.text(words());
      else again();
    }, 1000);
    showState(t("stateWaiting"));
    notice.show(t("busy"), words(), [
      ["retry", again],
      ["cancel", () => { stop(); notice.hide(); this.#idle(t("stateIdle"), t("hintIdle")); }],
    ]);
  }

  // ---------------------------------------------------------------------------------------- elements

  interrupt() {
    this.#live?.interrupt?.();
  }

  toggleMute() {
    const live = this.#live;
    if (!live?.began) return;
    live.mute(!live.muted);
    $("mute").setAttribute("aria-pressed", String(live.muted));
    $("mute").textContent = t(live.muted ? "unmute" : "mute");
    this.#showPhase();
  }

  #wire() {
    $("talk").addEventListener("click", () => this.start());
    $("end").addEventListener("click", () => this.end());
    $("stop").addEventListener("click", () => this.interrupt());
    $("mute").addEventListener("click", () => this.toggleMute());
    $("profile").addEventListener("change", () => { $("profile").dataset.chosen = $("profile").value; });
    $("device").addEventListener("change", () =>
      this.#live?.useMicrophone?.($("device").value).catch((error) => this.#lines.note(t(error.kind ?? "noMicrophone"))));
    $("speaker").addEventListener("change", () => $("voice").setSinkId($("speaker").value).catch(() => this.#lines.note(t("speakerRefused"))));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => listDevices(this.#live?.microphone));
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = $("line").value.trim();
      if (!text) return;
      $("line").value = "";
      if (this.#live) this.#live.type(text);
      else this.start({ typing: true, first: text });
    });
    addEventListener("pagehide", () => this.#live?.close());
  }
}
