// Realtime with the class for Node and with the one for browsers, whose WebSocket cannot send headers.
import { AzureOpenAI } from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import WebSocket from "ws";
import { report } from "./gateway.mjs";

globalThis.WebSocket = WebSocket;

const content = [{ type: "input_text", text: "hello there" }];

function talk(session) {
  return new Promise((resolve, reject) => {
    let text = "";
    session.on("error", reject);
    session.on("session.created", () => {
      session.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
      session.send({ type: "response.create" });
    });
    session.on("response.output_text.delta", (event) => (text += event.delta));
    session.on("response.done", () => {
      session.close();
      resolve(text);
    });
  });
}

await report({
  async node(client) {
    const isAzure = client instanceof AzureOpenAI;
    const session = isAzure
      ? await OpenAIRealtimeWS.azure(client, { deploymentName: "gpt-realtime" })
      : new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
    return talk(session);
  },
  async browser(client) {
    // The client offers no realtime session to Azure without headers.
    if (client instanceof AzureOpenAI) return null;
    return talk(new OpenAIRealtimeWebSocket({ model: "gpt-realtime", dangerouslyAllowBrowser: true }, client));
  },
});
