// The application over HTTP. Errors come out by a name the page has words for, with what the server said.

const KEY = "vivavoz.key";

/** What went wrong: `kind` names it, `detail` is what the server said, `status` is HTTP's. */
export class CallError extends Error {
  constructor(kind, { message = "", status = 0, retryAfter = 0, code = "" } = {}) {
    super(message || kind);
    this.kind = kind;
    this.detail = message;
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The key lives in this tab only: a reload keeps it, closing the tab forgets it. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

function authorization() {
  const kept = key.get();
  return kept === null ? {} : { Authorization: `Bearer ${kept}` };
}

async function request(path, { headers = {}, ...options } = {}) {
  try {
    return await fetch(path, {
      cache: "no-store", credentials: "same-origin", headers: { ...authorization(), ...headers }, ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError("network");
  }
}

/** `ours`: the application itself said it, and its 401 is about the key. */
async function failure(response, ours) {
  let error = {};
  try {
    error = (await response.json())?.error ?? {};
  } catch {
    // Not everything that answers speaks JSON: a proxy in between, say. The status is enough then.
  }
  const { status } = response;
  const facts = { message: error.message || `HTTP ${status}`, status, code: error.code ?? "" };
  if (status === 401 && ours) {
    const known = key.get() !== null;
    key.forget();
    return new CallError(known ? "wrongKey" : "refused", facts);
  }
  if (status === 503 || status === 429) {
    const seconds = Number(response.headers.get("Retry-After"));
    return new CallError("busy", { ...facts, message: error.message ?? "", retryAfter: seconds > 0 ? Math.min(seconds, 60) : 3 });
  }
  return new CallError(status === 403 ? "forbidden" : status === 404 ? "gone" : "refusedCall", facts);
}

async function ask(path, { ours = true, ...options } = {}) {
  const response = await request(path, options);
  if (!response.ok) throw await failure(response, ours);
  return response;
}

const json = async (path, options) => (await ask(path, options)).json();
const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const query = (members) => {
  const given = Object.entries(members).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};
const enc = encodeURIComponent;

/** What this application is, and what the viewer may do. Never fails for want of a key. */
export const appInfo = () => json("api/app");
export const listProfiles = async () => {
  const body = await json("api/profiles");
  return Array.isArray(body) ? body : body.profiles;
};

// ----------------------------------------------------------------------------------------------- calling

const callIdOf = (response) => response.headers.get("Location")?.split("?")[0].split("/").pop() || null;

/** A call through a token: `{sdp, callId, model}`; `callId` null where the upstream does not show it to browsers. */
export async function callByToken(sdp, { profile, filter }, signal) {
  const { token, endpoint, deployment } = await json(`token${query({ profile })}`, { signal });
  const target = new URL(endpoint, document.baseURI);
  if (filter && !target.searchParams.has("webrtcfilter")) target.searchParams.set("webrtcfilter", "on");
  const elsewhere = target.origin !== location.origin;
  const response = await ask(target.href, {
    ours: false,
    method: "POST",
    credentials: elsewhere ? "omit" : "same-origin",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" },
    body: sdp,
    signal,
  });
  return { sdp: await response.text(), callId: callIdOf(response), model: deployment };
}

/** A call through this server, which keeps the token to itself: `{sdp, callId}`. */
export async function callByConnect(sdp, { profile }, signal) {
  const body = new FormData();
  body.set("sdp", sdp);
  const response = await ask(`connect${query({ profile })}`, { method: "POST", body, signal });
  return { sdp: await response.text(), callId: callIdOf(response) };
}

// ------------------------------------------------------------------------------------------------- calls

/** Tell the server of a call that a browser made with a token, so that it is observed. */
export const adopt = (callId, profile) => post("api/calls", { call_id: callId, ...(profile ? { profile } : {}) });
export const listCalls = () => json("api/calls");
export const callState = (id) => json(`api/calls/${enc(id)}`);
export const hangUp = (id) => ask(`api/calls/${enc(id)}/hangup`, { method: "POST" });

// -------------------------------------------------------------------------------------------- recordings

const recording = (id, what = "") => `api/recordings/${enc(id)}${what && `/${what}`}`;

export const listRecordings = (members) => json(`api/recordings${query(members)}`);
export const getRecording = (id) => json(recording(id));
export const getPeaks = (id) => json(recording(id, "peaks"));
export const removeRecording = (id) => ask(recording(id), { method: "DELETE" });

/** The recording's events: one JSON object a line. A line that a crash cut short is left out. */
export async function recordingEvents(id) {
  const text = await (await ask(recording(id, "events"))).text();
  return text.split("\n").flatMap((line) => {
    try {
      return line.trim() ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });
}

/** An address that an `<audio>` can play. With a key, which no address may carry, the sound is fetched first. */
export async function recordingAudio(id) {
  if (key.get() === null) return { url: recording(id, "audio"), release: () => {} };
  const url = URL.createObjectURL(await (await ask(recording(id, "audio"))).blob());
  return { url, release: () => URL.revokeObjectURL(url) };
}

/** The whole recording as a file: `{blob, name}`. */
export async function exportRecording(id) {
  const response = await ask(recording(id, "export"));
  const named = /filename="?([^";]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  return { blob: await response.blob(), name: named?.[1] ?? `${id}.zip` };
}
