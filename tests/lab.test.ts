// The lab: data sets, means with intervals, and a small run on the embedded model.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { createExplainer } from "../src/explainer/explainer.ts";
import { measureAgreement, summarise } from "../src/lab/agreement.ts";
import { parseDataset } from "../src/lab/dataset.ts";
import { createBackend, folderSource } from "../src/node.ts";

describe("data sets", () => {
  test("tab-separated, with the columns in any order", () => {
    expect(parseDataset("sentence\tlabel\na fine film \t1\nbad\t0\n", "tsv")).toEqual([
      { text: "a fine film", label: "1" },
      { text: "bad", label: "0" },
    ]);
    expect(parseDataset("id\ttext\r\n7\tgood\r\n", "tsv")).toEqual([
      { text: "good", label: undefined },
    ]);
  });

  test("JSON lines", () => {
    const lines = '{"text":"good","label":"positive"}\n{"sentence":"bad","label":0}\n{"text":"so"}';
    expect(parseDataset(lines, "jsonl").map(({ label }) => label)).toEqual([
      "positive",
      "0",
      undefined,
    ]);
  });

  test.each([
    ["tsv", "words\tlabel\na\t1", "dataset: no column sentence or text in the header"],
    ["tsv", "sentence\tlabel\na\t1\nb", "dataset: line 3 has 1 columns, the header 2"],
    ["jsonl", '{"text":"a"}\n{', "dataset: line 2 is not JSON"],
    ["jsonl", "[1]", "dataset: line 1 has no text"],
    ["jsonl", "null", "dataset: line 1 has no text"],
  ] as const)("%s that is wrong names its line: %j", (format, content, message) => {
    expect(() => parseDataset(content, format)).toThrow(message);
  });
});

describe("a mean with its interval", () => {
  test("is reproducible, holds the mean, and narrows with more texts", () => {
    const values = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i));
    const [few, many] = [summarise(values(10), 1), summarise(values(1000), 1)];
    expect(summarise(values(10), 1)).toEqual(few);
    expect(summarise(values(10), 2)).not.toEqual(few);
    const width = ({ interval: [low, high] }: { interval: readonly [number, number] }) =>
      high - low;
    if (few === undefined || many === undefined) throw new Error("no summary");
    expect(few.interval[0]).toBeLessThan(few.mean);
    expect(few.interval[1]).toBeGreaterThan(few.mean);
    // The standard error falls with the root of the count: 10 times here.
    expect(width(few) / width(many)).toBeGreaterThan(5);
  });

  test("of nothing is not defined, of equal values is that value", () => {
    expect(summarise([], 0)).toBeUndefined();
    expect(summarise([0.5, 0.5, 0.5], 0)).toEqual({ mean: 0.5, interval: [0.5, 0.5], texts: 3 });
  });
});

test("agreement over sentences: every method has a row, accuracy and forwards are counted", async () => {
  const folder = fileURLToPath(new URL("../public/models/sst2", import.meta.url));
  const backend = await createBackend("wasm");
  const explainer = await createExplainer({ name: "sst2", source: folderSource(folder), backend });
  const examples = [
    { text: "a gorgeous, witty and moving film", label: "1" },
    { text: "a dull, lifeless and utterly pointless mess", label: "negative" },
  ];
  const seen: number[] = [];
  const agreement = await measureAgreement(explainer, examples, {
    request: { methods: ["loo", "attnlrp", { method: "cp-lrp", layers: { from: 3 } }, "rollout"] },
    onProgress: (done) => seen.push(done),
  });
  expect(seen).toEqual([1, 2]);
  expect(agreement.rows.map(({ method }) => method)).toEqual([
    "attnlrp",
    "cp-lrp from 3",
    "rollout",
  ]);
  for (const { spearman, pearson, kendall } of agreement.rows) {
    for (const summary of [spearman, pearson, kendall]) {
      expect(summary?.texts).toBe(2);
      expect(Math.abs(summary?.mean ?? NaN)).toBeLessThanOrEqual(1);
    }
  }
  expect(agreement.accuracy).toBe(1);
  expect(agreement.forwards).toBeGreaterThan(18);
});
