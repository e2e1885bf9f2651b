// The official Node SDK, pointed at vivavoz behind TLS (`make serve ARGS=--tls`): a typed question, its words.
//
//   npm install
//   NODE_EXTRA_CA_CERTS=~/.local/state/vivavoz/tls/ca.pem node openai_sdk.mjs "What is a lighthouse for?"
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const client = new OpenAI({
  baseURL: process.env.VIVAVOZ_URL ?? "https://127.0.0.1:8080/v1",
  apiKey: process.env.VIVAVOZ_API_KEY ?? "none-needed-on-loopback",
});
const realtime = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
const question = process.argv.slice(2).join(" ") || "What is a lighthouse for?";

realtime.socket.on("open", () => {
  realtime.send({
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text: question }] },
  });
  realtime.send({ type: "response.create" });
});
realtime.on("response.output_audio_transcript.delta", (event) => process.stdout.write(event.delta));
realtime.on("response.done", () => {
  console.log();
  realtime.close();
});
realtime.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
  realtime.close();
});
