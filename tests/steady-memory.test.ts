// A warm explainer does not grow: after each kind of request once, a thousand more leave its memory where it was.
import { expect, test } from "vitest";
import type { ExplainRequestInput } from "../src/contract/request.ts";
import { createExplainer } from "../src/explainer/explainer.ts";
import { createBackend, folderSource } from "../src/node.ts";
import { goldenFolder } from "./golden-data.ts";

const ids = (count: number) =>
  Array.from({ length: count }, (_, token) => 2 + ((token * 37) % 190));

const kinds: readonly ExplainRequestInput[] = [
  { ids: ids(40) },
  { ids: ids(3), methods: ["loo"] },
  { ids: ids(17), methods: ["loo"], removal: ["attention", "zero", "delete", { replace: 4 }] },
  { ids: ids(40), methods: ["attnlrp", "attnlrp-unhalved", "cp-lrp", "cp-lrp-ali"], at: "emb" },
  { ids: ids(9), methods: [{ method: "integrated-gradients", steps: 7 }] },
  { ids: ids(12), methods: ["rollout"], target: { index: 2 } },
  {
    ids: ids(5),
    methods: [{ method: "cp-lrp", layers: { only: 1 } }],
    target: { contrast: [0, 1] },
  },
  { ids: ids(30), attention_mask: ids(30).map((_, token) => (token < 20 ? 1 : 0)) },
  // Refused, before and while it is worked on.
  { ids: [2, 1000] },
  { ids: ids(41) },
];

test("1,000 mixed requests leave memory where the tenth left it", async () => {
  const backend = await createBackend("wasm");
  const explainer = await createExplainer({
    name: "bert",
    source: folderSource(goldenFolder("bert")),
    backend,
  });
  const answers = new Map<number, string>();
  let refused = 0;
  const run = async (kind: number) => {
    const request = kinds[kind];
    if (request === undefined) throw new Error(`no request ${kind}`);
    const answer = await explainer.explain(request).then(JSON.stringify, () => "refused");
    if (answer === "refused") refused++;
    expect(answers.get(kind) ?? answer, "the same answer every time").toBe(answer);
    answers.set(kind, answer);
  };
  for (const kind of kinds.keys()) await run(kind);
  const { total, live, weights } = backend.memory();
  expect(live).toBe(0);
  for (let round = 0; round < 100; round++) for (const kind of kinds.keys()) await run(kind);
  expect(backend.memory()).toMatchObject({ total, live: 0, weights });
  expect(refused).toBe(2 * 101);
});
