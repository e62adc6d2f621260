// npm run bench: times the embedded model in Node and in workerd, each against the arithmetic ceiling measured in the same process.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { unstable_startWorker } from "wrangler";
import { createExplainer } from "../src/explainer/explainer.ts";
import { modelOf } from "../src/model/registry.ts";
import { createBackend, folderSource } from "../src/node.ts";
import { type Peak, type Row, timeModel } from "./workload.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const options = new Command("npm run bench --")
  .description(
    "Times forward passes and explanations. Figures are medians of interleaved samples; ratio > 1 means ours is faster.",
  )
  .option("--model <name>", "a folder under public/models", "sst2")
  .option("--tokens <list>", "lengths", (value) => value.split(",").map(Number), [16, 32, 64, 128])
  .addOption(new Option("--runtime <name>").choices(["node", "workerd", "all"]).default("all"))
  .option("--json", "print one object instead of a table")
  .parse()
  .opts<{ model: string; tokens: number[]; runtime: "node" | "workerd" | "all"; json?: boolean }>();

async function inNode(note: (row: Row) => void): Promise<void> {
  const folder = here(`../public/models/${options.model}`);
  for (const build of ["wasm-relaxed-simd", "wasm-simd"] as const) {
    const explainer = await createExplainer({
      name: options.model,
      source: folderSource(folder),
      backend: await createBackend(build),
    });
    const config = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
    const { graph } = modelOf(config);
    const bytes = readFileSync(
      here(`../build/${build.replace("wasm", "peak").replace("-", ".")}.wasm`),
    );
    const { instance } = await WebAssembly.instantiate(bytes);
    const peak = instance.exports.peak as Peak;
    for (const tokens of options.tokens) {
      for (const row of await timeModel(explainer, graph, { tokens, runtime: "node", peak }))
        note(row);
    }
  }
}

async function inWorkerd(note: (row: Row) => void): Promise<void> {
  const worker = await unstable_startWorker({
    config: here("wrangler.toml"),
    dev: { server: { port: 0 }, inspector: false, logLevel: "error" },
  });
  try {
    await worker.ready;
    for (const tokens of options.tokens) {
      const url = `http://bench.local/?model=${options.model}&tokens=${tokens}`;
      const response = await worker.fetch(url);
      if (!response.ok)
        throw new Error(`bench: workerd answered ${response.status}: ${await response.text()}`);
      for (const row of (await response.json()) as Row[]) note(row);
    }
  } finally {
    await worker.dispose();
  }
}

const rows: Row[] = [];
const note = (row: Row) => {
  rows.push(row);
  if (options.json) return;
  const cells = [
    row.name.padEnd(26),
    row.runtime.padEnd(26),
    `${row.tokens} tokens`.padStart(11),
    `${row.ratio.toFixed(2)}x`.padStart(7),
    `${row.ours_ms.toFixed(2)} ms`.padStart(11),
    `against ${row.other_ms.toFixed(2)} ms, ${row.other}`,
  ];
  console.log(cells.join("  "));
};
if (options.runtime !== "workerd") await inNode(note);
if (options.runtime !== "node") await inWorkerd(note);
if (options.json) console.log(JSON.stringify({ rows }));
