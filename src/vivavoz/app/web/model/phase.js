// What the call is doing, read off the server's events. Pure: events in, a word out.
//
// Under the filter a browser is not told of responses nor of cleared sound: there, speech is taken to stop the
// voice (as it does), and what was asked is waited for until it is heard.

/** Follows one call. `word` is listening, hearing, thinking or speaking. */
export class Phase {
  filtered = false;
  #hearing = false;
  #answering = null;
  #playing = null;
  #waiting = false;

  /** True while there is an answer to interrupt. */
  get busy() {
    return this.#answering !== null || this.#playing !== null || (this.filtered && this.#waiting);
  }

  get generating() {
    return this.#answering !== null || (this.filtered && (this.#waiting || this.#playing !== null));
  }

  get playing() {
    return this.#playing !== null;
  }

  get word() {
    if (this.#hearing) return "hearing";
    if (this.#playing !== null) return "speaking";
    return this.#answering !== null || this.#waiting ? "thinking" : "listening";
  }

  /** An answer was asked for. */
  asked() {
    this.#waiting = true;
  }

  /** It was taken back, or waited for long enough. */
  dropped() {
    this.#waiting = false;
    if (this.filtered) this.#playing = null;
  }

  apply(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.#hearing = true;
        if (this.filtered) this.#playing = null;
        break;
      case "input_audio_buffer.speech_stopped":
        this.#hearing = false;
        this.#waiting = true;
        break;
      case "conversation.item.input_audio_transcription.completed":
      case "conversation.item.input_audio_transcription.failed":
        // A turn with nothing in it gets no answer: there is nothing to wait for.
        if (!event.transcript?.trim()) this.#waiting = false;
        break;
      case "response.created":
        this.#waiting = false;
        this.#answering = event.response.id;
        break;
      case "response.done":
        this.#waiting = false;
        this.#answering = null;
        break;
      case "response.output_text.done":
        if (this.filtered) this.#waiting = false;
        break;
      case "output_audio_buffer.started":
        this.#waiting = false;
        this.#playing = event.response_id;
        break;
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        this.#playing = null;
        break;
    }
  }
}
