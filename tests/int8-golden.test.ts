// A quantised model explains itself: every method on the kernels against the reference backend, which computes with exactly
// the same integers and scales, in float64. How far they are from the float model is printed, not judged.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quantizeFolder } from "../scripts/quantize/folder.ts";
import type { Explanation } from "../src/contract/answer.ts";
import { methodNames, type ExplainRequestInput } from "../src/contract/request.ts";
import { createExplainer, type Explainer } from "../src/explainer/explainer.ts";
import { createDryBackend } from "../src/backend/wasm.ts";
import { folderSource } from "../src/node.ts";
import { backends } from "./backends.ts";
import { goldenFolder, goldenOf } from "./golden-data.ts";
import { baseRequest, relativeError, targetOf } from "./suite/golden.ts";

const family = "bert";
/** Of the largest score of a method: what rounding activations to 16 bits may change. */
const tolerance = 1e-3;
/** Leave-one-out is the small difference of two logits, each of which is rounded. */
const differenceTolerance = 3e-3;

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "plumbline-int8-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function requests(): ExplainRequestInput[] {
  const { golden } = goldenOf(family);
  return golden.cases.flatMap((goldenCase) =>
    goldenCase.targets.map(({ target }) => ({
      ...baseRequest(goldenCase),
      target: targetOf(target.coef),
      methods: [...methodNames, { method: "cp-lrp" as const, layers: { from: 1 } }],
      removal: ["attention", { replace: golden.replacement_id }, "zero", "delete"],
    })),
  );
}

/** Largest error of each method, relative to its largest score, and of the logits. */
function errorsOf(got: readonly Explanation[], want: readonly Explanation[]) {
  const errors = new Map<string, number>();
  const note = (name: string, error: number) =>
    errors.set(name, Math.max(error, errors.get(name) ?? 0));
  got.forEach(({ attributions, prediction }, index) => {
    const expected = want[index]!;
    const logits = (answer: Explanation["prediction"]) =>
      answer.toSorted((a, b) => a.label.localeCompare(b.label)).map(({ logit }) => logit);
    note("logits", relativeError(logits(prediction), logits(expected.prediction)));
    attributions.forEach(({ method, scores }, a) => {
      note(method, relativeError(scores, expected.attributions[a]!.scores));
    });
  });
  return errors;
}

describe("a quantised golden model", () => {
  const judged = backends.filter(({ name }) => name !== "reference");
  const explainers = new Map<string, Explainer>();
  const answers = new Map<string, Explanation[]>();
  const memory = new Map<string, number>();

  async function answer(key: string, folder: string, name: string) {
    const { make } = backends.find((backend) => backend.name === name)!;
    const backend = await make();
    const source = folderSource(folder);
    const explainer = await createExplainer({ name: family, source, backend });
    memory.set(key, backend.memory().weights);
    explainers.set(key, explainer);
    answers.set(key, await Promise.all(requests().map((request) => explainer.explain(request))));
  }

  beforeAll(async () => {
    const folder = join(root, family);
    await quantizeFolder(goldenFolder(family), folder);
    await answer("f32", goldenFolder(family), "wasm-simd");
    for (const { name } of backends) await answer(name, folder, name);
  }, 120_000);

  test("the kernels agree with the reference", () => {
    const names = judged.map(({ name }) => name);
    const columns = names.map((name) => errorsOf(answers.get(name)!, answers.get("reference")!));
    const moved = errorsOf(answers.get("reference")!, answers.get("f32")!);
    const lines = [...moved].map(([method, shift]) => {
      const cells = columns.map((errors) => errors.get(method)!.toExponential(1));
      return `  ${method.padEnd(22)} ${cells.join("  ")}  ${shift.toExponential(1)}`;
    });
    const head = `${family}, int8: largest error of ${names.join(", ")}; how far from float32`;
    console.log([head, ...lines].join("\n"));
    expect(moved.size).toBe(methodNames.length + 1);
    for (const errors of columns) {
      for (const [method, error] of errors) {
        const allowed = method === "loo" ? differenceTolerance : tolerance;
        expect(error, method).toBeLessThanOrEqual(allowed);
      }
    }
    // Otherwise nothing was quantised.
    expect(moved.get("logits")).toBeGreaterThan(1e-4);
  });

  test("a revision and an answer of its own", () => {
    const [quantised, float] = [explainers.get("wasm-simd")!, explainers.get("f32")!];
    expect(quantised.revision).not.toBe(float.revision);
    expect(quantised.revision).toBe(explainers.get("reference")!.revision);
    expect(answers.get("wasm-simd")![0]!.id).not.toBe(answers.get("f32")![0]!.id);
  });

  test("weights take a quarter of the memory, and the plan knows", async () => {
    // Vectors, positions and types stay float32, and this model is small.
    expect(memory.get("wasm-simd")! / memory.get("f32")!).toBeLessThan(0.4);
    const dry = createDryBackend();
    const { make } = judged[0]!;
    await createExplainer({
      name: family,
      source: folderSource(join(root, family)),
      backend: await make(),
      memory: { dry, limitBytes: 2 ** 27 },
    });
    expect(dry.memory().weights).toBe(memory.get("wasm-simd"));
  });
});
