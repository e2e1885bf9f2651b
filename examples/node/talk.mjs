// A WebSocket from Node, pointed at vivavoz: a typed question, a spoken answer in answer.pcm.
//
//   npm install
//   node talk.mjs "What is a lighthouse for?"
//
// The `openai` package's own realtime client insists on wss://: start vivavoz with --tls for it, and see
// docs/clients.md. This one speaks the same events over a plain socket.
import { writeFileSync } from "node:fs";
import WebSocket from "ws";

const base = process.env.VIVAVOZ_URL ?? "http://127.0.0.1:8080/v1";
const key = process.env.VIVAVOZ_API_KEY ?? "none-needed-on-loopback";
const question = process.argv.slice(2).join(" ") || "What is a lighthouse for?";

const socket = new WebSocket(`${base.replace(/^http/, "ws")}/realtime?model=gpt-realtime`, {
  headers: { Authorization: `Bearer ${key}` },
});
const send = (event) => socket.send(JSON.stringify(event));
const sound = [];

socket.on("open", () => {
  send({
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text: question }] },
  });
  send({ type: "response.create" });
});

socket.on("message", (data) => {
  const event = JSON.parse(data);
  switch (event.type) {
    case "response.output_audio_transcript.delta":
      process.stdout.write(event.delta);
      break;
    case "response.output_audio.delta":
      sound.push(Buffer.from(event.delta, "base64"));
      break;
    case "error":
      console.error(event.error.message);
      process.exitCode = 1;
      socket.close();
      break;
    case "response.done": {
      const pcm = Buffer.concat(sound);
      writeFileSync("answer.pcm", pcm); // s16le, mono, 24 kHz
      console.log(`\nanswer.pcm: ${(pcm.length / 48000).toFixed(1)} s`);
      socket.close();
    }
  }
});

socket.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
