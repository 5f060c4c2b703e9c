import { createReadStream } from "node:fs";
import { toFile } from "openai";
import { all, report } from "./gateway.mjs";

await report({
  async transcription(client) {
    const file = createReadStream(process.env.RECORDING);
    return (await client.audio.transcriptions.create({ model: "whisper-1", file })).text;
  },
  async speech(client) {
    const answer = await client.audio.speech.create({ model: "tts-1", input: "Hello", voice: "alloy" });
    return Buffer.from(await answer.arrayBuffer()).subarray(0, 4).toString();
  },
  async files(client) {
    const content = '{"custom_id": "1"}\n'.repeat(1000);
    const file = await client.files.create({ file: await toFile(Buffer.from(content), "b.jsonl"), purpose: "batch" });
    const listed = (await all(client.files.list())).some((item) => item.id === file.id);
    const stored = await (await client.files.content(file.id)).text();
    await client.files.delete(file.id);
    return { listed, same: stored === content };
  },
  async models(client) {
    return (await all(client.models.list())).length;
  },
});
