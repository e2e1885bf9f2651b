// The official agents SDK in a browser, as its quickstart uses it: an agent, a session, WebRTC.
import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession, tool } from "./node_modules/@openai/agents-realtime/dist/bundle/openai-realtime-agents.mjs";

const seen = [];
const audio = new Audio();
let session;

const weather = tool({
  name: "get_weather",
  description: "The weather.",
  parameters: {
    type: "object",
    properties: { city: { type: "string", enum: ["Lisbon"] } },
    required: ["city"],
    additionalProperties: false,
  },
  execute: async ({ city }) => {
    seen.push({ type: "sdk.tool", city });
    return "sunny";
  },
});

globalThis.harness = {
  seen,

  async connect(baseUrl, apiKey, withTool) {
    const transport = new OpenAIRealtimeWebRTC({ baseUrl, audioElement: audio });
    const tools = withTool ? [weather] : [];
    session = new RealtimeSession(new RealtimeAgent({ name: "Assistant", instructions: "Be brief.", tools }), { transport });
    transport.on("*", (event) => seen.push(event));
    session.on("error", (error) => seen.push({ type: "sdk.error", error: JSON.stringify(error) }));
    session.on("audio_interrupted", () => seen.push({ type: "sdk.audio_interrupted" }));
    await session.connect({ apiKey });
    return { callId: transport.callId };
  },

  say: (text) => session.sendMessage(text),
  interrupt: () => session.interrupt(),
  history: () => session.history,
  close: () => session.close(),

  async energy() {
    const { peerConnection } = session.transport.connectionState;
    const report = await peerConnection.getStats();
    return [...report.values()].find((s) => s.type === "inbound-rtp" && s.kind === "audio")?.totalAudioEnergy ?? 0;
  },
};
