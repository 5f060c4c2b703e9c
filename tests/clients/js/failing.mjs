// One chat completion and one stream against a gateway whose backends fail.
import { all, report } from "./gateway.mjs";

const request = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] };

await report({
  async [process.env.CASE](client) {
    if (process.env.CASE === "stream") {
      return (await all(await client.chat.completions.create({ ...request, stream: true }))).length;
    }
    return (await client.chat.completions.create(request)).choices[0].finish_reason;
  },
});
