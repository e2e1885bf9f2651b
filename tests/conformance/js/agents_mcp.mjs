// The official agents SDK in Node with the tools of an MCP server, as its guide uses them.
//   node agents_mcp.mjs URL KEY MCP_URL always|never

import { hostedMcpTool } from "@openai/agents-core";
import { RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

const [url, apiKey, serverUrl, requireApproval] = process.argv.slice(2);
const maths = hostedMcpTool({ serverLabel: "maths", serverUrl, requireApproval });
const agent = new RealtimeAgent({ name: "Assistant", instructions: "Be brief.", tools: [maths] });
const session = new RealtimeSession(agent, { transport: "websocket" });

const told = { errors: [], tools: [], approvals: 0, calls: [], answer: "" };
let wake;
const answered = new Promise((resolve) => (wake = resolve));
let calling = false;
session.on("error", ({ error }) => told.errors.push(JSON.stringify(error?.error ?? String(error))));
const listed = new Promise((resolve) => {
  session.on("mcp_tools_changed", (tools) => {
    told.tools = tools.map((tool) => tool.name);
    if (told.tools.length) resolve();
  });
});
session.on("mcp_tool_call_completed", (_context, _agent, call) => told.calls.push(call));
session.on("tool_approval_requested", (_context, _agent, request) => {
  told.approvals += 1;
  session.approve(request.approvalItem);
});
session.transport.on("*", (event) => {
  calling ||= event.type === "response.mcp_call.completed";
  if (calling && event.type === "response.output_audio_transcript.done") {
    told.answer = event.transcript;
    wake();
  }
});

await session.connect({ url, apiKey });
await listed;
session.sendMessage("Please add two numbers.");
await answered;
session.close();
console.log(JSON.stringify(told));
process.exit(0);
