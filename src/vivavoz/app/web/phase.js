// What the call is doing, read off the server's events. Pure: events in, a word out.

/** Follows one call. `word` is listening, hearing, thinking or speaking. */
export class Phase {
  #hearing = false;
  #answering = null;
  #playing = null;
  #waiting = false;

  /** True while there is an answer to interrupt. */
  get busy() {
    return this.#answering !== null || this.#playing !== null;
  }

  get generating() {
    return this.#answering !== null;
  }

  get playing() {
    return this.#playing !== null;
  }

  get word() {
    if (this.#hearing) return "hearing";
    if (this.#playing !== null) return "speaking";
    return this.#answering !== null || this.#waiting ? "thinking" : "listening";
  }

  apply(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.#hearing = true;
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
      case "output_audio_buffer.started":
        this.#playing = event.response_id;
        break;
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        this.#playing = null;
        break;
    }
  }
}
