// What the test scripts share: both clients with nothing but base URL and key, and how results reach pytest.
import { File } from "node:buffer";
import { readFileSync } from "node:fs";
import OpenAI, { AzureOpenAI } from "openai";

// For uploads the client wants a global that Node.js 18, which is what Debian 12 has, keeps in a module.
globalThis.File ??= File;

const url = process.env.GATEWAY_URL;
// From standard input: command lines and environments can be seen by others.
const apiKey = readFileSync(0, "utf8").trim();

const clients = {
  OpenAI: new OpenAI({ baseURL: `${url}/openai/v1`, apiKey }),
  AzureOpenAI: new AzureOpenAI({ endpoint: url, apiKey, apiVersion: "2025-04-01-preview" }),
};

/** Runs named cases with each client (or with the one that CLIENT names) and prints { client: { case: result or {failed} } } as JSON. */
export async function report(cases) {
  const results = {};
  for (const [name, client] of Object.entries(clients)) {
    if (process.env.CLIENT && process.env.CLIENT !== name) continue;
    results[name] = {};
    for (const [title, run] of Object.entries(cases)) {
      try {
        results[name][title] = await run(client);
      } catch (error) {
        results[name][title] = { failed: String(error), status: error.status, code: error.code };
      }
    }
  }
  console.log(JSON.stringify(results));
}

/** All items of an async iterable. */
export async function all(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}
