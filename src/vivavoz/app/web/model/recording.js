// A recording as the player needs it. Pure.

import { WEBRTC_FILTER } from "./filter.js";

const number = (value, otherwise) => (typeof value === "number" && Number.isFinite(value) ? value : otherwise);

/** From `GET /api/recordings/{id}`: `startedAt` in Unix s, everything else in s from there. */
export function readRecording(body) {
  const startedAt = number(body.started_at, 0);
  return {
    id: body.id, user: body.user, profile: body.profile, upstream: body.upstream, filtered: body.filtered,
    status: body.status, endReason: body.end_reason ?? "",
    startedAt, seconds: Math.max(0, number(body.duration_ms, 0) / 1000), transcript: body.transcript ?? [],
    turns: body.turns_log ?? [], usage: body.usage ?? null, hasAudio: Boolean(body.audio),
    gaps: (body.gaps ?? []).map(({ since, until }) => [since - startedAt, until - startedAt]),
  };
}

/** From the JSON of audiowaveform: `{caller, assistant}`, each the loudness of its columns, 0..1. */
export function readPeaks({ data = [], bits = 8, channels = 2 }) {
  const most = 2 ** (bits - 1);
  const voice = (channel) => {
    const columns = [];
    for (let at = 2 * channel; at + 1 < data.length; at += 2 * channels) {
      columns.push(Math.max(Math.abs(data[at]), Math.abs(data[at + 1])) / most);
    }
    return columns;
  };
  return { caller: voice(0), assistant: voice(1) };
}

/** The log's entries from the lines of the recorded events; what is no event of the call is left out. */
export function readEntries(lines, filtered) {
  return lines.filter(({ event }) => event).map(({ at, sender, event }, index) => ({
    n: index + 1, at, sender, event, seen: sender === "server" && (filtered === "off" || WEBRTC_FILTER.has(event.type)),
  }));
}

/** When a line is said, in seconds from the beginning. */
export const saidAt = (item, startedAt) => Math.max(0, typeof item.at_ms === "number" ? item.at_ms / 1000 : item.at - startedAt);

/** The line that is being said `seconds` after the beginning, or null before the first. */
export function itemAt({ transcript, startedAt }, seconds) {
  let found = null;
  for (const item of transcript) if (saidAt(item, startedAt) <= seconds + 0.05) found = item.item_id;
  return found;
}
