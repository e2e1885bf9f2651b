// What the engines are doing, in one line and in rows. Pure but for the polling loop.

import { engineRows } from "./api.js";
import { t } from "./i18n.js";

const TASKS = {
  vad: "taskVad", turn: "taskTurn", stt: "taskStt", llm: "taskLlm", tts: "taskTts", speech_to_speech: "taskSpeechToSpeech",
};
const STATES = { loading: "isLoading", ready: "isReady", failed: "isFailed", absent: "isAbsent" };
const QUALITIES = { demo: "demo", basic: "basic", scripted: "isScripted" };
const SOON_MS = 1_500;
const LATER_MS = 15_000;

export const taskName = (row) => (row.task in TASKS ? t(TASKS[row.task]) : row.task);
export const qualityName = (row) => (row.quality in QUALITIES ? t(QUALITIES[row.quality]) : row.quality);
export const stateName = (row) => (row.state in STATES ? t(STATES[row.state]) : row.state);

/** One line for all rows: `{lamp: ready|loading|failed|demo, words, help?}`; `help`: a row says what mends it. */
export function summary(rows) {
  const named = (state) => rows.filter((row) => row.state === state);
  const names = (found) => found.map(taskName).join(", ");
  const failed = named("failed");
  if (failed.length) return { lamp: "failed", words: t("failed", { names: names(failed) }), help: true };
  const loading = named("loading");
  if (loading.length) return { lamp: "loading", words: t("loading", { names: names(loading) }) };
  if (rows.length && rows.every((row) => row.quality === "scripted" || row.task === "vad")) return { lamp: "demo", words: t("scripted") };
  // No model of language, or the script in its place: said before anybody takes it for an assistant.
  if (rows.some((row) => row.task === "llm" && (row.state === "absent" || row.quality === "scripted"))) return { lamp: "demo", words: t("noLlm"), help: true };
  const demo = rows.some((row) => row.quality === "demo");
  return { lamp: demo ? "demo" : "ready", words: demo ? `${t("ready")} · ${t("demo")}` : t("ready") };
}

/** Ask for the rows again and again, sooner while something loads, not at all while nobody looks. */
export class StatusPoll {
  #timer = 0;
  #shown;

  /** `shown(rows)` gets the rows, or null when the service does not answer. */
  constructor(shown) {
    this.#shown = shown;
    document.addEventListener("visibilitychange", () => this.#again(0));
  }

  start() {
    this.#again(0);
  }

  #again(delay) {
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), delay);
  }

  async #ask() {
    let rows = null;
    try {
      rows = await engineRows();
    } catch {
      // Shown as such: `rows` stays null.
    }
    this.#shown(rows);
    this.#again(rows && !rows.some((row) => row.state === "loading") ? LATER_MS : SOON_MS);
  }
}
