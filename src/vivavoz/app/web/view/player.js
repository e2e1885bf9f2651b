// One recording: both voices, the words in step, the events, the file.

import { exportRecording, getPeaks, getRecording, recordingAudio, recordingEvents, removeRecording } from "../net/api.js";
import { itemAt, readEntries, readPeaks, readRecording, saidAt } from "../model/recording.js";
import { t } from "../words/words.js";
import { agreed, button, clock, fill, h, say } from "./dom.js";
import { Inspector } from "./inspector.js";
import { Items } from "./items.js";
import { Waveform } from "./waveform.js";

export class Player {
  #recording = null;
  #release = () => {};
  #closed = false;
  #frame = 0;
  #mix = null;
  #gone;

  /** `gone()`: it was deleted. */
  constructor(id, gone) {
    this.id = id;
    this.#gone = gone;
    this.#build();
    this.#load();
  }

  close() {
    this.#closed = true;
    cancelAnimationFrame(this.#frame);
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.#mix?.context.close();
    this.#release();
  }

  toggle() {
    if (this.audio.paused) this.audio.play().catch(() => say(this.said, t("noSound")));
    else this.audio.pause();
  }

  search() {
    this.inspector.search();
  }

  #build() {
    this.audio = h("audio", { preload: "metadata", on: {
      play: () => this.#playing(), pause: () => this.#playing(), timeupdate: () => this.#moved(), seeked: () => this.#moved(),
      error: () => !this.#closed && this.audio.src && say(this.said, t("noSound")),
    } });
    this.wave = new Waveform((seconds) => this.#seek(seconds));
    this.play = button(t("play"), () => this.toggle(), { class: "key key-main", disabled: true });
    this.time = h("span", { class: "play-time" });
    this.speed = h("select", { "aria-label": t("speed"), on: { change: () => { this.audio.playbackRate = Number(this.speed.value); } } });
    fill(this.speed, ["0.75", "1", "1.25", "1.5", "2"].map((rate) => [rate, `${rate}×`]), "1");
    this.voices = h("select", { "aria-label": t("voices"), on: { change: () => this.#hear(this.voices.value) } });
    fill(this.voices, [["both", t("voicesBoth")], ["caller", t("caller")], ["assistant", t("them")]]);
    this.title = h("h2", { tabindex: "-1" }, this.id);
    this.facts = h("p", { class: "small" });
    this.said = h("p", { class: "small", role: "status" }, t("loadingList"));
    this.items = new Items({ began: () => this.#recording?.startedAt ?? null, seek: (item) => this.#seek(saidAt(item, this.#recording.startedAt), true) });
    this.inspector = new Inspector({ readOnly: true, began: () => (this.#recording?.startedAt ?? 0) * 1000 });
    this.nodes = [
      h("section", { class: "sheet", "aria-label": t("recording") },
        h("header", { class: "call-head" }, h("a", { class: "back", href: "#/recordings" }, t("back")),
          h("div", { class: "call-name" }, this.title, this.facts, this.said),
          h("div", { class: "head-actions" }, button(t("download"), () => this.#download()), button(t("delete"), () => this.#delete(), { class: "key key-end" }))),
        h("div", { class: "deck" }, this.wave.root, h("div", { class: "deck-row" }, this.play, this.time, this.speed, this.voices), this.audio),
        this.items.root),
      h("aside", { class: "inspector", "aria-label": t("inspector") }, this.inspector.nodes),
    ];
  }

  async #load() {
    try {
      const made = readRecording(await getRecording(this.id));
      if (this.#closed) return;
      this.#recording = made;
      say(this.title, made.user || made.id);
      const tokens = made.usage?.total_tokens;
      const facts = [new Date(made.startedAt * 1000).toLocaleString(), made.profile, made.upstream, t("lasted", { time: clock(made.seconds * 1000) }), tokens && t("tokens", { count: tokens })];
      say(this.facts, facts.filter(Boolean).join(" · "));
      this.items.show(made.transcript);
      this.inspector.turns.show(made.turns);
      const trouble = [made.status === "interrupted" && t("recording_interrupted"), made.gaps.length && t("hasGaps", { count: made.gaps.length })];
      say(this.said, trouble.filter(Boolean).join(" · "));
      this.#moved();
      await Promise.all([this.#loadSound(made), this.#loadEvents(made)]);
    } catch (error) {
      say(this.said, t("failedWith", { message: error.detail || t(error.kind ?? "network") }));
    }
  }

  async #loadSound(made) {
    if (!made.hasAudio) return say(this.said, t("noAudio"));
    const [peaks, { url, release }] = await Promise.all([getPeaks(this.id).then(readPeaks), recordingAudio(this.id)]);
    if (this.#closed) return release();
    this.#release = release;
    this.audio.src = url;
    this.play.disabled = false;
    return this.wave.show(peaks, made.seconds, made.gaps);
  }

  async #loadEvents(made) {
    const entries = readEntries(await recordingEvents(this.id), made.filtered);
    if (this.#closed) return;
    for (const entry of entries) this.inspector.log.fromObserver(entry);
    this.inspector.logView.refresh();
  }

  #seek(seconds, play = false) {
    if (this.play.disabled) return;
    this.audio.currentTime = Math.max(0, seconds);
    if (play && this.audio.paused) this.toggle();
    this.#moved();
  }

  #playing() {
    const playing = !this.audio.paused;
    say(this.play, t(playing ? "pause" : "play"));
    cancelAnimationFrame(this.#frame);
    const step = () => {
      this.#moved();
      if (!this.audio.paused) this.#frame = requestAnimationFrame(step);
    };
    if (playing) step();
  }

  #moved() {
    if (!this.#recording) return;
    const at = this.audio.currentTime;
    this.wave.at(at);
    say(this.time, t("ofTime", { at: clock(at * 1000), time: clock(this.#recording.seconds * 1000) }));
    this.items.mark(at || !this.audio.paused ? itemAt(this.#recording, at) : null);
  }

  /** One voice in both ears, or both as they are. */
  #hear(voice) {
    if (!this.#mix) {
      const context = new AudioContext();
      const source = context.createMediaElementSource(this.audio);
      const splitter = context.createChannelSplitter(2);
      const gains = ["caller", "assistant"].map(() => context.createGain());
      source.connect(splitter);
      gains.forEach((gain, channel) => {
        splitter.connect(gain, channel);
        gain.connect(context.destination);
      });
      this.#mix = { context, gains };
    }
    this.#mix.context.resume();
    this.#mix.gains[0].gain.value = voice === "assistant" ? 0 : 1;
    this.#mix.gains[1].gain.value = voice === "caller" ? 0 : 1;
  }

  async #download() {
    say(this.said, t("fetching"));
    try {
      const { blob, name } = await exportRecording(this.id);
      const url = URL.createObjectURL(blob);
      h("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      say(this.said, t("downloaded", { name }));
    } catch (error) {
      say(this.said, t("failedWith", { message: error.detail || t(error.kind) }));
    }
  }

  async #delete() {
    if (!(await agreed(t("deleteTitle"), t("deleteText"), t("delete"), t("cancel")))) return;
    try {
      await removeRecording(this.id);
      this.#gone();
    } catch (error) {
      say(this.said, t("failedWith", { message: error.detail || t(error.kind) }));
    }
  }
}
