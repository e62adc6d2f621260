// npm run lab: agreement of every method with leave-one-out over a data set, as a table or as JSON.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { createExplainer } from "../src/explainer/explainer.ts";
import { type Agreement, measureAgreement, type Summary } from "../src/lab/agreement.ts";
import { parseDataset } from "../src/lab/dataset.ts";
import { backendNames, createBackend, folderSource, type BackendName } from "../src/node.ts";
import { padTo } from "./explain/grid.ts";
import { createProgress } from "./progress.ts";

const count = (value: string) => {
  const parsed = Number(value);
  if (!Number.isInteger(parsed) || parsed < 1) throw new InvalidArgumentError("expected a count");
  return parsed;
};
const list = (value: string) => value.split(",").map((each) => each.trim());

const program = new Command("npm run lab --")
  .description(
    "Explains every text of a file and prints how far each method agrees with leave-one-out.",
  )
  .requiredOption(
    "--data <file>",
    ".tsv with a column sentence or text, or .jsonl with text; label is optional",
  )
  .option("--model <name>", "a folder under public/models", "sst2")
  .option("--checkpoint <folder>", "a Hugging Face folder instead of --model")
  .option("--limit <n>", "the first n texts", count)
  .option("--methods <names>", "methods to compare", list, [
    "attnlrp",
    "attnlrp-unhalved",
    "cp-lrp",
    "cp-lrp-ali",
    "gradient-x-input",
    "integrated-gradients",
    "rollout",
  ])
  .addOption(
    new Option("--removal <name>", "what leave-one-out does")
      .choices(["attention", "mask", "zero", "delete"])
      .default("attention"),
  )
  .addOption(new Option("--unit <unit>").choices(["token", "word"]).default("token"))
  .addOption(new Option("--backend <name>").choices(backendNames).default("wasm"))
  .option("--seed <n>", "of the bootstrap intervals", Number, 0)
  .option("--json", "print one object instead of a table")
  .addHelpText(
    "after",
    `
Examples:
  $ npm run lab -- --data dev.tsv --limit 200
  $ npm run lab -- --data reviews.jsonl --removal mask --methods attnlrp,cp-lrp --json`,
  );

const options = program.parse().opts<{
  data: string;
  model: string;
  checkpoint?: string;
  limit?: number;
  methods: string[];
  removal: "attention";
  unit: "token" | "word";
  backend: BackendName;
  seed: number;
  json?: boolean;
}>();

async function main(): Promise<void> {
  const format = options.data.endsWith(".jsonl") ? "jsonl" : "tsv";
  const examples = parseDataset(readFileSync(options.data, "utf8"), format).slice(0, options.limit);
  const models = fileURLToPath(new URL("../public/models", import.meta.url));
  const folder = options.checkpoint ?? `${models}/${options.model}`;
  const backend = await createBackend(options.backend);
  const explainer = await createExplainer({
    name: options.model,
    source: folderSource(folder),
    backend,
  });
  const progress = createProgress({ stream: process.stderr, lines: true });
  const agreement = await measureAgreement(explainer, examples, {
    request: {
      methods: ["loo", ...(options.methods as "attnlrp"[])],
      removal: options.removal,
      unit: options.unit,
    },
    seed: options.seed,
    onProgress: (done, total) => progress.report("texts", done, total),
  });
  progress.clear();
  console.log(options.json ? JSON.stringify(agreement) : tableOf(agreement));
}

function tableOf({ texts, accuracy, rows, forwards }: Agreement): string {
  const cell = (summary: Summary | undefined) =>
    summary
      ? `${summary.mean.toFixed(3)} [${summary.interval.map((end) => end.toFixed(3)).join(", ")}]`
      : "not defined";
  const titles = ["method", "spearman", "pearson", "kendall"];
  const lines = [
    titles,
    ...rows.map(({ method, spearman, pearson, kendall }) => [
      method,
      cell(spearman),
      cell(pearson),
      cell(kendall),
    ]),
  ];
  const widths = titles.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  const body = lines.map((line) =>
    line
      .map((text, column) => padTo(text, widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const fewest = Math.min(...rows.map(({ spearman }) => spearman?.texts ?? 0));
  const defined = fewest === texts ? "" : `, of which at least ${fewest} have a correlation`;
  return [
    `Agreement with leave-one-out (${options.removal}) per text, mean over texts with 95 % bootstrap interval`,
    ...body,
    `${texts} texts${defined}; ${forwards} forwards` +
      (accuracy === undefined ? "" : `; accuracy ${(100 * accuracy).toFixed(1)} %`),
  ].join("\n");
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
