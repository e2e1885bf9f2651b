// One call of this browser's, and everything that ends with it: microphone, transcript, observer.

import { Call, openMicrophone } from "../net/call.js";
import { CallWatch } from "../net/watch.js";
import { Phase } from "../model/phase.js";
import { readNetwork } from "../model/network.js";
import { Transcript } from "../model/transcript.js";

const TICK_MS = 60;
const COUNTERS_MS = 1_000;
const ANSWER_WITHIN_MS = 20_000;
// What no filtered browser is sent: whoever gets one of these is not behind the filter.
const UNFILTERED = new Set(["session.created", "session.updated", "response.created", "response.done"]);

/** Dispatches `line`, `event` ({event, sent, observed}), `phase`, `network`, `voice`, `microphone`, `over`,
 *  `state` (the observer's view of the call), `observer` (its link) and `gone` (the microphone). */
export class TalkCall extends EventTarget {
  call = new Call();
  phase = new Phase();
  transcript = new Transcript((line) => this.#emit("line", line));
  microphone;
  muted = false;
  began = 0;
  startedAt = Date.now();
  network = null;
  watch = null;
  id = null;
  #ticker = 0;
  #counters = 0;
  #patience = 0;
  #queue = [];

  /** `microphone` null: a call by typing, with `silence` for sound. */
  constructor({ microphone, silence, filtered }) {
    super();
    this.microphone = microphone;
    this.silence = silence;
    this.phase.filtered = this.transcript.filtered = filtered;
    this.call.addEventListener("event", ({ detail }) => this.#received(detail));
    this.call.addEventListener("sent", ({ detail }) => this.#emit("event", { event: detail, sent: true }));
    this.call.addEventListener("voice", ({ detail }) => this.#emit("voice", detail));
    this.call.addEventListener("over", ({ detail }) => this.#over(detail));
  }

  async open(exchange) {
    this.#listen();
    const made = await this.call.connect(exchange, (this.microphone ?? this.silence).getAudioTracks()[0]);
    this.began = performance.now();
    this.id = made.callId;
    this.#counters = setInterval(() => this.#count(), COUNTERS_MS);
    this.#count();
    this.#queue.forEach((text) => this.#say(text));
    this.#queue = [];
    return made;
  }

  /** Attach to the call as its observer, once `known` (a promise) says that there is one. */
  async observe(known) {
    await known;
    if (this.call.progress.channel !== "open") return;
    this.watch = new CallWatch(this.id);
    this.watch.addEventListener("entries", ({ detail }) => this.#emit("observed", detail));
    this.watch.addEventListener("call", ({ detail }) => this.#emit("state", detail));
    for (const type of ["link", "rejected", "refused", "ended"]) {
      this.watch.addEventListener(type, ({ detail }) => this.#emit("observer", { type, detail }));
    }
  }

  /** A server event that only the observer got: what it tells completes the picture. */
  learn(event) {
    this.#apply(event);
  }

  type(text) {
    if (this.began) this.#say(text);
    else this.#queue.push(text);
  }

  interrupt() {
    const { generating, playing } = this.phase;
    if (generating) this.call.send({ type: "response.cancel" });
    if (playing) this.call.send({ type: "output_audio_buffer.clear" });
    if (!this.phase.filtered) return;
    this.transcript.interrupted(performance.now());
    this.phase.dropped();
    this.#emit("phase");
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
    if (this.phase.filtered) this.phase.asked();
    this.#wait();
    this.#emit("phase");
  }

  #received(event) {
    if (this.phase.filtered && UNFILTERED.has(event.type)) this.phase.filtered = this.transcript.filtered = false;
    this.#emit("event", { event, sent: false });
    this.#apply(event);
  }

  #apply(event) {
    this.phase.apply(event);
    for (const reply of this.transcript.apply(event, performance.now())) this.call.send(reply);
    if (this.phase.playing && !this.#ticker) this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#wait();
    this.#emit("phase", event);
  }

  /** Behind the filter nobody says that an answer failed: it is waited for no longer than an answer takes. */
  #wait() {
    clearTimeout(this.#patience);
    if (!this.phase.filtered || this.phase.word !== "thinking") return;
    this.#patience = setTimeout(() => {
      this.phase.dropped();
      this.#emit("phase");
    }, ANSWER_WITHIN_MS);
  }

  #tick() {
    if (this.transcript.tick(performance.now())) return;
    clearInterval(this.#ticker);
    this.#ticker = 0;
  }

  async #count() {
    this.network = readNetwork([...(await this.call.stats()).values()], this.network);
    this.#emit("network", this.network);
  }

  #over(error) {
    clearInterval(this.#ticker);
    clearInterval(this.#counters);
    clearTimeout(this.#patience);
    this.#stopMicrophone();
    this.#emit("over", error);
    // The observer has something to say yet: how the call ended. It closes by itself, or here.
    setTimeout(() => this.watch?.close(), COUNTERS_MS * 5);
  }

  #listen() {
    this.#emit("microphone", this.microphone);
    this.microphone?.getAudioTracks()[0].addEventListener("ended", () => this.#emit("gone"));
  }

  #stopMicrophone() {
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
