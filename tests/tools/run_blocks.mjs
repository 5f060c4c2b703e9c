// Runs blocks of JavaScript as one module and tells what each of them wrote.
// Standard input: the blocks as a JSON list. Standard output: for each block, a JSON list of what it wrote, piece by
// piece. The first argument is the folder whose packages the blocks import.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const blocks = JSON.parse(readFileSync(0, "utf8"));
const write = process.stdout.write.bind(process.stdout);
let written = [];
process.stdout.write = (text) => written.push(String(text)) > 0;
globalThis.endOfBlock = () => {
  write(`${JSON.stringify(written)}\n`);
  written = [];
};
// Imports are found from where a module lies.
const module = join(process.argv[2], `page-${process.pid}.mjs`);
writeFileSync(module, blocks.map((block) => `${block}\nendOfBlock();\n`).join(""));
try {
  await import(pathToFileURL(module));
} finally {
  rmSync(module);
}
