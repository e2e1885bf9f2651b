// The conversation as lines on a page, built from server events. No DOM in here: lines.js draws the lines.
//
// Words arrive ahead of the sound that says them, so a line knows how far the voice has come: `said` characters
// of `text`. The pace is learned from the answers heard so far. When an answer is cut, what stays unsaid is
// marked; where the service tells the words it kept, they decide, else the pace does. Under the filter nobody
// tells of a cut: speech cuts, unless the sound turns out to have ended by itself.

const FIRST_PACE = 15; // characters a second, unhurried English speech

/** Where `text` may be cut near `position`: at the end of the word that contains it. */
function wordEnd(text, position) {
  if (position >= text.length) return text.length;
  const rest = text.slice(position).search(/\s/);
  return rest < 0 ? text.length : position + rest;
}

export class Transcript {
  #lines = new Map();
  #order = [];
  #responses = new Map();
  #started = new Map();
  #barged = new Map();
  #pace = FIRST_PACE;
  #changed;
  filtered = false;

  /** `changed(line)` is called whenever a line is new or differs; `line.gone` asks for its removal. */
  constructor(changed) {
    this.#changed = changed;
  }

  get lines() {
    return this.#order.map((id) => this.#lines.get(id));
  }

  /** A line the person typed: shown at once, under the id its item will have. */
  typed(id, text) {
    this.#update(this.#line(id, "you"), { text, said: text.length, done: true });
  }

  /** Apply one server event; `now` in ms. Returns client events to send in answer. */
  apply(event, now) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.#line(event.item_id, "you");
        if (this.filtered) this.interrupted(now);
        break;
      case "conversation.item.added":
      case "conversation.item.done":
        this.#added(event.item);
        break;
      case "conversation.item.input_audio_transcription.delta":
        this.#heardSoFar(this.#line(event.item_id, "you"), event.delta);
        break;
      case "conversation.item.input_audio_transcription.completed":
        this.#heard(event.item_id, event.transcript.trim());
        break;
      case "conversation.item.input_audio_transcription.failed":
        this.#update(this.#line(event.item_id, "you"), { note: "notUnderstood", done: true });
        break;
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        this.#answer(event, now);
        break;
      case "response.output_text.done":
        this.#whole(event.item_id, event.text, true);
        break;
      case "response.output_audio_transcript.done":
        this.#whole(event.item_id, event.transcript, false);
        break;
      case "response.done":
        this.#ended(event.response);
        break;
      case "output_audio_buffer.started":
        this.#started.set(event.response_id, now);
        break;
      case "output_audio_buffer.stopped":
        this.#played(event.response_id, now);
        break;
      case "output_audio_buffer.cleared":
        this.tick(now);
        this.#started.delete(event.response_id);
        this.#cutResponse(event.response_id);
        break;
      case "conversation.item.truncated":
        return this.#truncated(event);
      case "conversation.item.retrieved":
        this.#kept(event.item);
        break;
    }
    return [];
  }

  /** The voice was cut at `now`, for all this side knows. */
  interrupted(now) {
    this.tick(now);
    for (const [response, since] of this.#started) {
      this.#barged.set(response, since);
      this.#started.delete(response);
      this.#cutResponse(response);
    }
  }

  /** Move the voice on to `now`; true while there is more to say. */
  tick(now) {
    for (const [response, since] of this.#started) {
      let heard = ((now - since) / 1000) * this.#pace;
      for (const line of this.#responses.get(response) ?? []) {
        const said = heard <= 0 ? 0 : wordEnd(line.text, Math.floor(heard));
        if (!line.cut && said > line.said) this.#update(line, { said });
        heard -= line.text.length;
      }
    }
    return this.#started.size > 0;
  }

  #line(id, who) {
    let line = this.#lines.get(id);
    if (!line) {
      line = { id, who, text: "", said: 0, done: false, cut: false, note: "", gone: false };
      this.#lines.set(id, line);
      this.#order.push(id);
      this.#changed(line);
    }
    return line;
  }

  #update(line, members) {
    if (Object.entries(members).every(([name, value]) => line[name] === value)) return;
    Object.assign(line, members);
    this.#changed(line);
  }

  #remove(line) {
    this.#lines.delete(line.id);
    this.#order = this.#order.filter((id) => id !== line.id);
    this.#update(line, { gone: true });
  }

  #append(line, delta, said) {
    const text = line.text + delta;
    this.#update(line, { text, said: said ? text.length : line.said });
  }

  /** By another way than the whole transcript (the observer's), a piece of it may come after it. */
  #heardSoFar(line, delta) {
    if (!line.done) this.#append(line, delta, true);
  }

  #added(item) {
    if (item.type !== "message" || item.role === "system") return;
    const line = this.#line(item.id, item.role === "user" ? "you" : "them");
    const words = (item.content ?? []).map((part) => part.text ?? "").join("");
    if (item.role === "user" && words && !line.text) this.#update(line, { text: words, said: words.length, done: true });
  }

  #heard(id, text) {
    const line = this.#line(id, "you");
    if (text) this.#update(line, { text, said: text.length, done: true });
    else this.#remove(line);
  }

  #answer({ type, response_id: response, item_id: id, delta }) {
    const line = this.#line(id, "them");
    const lines = this.#responses.get(response) ?? [];
    if (!lines.includes(line)) this.#responses.set(response, [...lines, line]);
    this.#append(line, delta, type === "response.output_text.delta");
  }

  #whole(id, text, said) {
    const line = this.#line(id, "them");
    if (!line.cut) this.#update(line, { text, done: true, said: said ? text.length : Math.min(line.said, text.length) });
  }

  #ended(response) {
    const lines = this.#responses.get(response.id) ?? [];
    const last = lines.at(-1);
    if (response.status === "failed") {
      const line = last ?? this.#line(response.id, "them");
      this.#update(line, { note: "failedAnswer", done: true });
    } else if (response.status === "incomplete" && last) {
      this.#update(last, { note: "incomplete" });
    } else if (response.status === "cancelled" && !this.#started.has(response.id)) {
      // Cancelled before any of it was heard: nothing was said, so nothing stands.
      this.#cutResponse(response.id);
    }
    for (const item of response.output ?? []) {
      const line = this.#lines.get(item.id);
      if (line?.who === "them" && !line.text && response.status === "cancelled") this.#remove(line);
    }
  }

  #played(response, now) {
    const since = this.#started.get(response) ?? this.#barged.get(response) ?? now;
    this.#started.delete(response);
    if (this.#barged.delete(response)) this.#uncut(response);
    const lines = this.#responses.get(response) ?? [];
    const length = lines.reduce((sum, line) => sum + line.text.length, 0);
    const seconds = (now - since) / 1000;
    if (length > 20 && seconds > 1) this.#pace = 0.5 * this.#pace + (0.5 * length) / seconds;
    for (const line of lines) if (!line.cut) this.#update(line, { said: line.text.length, done: true });
  }

  #cutResponse(response) {
    for (const line of this.#responses.get(response) ?? []) {
      if (line.cut || line.said >= line.text.length) continue;
      this.#update(line, { cut: true, done: true, said: wordEnd(line.text, line.said), note: "interrupted" });
    }
  }

  #uncut(response) {
    for (const line of this.#responses.get(response) ?? []) {
      if (line.cut) this.#update(line, { cut: false, note: "" });
    }
  }

  #truncated({ item_id: id, audio_end_ms: end }) {
    const line = this.#lines.get(id);
    if (!line) return [];
    const said = end === 0 ? 0 : wordEnd(line.text, Math.min(line.text.length, Math.round((end / 1000) * this.#pace)));
    this.#update(line, { cut: true, done: true, said, note: "interrupted" });
    return [{ type: "conversation.item.retrieve", item_id: id }];
  }

  #kept(item) {
    const line = this.#lines.get(item.id);
    const kept = (item.content ?? []).map((part) => part.transcript ?? part.text ?? "").join("").trimEnd();
    if (line?.cut && kept && line.text.startsWith(kept)) this.#update(line, { said: kept.length });
  }
}
