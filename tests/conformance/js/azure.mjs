// A text turn and an observer through the official package's Azure client, as its README has it.
//   node azure.mjs URL DEPLOYMENT key|token CREDENTIAL

import { AzureOpenAI } from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [endpoint, deployment, kind, credential] = process.argv.slice(2);
const shown = kind === "key" ? { apiKey: credential } : { azureADTokenProvider: async () => credential };
const client = new AzureOpenAI({ endpoint, deployment, apiVersion: "2025-08-28", ...shown });

const realtime = await OpenAIRealtimeWS.azure(client, {});
const seen = [];
let said = "";

realtime.on("error", (error) => {
  console.error(String(error));
  process.exit(1);
});
realtime.on("event", (event) => seen.push(event.type));
realtime.on("session.created", () => {
  realtime.send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
  const content = [{ type: "input_text", text: "Good evening" }];
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  realtime.send({ type: "response.create" });
});
realtime.on("response.output_text.delta", (event) => (said += event.delta));
realtime.on("response.done", (event) => {
  console.log(JSON.stringify({ url: realtime.url.pathname + realtime.url.search, seen, said, status: event.response.status }));
  realtime.close();
});
