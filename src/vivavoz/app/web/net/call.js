// One call: microphone in, voice out, events on the data channel. It knows WebRTC and nothing of the page.

import { CallError } from "./api.js";

const OPEN_WITHIN_MS = 15_000;
const LOST_AFTER_MS = 5_000;
const MICROPHONE_ERRORS = {
  NotFoundError: "noMicrophone",
  OverconstrainedError: "noMicrophone",
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotReadableError: "micBusy",
  AbortError: "micBusy",
};

/** The microphone as a stream, with the browser's echo canceller: without it the voice interrupts itself. */
export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) throw new CallError("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  if (deviceId) audio.deviceId = { exact: deviceId };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new CallError(MICROPHONE_ERRORS[error.name] ?? "noMicrophone", { message: error.message });
  }
}

/** A stream of silence: a call without a microphone still offers sound both ways, as every service expects. */
export function openSilence(context) {
  return context.createMediaStreamDestination().stream;
}

export class Call extends EventTarget {
  #peer = new RTCPeerConnection();
  #channel = this.#peer.createDataChannel("oai-events");
  #abort = new AbortController();
  #sender = null;
  #lostTimer = 0;
  #over = false;
  #opened = false;

  /** Dispatches `voice` (MediaStream), `event` (a server event), `sent` (a client event), `connection` (a state)
   *  and, once, `over` (null or a CallError). */
  constructor() {
    super();
    this.#peer.addEventListener("track", ({ track, streams }) =>
      this.#emit("voice", streams[0] ?? new MediaStream([track])));
    this.#peer.addEventListener("connectionstatechange", () => this.#watch());
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    this.#channel.addEventListener("close", () => this.#finish(new CallError("closed")));
  }

  /** Resolves to what `exchange(offer, signal)` resolved to, when both sides can send events; its `sdp` is the
   *  answer. Rejects with a CallError; the call is over then. */
  async connect(exchange, track) {
    try {
      this.#sender = this.#peer.addTrack(track);
      const offer = await this.#peer.createOffer();
      await this.#peer.setLocalDescription(offer);
      const made = await exchange(offer.sdp, this.#abort.signal);
      await this.#peer.setRemoteDescription({ type: "answer", sdp: made.sdp });
      await this.#open();
      this.#opened = true;
      return made;
    } catch (error) {
      this.#finish(null);
      throw error instanceof CallError ? error : new CallError("refusedCall", { message: error.message });
    }
  }

  /** Send a client event; false when the call is no longer there to hear it. */
  send(event) {
    if (this.#channel.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(event));
    this.#emit("sent", event);
    return true;
  }

  /** Speak from another microphone without a new call. */
  async replaceTrack(track) {
    await this.#sender?.replaceTrack(track);
  }

  /** How far the connection is: `{ice, connection, channel}`, in WebRTC's words. */
  get progress() {
    const { iceConnectionState: ice, connectionState: connection } = this.#peer;
    return { ice, connection, channel: this.#channel.readyState };
  }

  /** The browser's own counters of this call. */
  stats() {
    return this.#peer.getStats();
  }

  hangup() {
    this.#finish(null);
  }

  #open() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#unreachable()), OPEN_WITHIN_MS);
      const settle = (done, value) => {
        clearTimeout(timer);
        done(value);
      };
      this.#channel.addEventListener("open", () => settle(resolve), { once: true });
      this.addEventListener("over", ({ detail }) => settle(reject, detail ?? this.#unreachable()), { once: true });
      if (this.#channel.readyState === "open") settle(resolve);
    });
  }

  #watch() {
    clearTimeout(this.#lostTimer);
    const state = this.#peer.connectionState;
    this.#emit("connection", state);
    if (state === "failed") this.#finish(this.#opened ? new CallError("lost") : this.#unreachable());
    if (state === "closed") this.#finish(new CallError("closed"));
    // A moment without packets mends itself on most networks; longer than this it has not.
    if (state === "disconnected") this.#lostTimer = setTimeout(() => this.#finish(new CallError("lost")), LOST_AFTER_MS);
  }

  /** With how far it came, for the doctor's line. */
  #unreachable() {
    return Object.assign(new CallError("unreachable"), { progress: this.progress, offer: this.#peer.localDescription?.sdp ?? "", answer: this.#peer.remoteDescription?.sdp ?? "" });
  }

  #receive(data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return; // Not an event of this protocol; nothing in the page could use it.
    }
    this.#emit("event", event);
  }

  #finish(error) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#lostTimer);
    this.#abort.abort();
    this.#channel.close();
    this.#peer.close();
    this.#emit("over", error);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
