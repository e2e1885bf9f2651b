// The official package over WebSocket, with `ws` or with the WebSocket of Node itself.
//   node openai_ws.mjs URL KEY WAV ws|native

import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

import { converse, readSamples } from "./turns.mjs";

const [baseURL, apiKey, wav, kind] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const model = "gpt-realtime";
const realtime =
  kind === "native"
    ? new OpenAIRealtimeWebSocket({ model, dangerouslyAllowBrowser: true }, client)
    : new OpenAIRealtimeWS({ model }, client);
console.log(JSON.stringify(await converse(realtime, readSamples(wav))));
realtime.close();
