// A recording as the player needs it, whatever is missing of it. Pure.

const number = (value, otherwise) => (typeof value === "number" && Number.isFinite(value) ? value : otherwise);

/** From `GET /api/recordings/{id}`: times in Unix s, length in s. */
export function readRecording(body) {
  const startedAt = number(body.started_at, 0);
  const ms = number(body.duration_ms, (number(body.ended_at, startedAt) - startedAt) * 1000);
  return {
    id: body.id, user: body.user ?? "", profile: body.profile ?? "", upstream: body.upstream ?? "",
    startedAt, seconds: Math.max(0, ms / 1000), transcript: body.transcript ?? [], turns: body.turns_log ?? [],
    usage: body.usage ?? null, gaps: body.gaps ?? [], hasAudio: (body.tracks ?? []).length > 0,
  };
}

/** Peaks of both voices as shares of the loudest possible: `{caller, assistant, seconds}`. */
export function readPeaks(body) {
  const most = number(body.scale, 1);
  const scaled = (values) => (values ?? []).map((value) => Math.abs(value) / most);
  return { caller: scaled(body.caller), assistant: scaled(body.assistant), seconds: number(body.duration_ms, 0) / 1000 };
}

/** The line that is being said `seconds` after the beginning, or null before the first. */
export function itemAt({ transcript, startedAt }, seconds) {
  let found = null;
  for (const item of transcript) if (item.at - startedAt <= seconds + 0.05) found = item.item_id;
  return found;
}
