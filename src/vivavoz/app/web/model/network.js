// The connection in figures, read off the browser's counters. Pure: reports in, numbers out.

const KINDS = { host: "direct", srflx: "nat", prflx: "nat", relay: "relay" };

/** `{path, protocol, local, remote, rttMs, lossPercent, jitterMs, bufferMs, receivedKbps}`; null where unknown.
 *
 *  `entries` are the values of an RTCStatsReport; `before` is the last result, for what counts up. Loss and rate
 *  are of the time since then. */
export function readNetwork(entries, before = null) {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const find = (type, more = () => true) => entries.find((entry) => entry.type === type && more(entry));
  const transport = find("transport");
  const pair = byId.get(transport?.selectedCandidatePairId) ?? find("candidate-pair", (entry) => entry.nominated && entry.state === "succeeded");
  const inbound = find("inbound-rtp", (entry) => entry.kind === "audio");
  const report = find("remote-inbound-rtp", (entry) => entry.kind === "audio");
  const local = byId.get(pair?.localCandidateId);
  const remote = byId.get(pair?.remoteCandidateId);
  const counted = {
    at: inbound?.timestamp ?? 0, bytes: inbound?.bytesReceived ?? 0,
    received: inbound?.packetsReceived ?? 0, lost: Math.max(0, inbound?.packetsLost ?? 0),
    emitted: inbound?.jitterBufferEmittedCount ?? 0, waited: inbound?.jitterBufferDelay ?? 0,
  };
  const since = (name) => counted[name] - (before?.counted[name] ?? 0);
  const packets = since("received") + since("lost");
  const seconds = since("at") / 1000;
  const milliseconds = (value) => (typeof value === "number" ? Math.round(value * 1000) : null);
  return {
    path: local ? (KINDS[local.candidateType] ?? local.candidateType) : null,
    protocol: local?.protocol ?? null,
    local: candidate(local),
    remote: candidate(remote),
    rttMs: milliseconds(pair?.currentRoundTripTime ?? report?.roundTripTime),
    lossPercent: packets > 0 ? (100 * since("lost")) / packets : null,
    jitterMs: milliseconds(inbound?.jitter),
    bufferMs: since("emitted") > 0 ? Math.round((1000 * since("waited")) / since("emitted")) : (before?.bufferMs ?? null),
    receivedKbps: before && seconds > 0 ? Math.round((8 * since("bytes")) / seconds / 1000) : null,
    counted,
  };
}

function candidate(entry) {
  if (!entry) return null;
  const address = entry.address ?? entry.ip ?? "";
  const shown = address.includes(":") ? `[${address}]` : address || "·";
  return `${entry.candidateType} ${shown}:${entry.port}`;
}

/** What an SDP offers to be reached at: `["udp 192.0.2.1:8080 host", …]`. */
export function candidatesOf(sdp) {
  return [...sdp.matchAll(/^a=candidate:\S+ \d+ (\S+) \d+ (\S+) (\d+) typ (\S+)/gm)].map(
    ([, protocol, address, port, kind]) => `${protocol.toLowerCase()} ${address.includes(":") ? `[${address}]` : address}:${port} ${kind}`,
  );
}

/** Why a call was not reached, as far as its end tells: `{cause, tried}`; `cause` is a key of the words.
 *
 *  `progress` is call.js's. A connection that never began to check has no path to try; one that checked and got
 *  nothing back is blocked; one that got through and then failed met something that eats DTLS or SCTP. */
export function diagnose({ progress, offer, answer }) {
  const tried = candidatesOf(answer);
  if (!tried.length) return { cause: "doctorNoAddress", tried };
  if (!candidatesOf(offer).length && progress.ice === "new") return { cause: "doctorNoLocal", tried };
  if (progress.ice === "connected" || progress.ice === "completed") {
    return { cause: progress.connection === "connected" ? "doctorNoChannel" : "doctorNoDtls", tried };
  }
  return { cause: "doctorBlocked", tried };
}
