// The service over HTTP: a token, the call's answer, and how the engines are. Same origin only.

const SECRETS = "openai/v1/realtime/client_secrets";
const CALLS = "openai/v1/realtime/calls";
const KEY = "vivavoz.key";

/** What went wrong, by a name the page has words for, with what the service said about it. */
export class CallError extends Error {
  constructor(kind, { message = "", status = 0, retryAfter = 0 } = {}) {
    super(message || kind);
    this.kind = kind;
    this.detail = message;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

async function request(path, options) {
  try {
    return await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch {
    throw new CallError("network");
  }
}

async function failure(response) {
  let message = "";
  try {
    message = (await response.json())?.error?.message ?? "";
  } catch {
    // Not everything that answers speaks JSON: a proxy in between, say. The status is enough then.
  }
  const { status } = response;
  if (status === 503 || status === 429) {
    const seconds = Number(response.headers.get("Retry-After"));
    return new CallError("busy", { message, status, retryAfter: seconds > 0 ? Math.min(seconds, 60) : 3 });
  }
  const kind = status === 401 ? "refused" : status === 403 ? "forbidden" : "refusedCall";
  return new CallError(kind, { message: message || `HTTP ${status}`, status });
}

/** The key lives in this tab only: a reload keeps it, closing the tab forgets it. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** A short-lived token and what it is good for: `{token, model?, status?}`. */
export async function mintToken() {
  const kept = key.get();
  if (kept === null) {
    const response = await request("token");
    if (response.ok) return response.json();
    // 401: a key is needed. 403: this page is not welcome, and no key would change that.
    throw await failure(response);
  }
  const response = await request(SECRETS, {
    method: "POST",
    // In both places: what was typed may be a key or a token, and Azure's ways tell them apart by place.
    headers: { Authorization: `Bearer ${kept}`, "api-key": kept, "Content-Type": "application/json" },
    body: JSON.stringify({ session: { type: "realtime" } }),
  });
  if (response.status === 401 || response.status === 403) {
    key.forget();
    throw new CallError("wrongKey", { status: response.status });
  }
  if (!response.ok) throw await failure(response);
  const { value, session } = await response.json();
  return { token: value, model: session?.model };
}

/** Send the offer, get the answer. */
export async function exchange(sdp, token, signal) {
  const response = await request(CALLS, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" },
    body: sdp,
    signal,
  });
  if (!response.ok) throw await failure(response);
  return response.text();
}

/** The engines' rows: `[{task, name, state, quality?, detail?}]`. */
export async function engineRows() {
  const response = await request("healthz");
  const body = await response.json();
  const rows = body.engines ?? body.status;
  return Array.isArray(rows) ? rows : [];
}
