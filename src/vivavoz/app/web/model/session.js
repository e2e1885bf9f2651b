// The session as a form and as JSON: fields, checks, and the update that says only what changed. Pure.

export const VOICES = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"];

/** One field of the form. `path` leads to it in the session; `empty` is what the session has where it is off. */
export const FIELDS = [
  { path: "instructions", kind: "text", group: "answer" },
  { path: "audio.output.voice", kind: "suggest", choices: VOICES, group: "answer" },
  { path: "audio.output.speed", kind: "number", min: 0.25, max: 1.5, step: 0.05, group: "answer" },
  { path: "output_modalities", kind: "choice", choices: ["audio", "text"], list: true, group: "answer" },
  { path: "max_output_tokens", kind: "limit", min: 1, max: 4096, group: "answer" },
  { path: "audio.input.turn_detection.type", kind: "choice", choices: ["off", "server_vad", "semantic_vad"], group: "turns" },
  { path: "audio.input.turn_detection.threshold", kind: "number", min: 0, max: 1, step: 0.05, group: "turns", only: "server_vad" },
  { path: "audio.input.turn_detection.prefix_padding_ms", kind: "number", min: 0, max: 600000, step: 50, group: "turns", only: "server_vad" },
  { path: "audio.input.turn_detection.silence_duration_ms", kind: "number", min: 0, max: 600000, step: 50, group: "turns", only: "server_vad" },
  { path: "audio.input.turn_detection.idle_timeout_ms", kind: "number", min: 5000, max: 30000, step: 500, optional: true, group: "turns", only: "server_vad" },
  { path: "audio.input.turn_detection.eagerness", kind: "choice", choices: ["auto", "low", "medium", "high"], group: "turns", only: "semantic_vad" },
  { path: "audio.input.turn_detection.create_response", kind: "check", group: "turns", only: "any" },
  { path: "audio.input.turn_detection.interrupt_response", kind: "check", group: "turns", only: "any" },
  { path: "audio.input.transcription.model", kind: "suggest", choices: ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"], optional: true, group: "hearing" },
  { path: "audio.input.transcription.language", kind: "suggest", choices: ["en", "pt"], optional: true, group: "hearing" },
  { path: "audio.input.noise_reduction.type", kind: "choice", choices: ["off", "near_field", "far_field"], group: "hearing" },
  { path: "tool_choice", kind: "choice", choices: ["auto", "none", "required"], group: "tools" },
  { path: "tools", kind: "json", group: "tools" },
];

const MEMBERS = new Set([
  "type", "model", "output_modalities", "instructions", "audio", "tools", "tool_choice", "max_output_tokens",
  "tracing", "truncation", "include", "prompt",
]);
const SERVER_ONLY = ["object", "id", "expires_at", "client_secret"];

export const get = (object, path) => path.split(".").reduce((at, name) => at?.[name], object);

function set(object, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let at = object;
  for (const name of names) at = at[name] = typeof at[name] === "object" && at[name] !== null ? at[name] : {};
  at[last] = value;
}

export const copy = (value) => structuredClone(value);

/** What of a session object may be sent back: its own identity is the server's. */
export function editable(session) {
  const kept = copy(session ?? {});
  for (const name of SERVER_ONLY) delete kept[name];
  kept.type ??= "realtime";
  return kept;
}

/** The value that a field shows for a session. */
export function read(session, field) {
  const value = get(session, field.path);
  if (field.list) return value?.[0] ?? field.choices[0];
  if (field.choices?.[0] === "off") return value ?? "off";
  if (field.kind === "json") return value ?? [];
  if (field.kind === "suggest") return (typeof value === "object" ? value?.id : value) ?? "";
  return value ?? (field.kind === "check" ? true : "");
}

/** The session with a field changed; the original stays as it was. */
export function write(session, field, value) {
  const next = copy(session);
  const [parent, member] = [field.path.split(".").slice(0, -1).join("."), field.path.split(".").at(-1)];
  if (member === "type" && field.choices?.[0] === "off") {
    set(next, parent, value === "off" ? null : { ...shared(get(next, parent)), type: value });
  } else if (field.list) set(next, field.path, [value]);
  else if (value === "" && field.optional) {
    if (get(next, parent)) set(next, field.path, null);
    if (member === "model") set(next, parent, null);
  } else set(next, field.path, value);
  return next;
}

const shared = (detection) =>
  Object.fromEntries(["create_response", "interrupt_response"].filter((name) => name in (detection ?? {})).map((name) => [name, detection[name]]));

/** What is wrong with a session: `[{path, problem, values}]`, with a key of the words. Empty: it may be sent. */
export function check(session) {
  if (session === null || typeof session !== "object" || Array.isArray(session)) return [{ path: "session", problem: "notObject" }];
  const found = [];
  for (const name of Object.keys(session)) if (!MEMBERS.has(name)) found.push({ path: name, problem: "unknownMember" });
  if (!["realtime", "transcription"].includes(session.type)) found.push({ path: "type", problem: "notOneOf", values: { choices: "realtime, transcription" } });
  const mode = get(session, "audio.input.turn_detection.type") ?? "off";
  for (const field of FIELDS) {
    if (field.only && field.only !== mode && !(field.only === "any" && mode !== "off")) continue;
    const value = get(session, field.path);
    if (value !== undefined && value !== null) found.push(...checkField(field, value));
  }
  return found;
}

function checkField(field, value) {
  const { path, kind, min, max, choices } = field;
  const wrong = (problem, values) => [{ path, problem, values }];
  if (kind === "limit" && value === "inf") return [];
  if (kind === "number" || kind === "limit") {
    if (typeof value !== "number" || !Number.isFinite(value)) return wrong("notNumber", {});
    if (kind === "limit" && !Number.isInteger(value)) return wrong("notWhole", {});
    return value < min || value > max ? wrong("outOfRange", { min, max }) : [];
  }
  if (kind === "check") return typeof value === "boolean" ? [] : wrong("notBoolean", {});
  if (kind === "json") return checkTools(value);
  if (field.list) return Array.isArray(value) && value.length && value.every((each) => choices.includes(each)) ? [] : wrong("notOneOf", { choices: choices.join(", ") });
  if (kind === "choice") return typeof value === "object" || choices.includes(value) ? [] : wrong("notOneOf", { choices: choices.join(", ") });
  if (path.endsWith(".voice") && typeof value?.id === "string") return [];
  return typeof value === "string" ? [] : wrong("notText", {});
}

function checkTools(tools) {
  if (!Array.isArray(tools)) return [{ path: "tools", problem: "notList" }];
  return tools.flatMap((tool, index) => {
    if (tool?.type === "mcp") return [];
    if (tool?.type !== "function") return [{ path: `tools[${index}].type`, problem: "notOneOf", values: { choices: "function, mcp" } }];
    return typeof tool.name === "string" && tool.name ? [] : [{ path: `tools[${index}].name`, problem: "notText" }];
  });
}

/** The `session` of an update that makes `before` into `after`: only what differs. Null where nothing does.
 *
 *  As the protocol merges: `audio`, `audio.input` and `audio.output` member by member, the rest whole. */
export function difference(before, after) {
  const changed = differing(before, after, ["audio", "audio.input", "audio.output"], "");
  return Object.keys(changed).length ? { type: after.type ?? "realtime", ...changed } : null;
}

function differing(before, after, merged, prefix) {
  const found = {};
  for (const [name, value] of Object.entries(after ?? {})) {
    const path = prefix + name;
    if (path === "type") continue;
    if (merged.includes(path)) {
      const inner = differing(before?.[name], value, merged, `${path}.`);
      if (Object.keys(inner).length) found[name] = inner;
    } else if (JSON.stringify(value) !== JSON.stringify(before?.[name])) found[name] = value;
  }
  return found;
}
