// What the engines are doing, in one line and in rows.

import { t } from "../words/words.js";
import { $, h } from "./dom.js";

const TASKS = {
  vad: "taskVad", turn: "taskTurn", stt: "taskStt", llm: "taskLlm", tts: "taskTts", speech_to_speech: "taskSpeechToSpeech",
};
const STATES = { loading: "isLoading", ready: "isReady", failed: "isFailed", absent: "isAbsent" };
const QUALITIES = { demo: "demo", basic: "basic", scripted: "isScripted" };
const URGENT = ["loading", "absent", "failed"];

const taskName = (row) => (row.task in TASKS ? t(TASKS[row.task]) : row.task);
const qualityName = (row) => (row.quality in QUALITIES ? t(QUALITIES[row.quality]) : row.quality);
const stateName = (row) => (row.state in STATES ? t(STATES[row.state]) : row.state);

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

let helped = false; // opened once by itself; after that it is the person's to close

/** The engines' line and rows. Null rows: the service does not answer; undefined: it is none of ours. */
export function showEngines(rows) {
  $("engines").hidden = rows === undefined;
  if (rows === undefined) return;
  const { lamp, words, help = false } = rows ? summary(rows) : { lamp: "failed", words: t("unreached") };
  $("lamp").dataset.lamp = lamp;
  if (help && !helped) $("engines").open = true;
  helped ||= help;
  $("engines-summary").textContent = words;
  $("engines-rows").replaceChildren(
    // What needs somebody comes first.
    ...(rows ?? []).toSorted((one, other) => URGENT.indexOf(other.state) - URGENT.indexOf(one.state)).map((row) => {
      const quality = row.quality && row.quality !== row.name ? ` · ${qualityName(row)}` : "";
      return h("li", { class: "engine", "data-state": row.state },
        h("span", { class: "engine-task" }, taskName(row)),
        h("span", { class: "engine-name" }, row.name + quality),
        h("span", { class: "engine-state" }, stateName(row)),
        row.detail ? h("span", { class: "engine-detail" }, row.detail) : null);
    }),
  );
}
