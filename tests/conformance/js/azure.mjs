// The official package's Azure client, as its README has it, through a whole conversation.
//   node azure.mjs URL DEPLOYMENT WAV key|token CREDENTIAL

import { AzureOpenAI } from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

import { converse, readSamples } from "./turns.mjs";

const [endpoint, deployment, wav, kind, credential] = process.argv.slice(2);
const shown = kind === "key" ? { apiKey: credential } : { azureADTokenProvider: async () => credential };
const client = new AzureOpenAI({ endpoint, deployment, apiVersion: "2025-08-28", ...shown });

const realtime = await OpenAIRealtimeWS.azure(client, {});
const result = await converse(realtime, readSamples(wav));
console.log(JSON.stringify({ url: realtime.url.pathname + realtime.url.search, ...result }));
realtime.close();
