// The page: joins the call, the conversation and the elements. One call at a time.

import { CallError, key, mintToken } from "./api.js";
import { Call, openMicrophone, openSilence } from "./call.js";
import { t, translate } from "./i18n.js";
import { Grille } from "./meter.js";
import { Phase } from "./phase.js";
import { StatusPoll } from "./status.js";
import { Transcript } from "./transcript.js";
import { $, Log, notice, showEngines, showMicrophones, showState } from "./ui.js";

// Races that the protocol answers with an error and that harm nobody.
const BENIGN = new Set(["response_cancel_not_active", "item_retrieve_invalid_item_id"]);
const TICK_MS = 60;

const log = new Log();
const grille = new Grille($("grille"));

let sound = null; // the AudioContext: made at the first click, as browsers want it
let live = null; // the call in progress, with everything that ends with it
let lastWasTyping = false;

/** One call and what belongs to it. */
class Live {
  call = new Call();
  phase = new Phase();
  transcript = new Transcript((line) => log.draw(line));
  microphone = null;
  muted = false;
  began = 0;
  #ticker = 0;
  #queue = [];

  constructor(microphone) {
    this.microphone = microphone;
    this.call.addEventListener("event", ({ detail }) => this.#event(detail));
    this.call.addEventListener("voice", ({ detail }) => this.#voice(detail));
    this.call.addEventListener("over", ({ detail }) => this.#over(detail));
  }

  async open() {
    const stream = this.microphone ?? openSilence(sound);
    this.#listen();
    const { token, model, status } = await mintToken();
    if (model) $("model").textContent = model;
    if (Array.isArray(status)) showEngines(status);
    if (live !== this) return;
    await this.call.connect(token, stream.getAudioTracks()[0]);
    this.began = performance.now();
    this.call.send({
      type: "session.update",
      session: { type: "realtime", audio: { input: { transcription: { model: "whisper-1" } } } },
    });
    this.#queue.forEach((text) => this.#say(text));
    this.#queue = [];
  }

  type(text) {
    if (this.began) this.#say(text);
    else this.#queue.push(text);
  }

  interrupt() {
    if (this.phase.generating) this.call.send({ type: "response.cancel" });
    if (this.phase.playing) this.call.send({ type: "output_audio_buffer.clear" });
  }

  mute(muted) {
    this.muted = muted;
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  async useMicrophone(deviceId) {
    const next = await openMicrophone(deviceId);
    await this.call.replaceTrack(next.getAudioTracks()[0]);
    this.#stopMicrophone();
    this.microphone = next;
    this.mute(this.muted);
    this.#listen();
  }

  close() {
    this.call.hangup();
    this.#stopMicrophone();
  }

  #say(text) {
    this.interrupt();
    const id = `item_${crypto.getRandomValues(new Uint32Array(3)).join("").slice(0, 20)}`;
    this.transcript.typed(id, text);
    this.call.send({
      type: "conversation.item.create",
      item: { id, type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
    this.call.send({ type: "response.create" });
  }

  #event(event) {
    if (event.type === "session.created" || event.type === "session.updated") $("model").textContent = event.session.model;
    if (event.type === "error" && !BENIGN.has(event.error.code)) log.note(event.error.message);
    this.phase.apply(event);
    for (const reply of this.transcript.apply(event, performance.now())) this.call.send(reply);
    if (this.phase.playing && !this.#ticker) this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    showLive();
  }

  #tick() {
    if (this.transcript.tick(performance.now())) return;
    clearInterval(this.#ticker);
    this.#ticker = 0;
  }

  #voice(stream) {
    $("voice").srcObject = stream;
    // Where the browser refuses to start by itself, the click that began the call lets it.
    $("voice").play().catch(() => {});
    grille.listen("them", sound, stream);
  }

  #over(error) {
    clearInterval(this.#ticker);
    this.#stopMicrophone();
    $("voice").srcObject = null;
    grille.listen("you", sound, null);
    grille.listen("them", sound, null);
    if (live === this && this.began) ended(this, error);
  }

  #listen() {
    grille.listen("you", sound, this.microphone);
    this.microphone?.getAudioTracks()[0].addEventListener("ended", () => log.note(t("microphoneGone")));
  }

  #stopMicrophone() {
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
  }
}

// ------------------------------------------------------------------------------------------------ states

function setCall(state) {
  document.body.dataset.call = state;
  grille.waiting = state === "starting";
}

function showLive() {
  if (live === null) return;
  const { word } = live.phase;
  document.body.dataset.phase = word;
  $("stop").disabled = !live.phase.busy;
  if (word === "listening" && live.muted) showState(t("stateMuted"), t("hintMuted"));
  else if (word === "listening" && !live.microphone) showState(t("stateTyping"), t("hintTyping"));
  else if (word === "listening") showState(t("stateListening"), t("hintListening"));
  else if (word === "speaking") showState(t("stateSpeaking"), t("hintSpeaking"));
  else showState(t(word === "hearing" ? "stateHearing" : "stateThinking"));
}

function duration(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function idle(state, hint) {
  live = null;
  setCall("idle");
  document.body.dataset.phase = "idle";
  $("picker").hidden = true;
  $("mute").setAttribute("aria-pressed", "false");
  $("mute").textContent = t("mute");
  showState(state, hint);
}

function ended(call, error) {
  idle(t("stateEnded"), t("hintEnded", { time: duration(performance.now() - call.began) }));
  if (error) notice.show(t(error.kind), t(`${error.kind}Text`), [["retry", () => start({ typing: lastWasTyping })], ["dismiss", notice.hide]]);
  else $("talk").focus();
}

// ---------------------------------------------------------------------------------------------- starting

/** Start a call, by voice or by typing only; `first` is the line that starts it. */
async function start({ typing = false, first = "" } = {}) {
  live?.close();
  if (!window.RTCPeerConnection) return notice.show(t("unsupported"), t("unsupportedText"));
  notice.hide();
  log.clear();
  lastWasTyping = typing;
  setCall("starting");
  let mine = null;
  let microphone = null;
  live = mine = { close: () => {}, type: (text) => { first = text; } };
  try {
    sound ??= new AudioContext();
    await sound.resume();
    if (!typing) {
      showState(t("stateMicrophone"), t("hintMicrophone"));
      microphone = await openMicrophone();
    }
    if (live !== mine) return microphone?.getTracks().forEach((track) => track.stop());
    showState(t("stateConnecting"));
    live = mine = new Live(microphone);
    if (first) mine.type(first);
    await mine.open();
    if (live !== mine) return mine.close();
    setCall("live");
    showLive();
    await listMicrophones();
    if (typing) $("line").focus();
  } catch (error) {
    mine?.close();
    if (live === mine) refused(error instanceof CallError ? error : new CallError("refusedCall", { message: String(error.message ?? error) }), { typing, first });
  }
  return undefined;
}

/** Hang up; where the call has not begun yet, take the attempt back. */
function end() {
  const was = live;
  if (was !== null && !was.began) idle(t("stateIdle"), t("hintIdle"));
  was?.close();
}

async function listMicrophones() {
  if (!live?.microphone) return;
  const devices = await navigator.mediaDevices.enumerateDevices();
  const current = live.microphone.getAudioTracks()[0].getSettings().deviceId;
  showMicrophones(devices.filter((device) => device.kind === "audioinput"), current);
}

/** A call that did not start: say why, and offer what helps. */
function refused(error, attempt) {
  idle(t("stateError"), "");
  const retry = ["retry", () => start(attempt)];
  const typing = ["goOnTyping", () => start({ typing: true })];
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
      onKey = () => start(attempt);
      return notice.show(t(error.kind), t("refusedText"), [["cancel", notice.hide]], { askKey: true });
    case "busy":
      return waitAndRetry(error, attempt);
    case "network":
      return notice.show(t("network"), t("networkText", { host: location.host }), [retry, close]);
    case "unreachable":
      return notice.show(t("unreachable"), t("unreachableText"), [retry, close]);
    default:
      return notice.show(t(error.kind), error.detail, [retry, close]);
  }
}

function waitAndRetry(error, attempt) {
  let seconds = Math.ceil(error.retryAfter);
  const words = () => t("busyText", { message: error.detail, seconds }).trim();
  const stop = () => clearInterval(timer);
  const timer = setInterval(() => {
    seconds -= 1;
    if (live !== null || $("notice").hidden) stop();
    else if (seconds > 0) notice.text(words());
    else {
      stop();
      start(attempt);
    }
  }, 1000);
  showState(t("stateWaiting"));
  notice.show(t("busy"), words(), [
    ["retry", () => { stop(); start(attempt); }],
    ["cancel", () => { stop(); notice.hide(); idle(t("stateIdle"), t("hintIdle")); }],
  ]);
}

// ---------------------------------------------------------------------------------------------- elements

let onKey = () => {};

translate(document);
showState(t("stateIdle"), t("hintIdle"));
new StatusPoll(showEngines).start();

$("talk").addEventListener("click", () => start());
$("end").addEventListener("click", end);
$("stop").addEventListener("click", () => live?.interrupt?.());
$("mute").addEventListener("click", () => {
  if (!live?.mute) return;
  live.mute(!live.muted);
  $("mute").setAttribute("aria-pressed", String(live.muted));
  $("mute").textContent = t(live.muted ? "unmute" : "mute");
  showLive();
});
$("device").addEventListener("change", () => live?.useMicrophone?.($("device").value).catch((error) => log.note(t(error.kind ?? "noMicrophone"))));
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("line").value.trim();
  if (!text) return;
  $("line").value = "";
  if (live) live.type(text);
  else start({ typing: true, first: text });
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set($("key").value.trim());
  $("key").value = "";
  onKey();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") live?.interrupt?.();
});
addEventListener("pagehide", () => live?.close());

// For the person at the console, and for tests: the browser's own counters of the call.
globalThis.vivavoz = { stats: () => live?.call?.stats() ?? null };
