// A tool call, a typed turn, a spoken turn and an interruption, through the official package's WebSocket classes.

import { readFileSync } from "node:fs";

const CHUNK_MS = 40;
const WAV_HEADER_BYTES = 44;

/** The samples of a WAV file as tests/speech.py writes it: 16 bits, mono, 24 kHz. */
export const readSamples = (path) => readFileSync(path).subarray(WAV_HEADER_BYTES);

/** Give `send` the samples at the pace of a microphone, then silence, until the returned function is called. */
export function speak(pcm, send) {
  const step = CHUNK_MS * 48;
  const begun = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    while (sent / 48 <= performance.now() - begun) {
      const chunk = Buffer.alloc(step);
      pcm.subarray(sent, sent + step).copy(chunk);
      send(chunk);
      sent += step;
    }
  }, CHUNK_MS / 2);
  return () => clearInterval(timer);
}

const words = (response) => response.output.flatMap((item) => item.content ?? []).map((part) => part.transcript).join(" ");

/** Have the conversation over `realtime`, which is opening. Resolves to what happened; throws at an error event. */
export async function converse(realtime, pcm) {
  const seen = [];
  let read = 0;
  let failure = null;
  let wake = () => {};
  realtime.on("event", (event) => {
    seen.push(event);
    wake();
  });
  realtime.on("error", (error) => {
    failure ??= error;
    wake();
  });

  const until = async (type) => {
    for (;;) {
      while (read < seen.length) {
        const event = seen[read++];
        if (event.type === type) return event;
      }
      if (failure) throw failure;
      await new Promise((resolve) => (wake = resolve));
    }
  };
  const ask = (text) => {
    const content = [{ type: "input_text", text }];
    realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    realtime.send({ type: "response.create" });
  };
  const append = (chunk) => realtime.send({ type: "input_audio_buffer.append", audio: chunk.toString("base64") });
  const soundMs = () =>
    seen
      .filter((event) => event.type === "response.output_audio.delta")
      .reduce((bytes, event) => bytes + Buffer.from(event.delta, "base64").length, 0) / 48;

  await until("session.created");
  const parameters = { type: "object", properties: { city: { enum: ["Lisbon"] } }, required: ["city"] };
  realtime.send({
    type: "session.update",
    session: {
      type: "realtime",
      tools: [{ type: "function", name: "get_weather", description: "The weather.", parameters }],
      audio: {
        input: {
          transcription: { model: "whisper-1" },
          turn_detection: { type: "server_vad", silence_duration_ms: 400 },
        },
      },
    },
  });
  await until("session.updated");

  ask("Good evening.");
  const text = await until("response.done");

  ask("Please get_weather for Lisbon.");
  const call = await until("response.function_call_arguments.done");
  await until("response.done");
  const item = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  realtime.send({ type: "conversation.item.create", item });
  realtime.send({ type: "response.create" });
  const told = await until("response.done");

  const before = soundMs();
  let hush = speak(pcm, append);
  const heard = await until("conversation.item.input_audio_transcription.completed");
  const spoken = await until("response.done");
  hush();
  const spokenMs = soundMs() - before;

  ask("Count to 900, one by one, and leave none out.");
  const first = await until("response.output_audio.delta");
  hush = speak(pcm, append);
  await until("input_audio_buffer.speech_started");
  const cancelled = await until("response.done");
  realtime.send({ type: "conversation.item.truncate", item_id: first.item_id, content_index: 0, audio_end_ms: 300 });
  const cut = await until("conversation.item.truncated");
  const again = await until("response.done");
  hush();

  return {
    types: seen.map((event) => event.type),
    text: { status: text.response.status, said: words(text.response) },
    tool: { name: call.name, arguments: JSON.parse(call.arguments), said: words(told.response) },
    spoken: { heard: heard.transcript, said: words(spoken.response), audio_ms: spokenMs },
    interruption: {
      status: cancelled.response.status,
      reason: cancelled.response.status_details?.reason,
      cut_ms: cut.audio_end_ms,
      next_status: again.response.status,
    },
  };
}
