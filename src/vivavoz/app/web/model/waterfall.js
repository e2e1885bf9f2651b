// How long a turn took, and where: bars of a waterfall. Pure: a turn of the observer's log in, bars out.
//
// Our own service tells its stages: milliseconds from the end of the caller's speech, each when its stage was
// through. A hosted service does not; then the times of its events tell, from `speech_stopped`.

const STAGES = [
  ["vad", "vad_ms"], ["turn", "turn_ms"], ["stt", "stt_ms"], ["llm", "llm_first_token_ms"],
  ["tts", "tts_first_audio_ms"], ["packet", "first_packet_ms"],
];
const MARKS = [
  ["committed", "committed_ms"], ["created", "response_created_ms"], ["words", "first_words_ms"], ["audio", "first_audio_ms"],
];

/** `{bars: [{name, from, to}], total, source}`; ms. `total` is when the answer could be heard, null where it was
 *  not. `network`: `{rttMs, bufferMs}` of this browser's call, where there is one. */
export function waterfall(turn, network = null) {
  const staged = turn.stages && STAGES.some(([, member]) => isTime(turn.stages[member]));
  const bars = staged ? milestones(STAGES, turn.stages) : milestones(MARKS, turn.marks ?? {});
  const heard = staged ? turn.stages.first_packet_ms : turn.marks?.first_audio_ms;
  const source = staged ? "stages" : "events";
  if (!staged && isTime(turn.marks?.transcript_ms)) {
    // Beside the others: what a hosted model answers does not wait for the transcript.
    bars.splice(1, 0, { name: "transcript", from: Math.min(turn.marks.committed_ms ?? 0, turn.marks.transcript_ms), to: turn.marks.transcript_ms });
  }
  if (!isTime(heard)) return { bars, total: null, source };
  const way = network ? Math.round((network.rttMs ?? 0) / 2) + (network.bufferMs ?? 0) : 0;
  if (way) bars.push({ name: "network", from: heard, to: heard + way });
  return { bars, total: heard + way, source };
}

const isTime = (value) => typeof value === "number" && Number.isFinite(value);

/** Each bar begins where the latest of those before it ended; one that was early is a mark without length. */
function milestones(names, times) {
  const bars = [];
  let reached = 0;
  for (const [name, member] of names) {
    const to = times[member];
    if (!isTime(to)) continue;
    bars.push({ name, from: Math.min(reached, to), to });
    reached = Math.max(reached, to);
  }
  return bars;
}

/** Where the axis ends, and its ticks: at most six, at 1, 2 or 5 of a power of ten. */
export function axis(longest) {
  const end = Math.max(longest, 100);
  const rough = end / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let at = 0; at <= end; at += step) ticks.push(at);
  return { end, ticks };
}

/** The middle and the slowest of the turns that were heard: `{count, p50, p95}`. */
export function totals(turns, network = null) {
  const heard = turns.map((turn) => waterfall(turn, network).total).filter(isTime).sort((one, other) => one - other);
  if (!heard.length) return { count: 0, p50: null, p95: null };
  const at = (share) => heard[Math.min(heard.length - 1, Math.ceil(share * heard.length) - 1)];
  return { count: heard.length, p50: at(0.5), p95: at(0.95) };
}
