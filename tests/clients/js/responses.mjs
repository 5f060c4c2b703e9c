import { all, report } from "./gateway.mjs";

const request = { model: "gpt-4o", input: "Hello" };
const regionOf = (response) => response.output_text.split("/")[0];

async function continued(client, first) {
  const regions = new Set([regionOf(first)]);
  let last = first;
  for (let turn = 0; turn < 3; turn++) {
    last = await client.responses.create({ model: "gpt-4o", input: "And?", previous_response_id: last.id });
    regions.add(regionOf(last));
  }
  return regions.size;
}

await report({
  async create(client) {
    const response = await client.responses.create(request);
    return { status: response.status, text: response.output_text };
  },
  async stream(client) {
    const events = await all(await client.responses.create({ ...request, stream: true }));
    return [events[0].type, events.at(-1).type];
  },
  async continue(client) {
    return continued(client, await client.responses.create(request));
  },
  async continueStream(client) {
    return continued(client, await client.responses.stream(request).finalResponse());
  },
  async retrieveAndDelete(client) {
    const response = await client.responses.create(request);
    const again = await client.responses.retrieve(response.id);
    await client.responses.delete(response.id);
    return again.output_text === response.output_text;
  },
});
