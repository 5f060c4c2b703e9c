import { all, report } from "./gateway.mjs";

const request = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] };

await report({
  async chat(client) {
    const answer = await client.chat.completions.create(request);
    return { finish: answer.choices[0].finish_reason, tokens: answer.usage.total_tokens };
  },
  async stream(client) {
    const chunks = await all(await client.chat.completions.create({ ...request, stream: true }));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    return { text, finish: chunks.at(-1).choices[0]?.finish_reason };
  },
  async usage(client) {
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = await all(await client.chat.completions.create({ ...request, ...options }));
    return chunks.at(-1).usage.completion_tokens;
  },
  async embeddings(client) {
    const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] });
    return answer.data.map((item) => item.embedding.length);
  },
});
