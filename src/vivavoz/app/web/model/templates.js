// Client events to start from. The protocol's names; ids that only the caller of the page knows are left to fill in.

const message = (role, type, text) => ({ type: "conversation.item.create", item: { type: "message", role, content: [{ type, text }] } });

export const TEMPLATES = [
  ["response.create", { type: "response.create" }],
  ["response.create: instructions", { type: "response.create", response: { instructions: "" } }],
  ["response.create: out of band", { type: "response.create", response: { conversation: "none", output_modalities: ["text"], instructions: "" } }],
  ["response.cancel", { type: "response.cancel" }],
  ["output_audio_buffer.clear", { type: "output_audio_buffer.clear" }],
  ["session.update: instructions", { type: "session.update", session: { type: "realtime", instructions: "" } }],
  ["session.update: turn detection", { type: "session.update", session: { type: "realtime", audio: { input: { turn_detection: { type: "server_vad", silence_duration_ms: 500 } } } } }],
  ["conversation.item.create: user", message("user", "input_text", "")],
  ["conversation.item.create: system", message("system", "input_text", "")],
  ["conversation.item.create: assistant", message("assistant", "output_text", "")],
  ["conversation.item.create: function_call_output", { type: "conversation.item.create", item: { type: "function_call_output", call_id: "call_", output: "{}" } }],
  ["conversation.item.retrieve", { type: "conversation.item.retrieve", item_id: "item_" }],
  ["conversation.item.truncate", { type: "conversation.item.truncate", item_id: "item_", content_index: 0, audio_end_ms: 0 }],
  ["conversation.item.delete", { type: "conversation.item.delete", item_id: "item_" }],
  ["input_audio_buffer.commit", { type: "input_audio_buffer.commit" }],
  ["input_audio_buffer.clear", { type: "input_audio_buffer.clear" }],
];

/** A client event from what was typed: `{event}` or `{problem, detail}` with a key of the words. */
export function parseEvent(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch (error) {
    return { problem: "notJson", detail: error.message };
  }
  if (event === null || typeof event !== "object" || Array.isArray(event)) return { problem: "notObject", detail: "" };
  if (typeof event.type !== "string" || !event.type) return { problem: "noType", detail: "" };
  return { event };
}
