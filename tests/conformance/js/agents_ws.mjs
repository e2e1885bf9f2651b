// The official agents SDK in Node over WebSocket, as its guide uses it: an agent with a tool, a session.
//   node agents_ws.mjs URL KEY WAV

import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

import { readSamples, speak } from "./turns.mjs";

const [url, apiKey, wav] = process.argv.slice(2);
const pcm = readSamples(wav);
const asked = [];
const weather = tool({
  name: "get_weather",
  description: "The weather.",
  parameters: z.object({ city: z.enum(["Lisbon"]) }),
  execute: async ({ city }) => {
    asked.push({ city });
    return "sunny";
  },
});
const agent = new RealtimeAgent({ name: "Assistant", instructions: "Be brief.", tools: [weather] });
const session = new RealtimeSession(agent, { transport: "websocket" });

const seen = [];
const errors = [];
let read = 0;
let wake = () => {};
const note = (event) => {
  seen.push(event);
  wake();
};
session.on("error", ({ error }) => errors.push(JSON.stringify(error?.error ?? String(error))));
session.on("audio", (event) => note({ type: "sdk.audio", bytes: event.data.byteLength }));
session.on("audio_interrupted", () => note({ type: "sdk.audio_interrupted" }));
session.on("agent_end", (_context, _agent, output) => note({ type: "sdk.agent_end", output }));
session.transport.on("*", note);

async function until(type) {
  for (;;) {
    while (read < seen.length) {
      const event = seen[read++];
      if (event.type === type) return event;
    }
    await new Promise((resolve) => (wake = resolve));
  }
}
const send = (chunk) => session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.length));
const soundMs = () => seen.reduce((bytes, event) => bytes + (event.type === "sdk.audio" ? event.bytes : 0), 0) / 48;

await session.connect({ url, apiKey });
await until("session.updated");

session.sendMessage("Good evening.");
const text = await until("sdk.agent_end");

session.sendMessage("Please get_weather for Lisbon.");
await until("response.function_call_arguments.done");
await until("sdk.agent_end"); // of the response that asked for the tool
const told = await until("sdk.agent_end");

const before = soundMs();
let hush = speak(pcm, send);
const heard = await until("conversation.item.input_audio_transcription.completed");
const spoken = await until("sdk.agent_end");
hush();
const spokenMs = soundMs() - before;

session.sendMessage("Count to 900, one by one, and leave none out.");
await until("sdk.audio");
hush = speak(pcm, send);
await until("input_audio_buffer.speech_started");
await until("sdk.audio_interrupted");
const cancelled = await until("response.done");
const again = await until("response.done");
hush();

const history = session.history.filter((item) => item.type === "message");
console.log(
  JSON.stringify({
    types: seen.map((event) => event.type),
    errors,
    text: { said: text.output },
    tool: { name: weather.name, arguments: asked[0], said: told.output },
    spoken: { heard: heard.transcript, said: spoken.output, audio_ms: spokenMs },
    interruption: {
      status: cancelled.response.status,
      reason: cancelled.response.status_details?.reason,
      next_status: again.response.status,
    },
    history: history.map((item) => [item.role, item.content.map((part) => part.text ?? part.transcript).join(" ")]),
  }),
);
session.close();
