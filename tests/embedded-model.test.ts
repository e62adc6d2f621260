// The embedded model as it is shipped: token ids and logits as scripts/train/golden.py computed them in float64.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { createExplainer } from "../src/explainer/explainer.ts";
import { folderSource } from "../src/node.ts";
import { backends } from "./backends.ts";

const folder = fileURLToPath(new URL("../public/models/sst2", import.meta.url));
const { items } = JSON.parse(
  readFileSync(new URL("golden/sst2.json", import.meta.url), "utf8"),
) as { items: { text: string; ids: number[]; logits: number[] }[] };

test("attributions stand in the order of the request, and naming loo twice measures it once", async () => {
  const backend = await backends[1]?.make();
  if (backend === undefined) throw new Error("no WASM backend");
  const explainer = await createExplainer({ name: "sst2", source: folderSource(folder), backend });
  const { attributions, comparison } = await explainer.explain({
    text: "an oddly charming film",
    methods: ["rollout", "loo", "cp-lrp", "loo", { method: "cp-lrp", layers: { only: 2 } }],
    removal: ["attention", "mask"],
  });
  const shown = attributions.map(({ method, removal, layers }) => ({ method, removal, layers }));
  expect(shown).toEqual([
    { method: "rollout" },
    { method: "loo", removal: "attention" },
    { method: "loo", removal: "mask" },
    { method: "cp-lrp" },
    { method: "cp-lrp", layers: { only: 2 } },
  ]);
  expect(comparison?.ceiling?.pairs.length).toBe(1);
});

test.each(backends)(
  "$name: token ids and logits of the golden sentences",
  async ({ name, make }) => {
    const backend = await make();
    const explainer = await createExplainer({
      name: "sst2",
      source: folderSource(folder),
      backend,
    });
    let largest = 0;
    for (const { text, ids, logits } of items) {
      // An empty text holds nothing to explain, so its ids are given.
      const input = text === "" ? { ids } : { text };
      const { tokens, prediction } = await explainer.explain({ ...input, methods: ["rollout"] });
      expect(
        tokens.map(({ id }) => id),
        text,
      ).toEqual(ids);
      for (const { label, logit } of prediction) {
        const expected = logits[explainer.config.labels.indexOf(label)] ?? NaN;
        largest = Math.max(largest, Math.abs(logit - expected));
      }
    }
    console.log(`${name}: largest error of a logit ${largest.toExponential(1)}`);
    expect(largest).toBeLessThan(1e-4);
    expect(items.length).toBeGreaterThanOrEqual(20);
  },
);
