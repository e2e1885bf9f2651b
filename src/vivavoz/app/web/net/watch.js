// One call as its observer sees it: state, entries, and a way to speak into it. Comes back by itself.

import { callState } from "./api.js";
import { Feed } from "./feed.js";

/** Dispatches `entries` (array, oldest first), `call` (its state), `ended` (reason), `rejected` (error: an
 *  event that was sent is not passed on), `refused` (error: there is nothing to watch) and `link` (the feed's state). */
export class CallWatch extends EventTarget {
  #feed;

  constructor(id, { role = "control" } = {}) {
    super();
    this.#feed = new Feed(`api/calls/${encodeURIComponent(id)}/watch?role=${role}`, { refused: () => this.#refused(id) });
    this.#feed.addEventListener("message", ({ detail }) => this.#message(detail));
    this.#feed.addEventListener("state", ({ detail }) => this.#emit("link", detail));
  }

  get link() {
    return this.#feed.state;
  }

  send(event) {
    return this.#feed.send({ event });
  }

  close() {
    this.#feed.close();
  }

  #message(message) {
    switch (message.kind) {
      case "snapshot":
        this.#emit("entries", message.entries);
        this.#emit("call", message.call);
        break;
      case "event":
        this.#emit("entries", [message.entry]);
        break;
      case "state":
        this.#emit("call", message.call);
        break;
      case "ended":
        this.#emit("ended", message.reason);
        this.#feed.close();
        break;
      case "refused":
        this.#emit("rejected", message.error);
        break;
    }
  }

  /** A browser is not told why a WebSocket was refused; the same question over HTTP is answered. */
  async #refused(id) {
    try {
      await callState(id);
      return false;
    } catch (error) {
      const final = error.status >= 400 && error.status < 500;
      if (final) this.#emit("refused", { message: error.detail, code: error.code, status: error.status });
      return final;
    }
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
