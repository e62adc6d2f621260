// npm run bench: the command line and the table. What is measured stands in jobs.ts.
import { Command, Option } from "commander";
import { portableJobs, pytorchJobs, type RowName, rowNames } from "./jobs.ts";
import { inNode, inWorkerd } from "./node.ts";
import { againstPytorch } from "./pytorch.ts";
import type { Row } from "./workload.ts";

interface Options {
  model: string;
  tokens: number[];
  runtime: "node" | "workerd" | "all";
  only?: RowName;
  quick?: boolean;
  json?: boolean;
  python: string;
}

const names = [...new Set(Object.values(rowNames).flat())].toSorted();
const options = new Command("npm run bench --")
  .description(
    "Times forward passes and explanations, ours and others'. Figures are medians of interleaved samples; ratio > 1 means ours is faster.",
  )
  .option("--model <name>", "a folder under public/models", "sst2")
  .option(
    "--tokens <list>",
    "its lengths",
    (list) => list.split(",").map(Number),
    [16, 32, 64, 128],
  )
  .addOption(new Option("--runtime <name>").choices(["node", "workerd", "all"]).default("all"))
  .addOption(new Option("--only <row>", "one row alone").choices(names))
  .option("--quick", "3 samples instead of 7")
  .option("--python <path>", "an interpreter that has torch", "/usr/bin/python3")
  .option("--json", "print one object instead of a table")
  .parse()
  .opts<Options>();

const { model, tokens, runtime, only, quick, json, python } = options;
const planned = { embedded: model, tokens, samples: quick ? 3 : 7, only };
const rows: Row[] = [];
async function collect(measured: AsyncIterable<Row>): Promise<void> {
  for await (const row of measured) {
    rows.push(row);
    // The table comes at the end, and the wait is minutes.
    console.error(`${row.runtime}: ${row.name} ${row.model} ${row.tokens} ${timesOf(row)}`);
  }
}

if (runtime !== "workerd") {
  await collect(inNode(portableJobs(planned)));
  await collect(againstPytorch(pytorchJobs(planned), python));
}
if (runtime !== "node") await collect(inWorkerd(portableJobs(planned)));
console.log(json ? JSON.stringify({ rows }) : tableOf(rows));

function timesOf({ ratio }: Row): string {
  return `${ratio.toFixed(2)}x`;
}

/** By runtime and name; rows of one name stay in the order of models and lengths. */
function tableOf(all: readonly Row[]): string {
  const sorted = all.toSorted(
    (a, b) => a.runtime.localeCompare(b.runtime) || a.name.localeCompare(b.name),
  );
  const lines = sorted.map((row) => [
    row.runtime.padEnd(26),
    row.name.padEnd(26),
    row.model.padEnd(10),
    String(row.tokens).padStart(4),
    timesOf(row).padStart(7),
    `${row.ours_ms.toFixed(2)} ms`.padStart(11),
    `against ${row.other_ms.toFixed(2)} ms`.padEnd(20),
    row.other +
      (row.difference === undefined ? "" : `; differs by ${row.difference.toExponential(0)}`),
  ]);
  return lines.map((cells) => cells.join("  ")).join("\n");
}
