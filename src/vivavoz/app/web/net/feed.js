// A WebSocket that comes back: JSON messages in, JSON messages out, and a state that a page can show.

import { key } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** A key with the characters that a subprotocol's name may have. */
const spelled = (text) => encodeURIComponent(text).replace(/[()]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);

/** Dispatches `message` (the parsed object) and `state` ("connecting" | "open" | "waiting" | "closed"). */
export class Feed extends EventTarget {
  #path;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #state = "closed";
  #refused;

  /** `refused()` is asked after an attempt that never opened; true: it is no use to try again. */
  constructor(path, { refused = async () => false } = {}) {
    super();
    this.#path = path;
    this.#refused = refused;
    this.#connect();
  }

  get state() {
    return this.#state;
  }

  /** False when nobody is there to hear it. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#set("closed");
  }

  #connect() {
    const url = new URL(this.#path, document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const kept = key.get();
    const socket = kept === null ? new WebSocket(url) : new WebSocket(url, ["vivavoz", `vivavoz-key.${spelled(kept)}`]);
    let opened = false;
    this.#socket = socket;
    this.#set("connecting");
    socket.addEventListener("open", () => {
      if (this.#socket !== socket) return;
      opened = true;
      this.#set("open");
    });
    socket.addEventListener("message", ({ data }) => this.#receive(socket, data));
    socket.addEventListener("close", () => this.#lost(socket, opened));
  }

  #receive(socket, data) {
    if (this.#socket !== socket) return;
    this.#failures = 0; // Not at "open": a relay opens for a server that is gone.
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // Not of this protocol.
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  async #lost(socket, opened) {
    if (this.#socket !== socket) return;
    this.#set("waiting");
    if (!opened && (await this.#refused()) && this.#socket === socket) return this.close();
    if (this.#socket !== socket) return undefined;
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), wait);
    return undefined;
  }

  #set(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
