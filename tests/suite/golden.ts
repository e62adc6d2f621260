// Golden values of a family against anything that answers requests: an explainer in Node or workerd, or the CLI.
// Imports nothing of a platform, so the same cases run everywhere.
import { expect, test } from "vitest";
import type { Attribution, Explanation } from "../../src/contract/answer.ts";
import type { ExplainRequestInput } from "../../src/contract/request.ts";

export type Scores = { readonly word: readonly number[]; readonly emb?: readonly number[] };
type ByLayer = { readonly ln_detach: Readonly<Record<string, Scores>> };

export interface GoldenMethods {
  readonly gxi: Scores & { readonly hidden: readonly (readonly number[])[] };
  readonly attnlrp: { readonly ln_detach: Scores & Detail };
  readonly cplrp: { readonly ln_detach: Scores & Detail };
  readonly cplrp_plain_act: { readonly ln_detach: Scores };
  readonly cplrp_from_layer: ByLayer;
  readonly cplrp_only_layer: ByLayer;
  readonly cplrp_up_to_layer: ByLayer;
  readonly ig: { readonly word: readonly number[]; readonly completeness_gap: number };
  readonly loo: Readonly<Record<string, readonly number[]>>;
}

interface Detail {
  readonly hidden: readonly (readonly number[])[];
  /** Only in the first case. */
  readonly word_full?: readonly (readonly number[])[];
}

export interface GoldenCase {
  readonly name: string;
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly (0 | 1)[];
  readonly token_type_ids?: readonly number[];
  readonly logits: readonly number[];
  readonly rollout: readonly number[];
  readonly forward?: {
    readonly hidden_states: readonly (readonly (readonly number[])[])[];
    readonly attentions: readonly (readonly (readonly (readonly number[])[])[])[];
  };
  readonly targets: readonly {
    readonly target: { readonly coef: Readonly<Record<string, number>> };
    readonly value: number;
    readonly methods: GoldenMethods;
  }[];
}

export interface Golden {
  readonly replacement_id: number;
  readonly cases: readonly GoldenCase[];
}

export interface Estimates {
  readonly cases: readonly {
    readonly targets: readonly { readonly scores: { readonly attnlrp_unhalved: Scores } }[];
  }[];
}

/** max |difference| <= 1e-4 * max |word| of the method (rules.md, acceptance). */
export const tolerance = 1e-4;

/** Largest difference relative to the largest value of `scale`. NaN counts as infinite. */
export function relativeError(
  actual: ArrayLike<number>,
  expected: readonly number[],
  scaleOf: readonly number[] = expected,
): number {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(...scaleOf.map(Math.abs));
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - (actual[i] ?? NaN))));
  return Number.isFinite(worst) ? worst / scale : Infinity;
}

/** Collects the largest error per name, and prints them as a table. */
export function errorTable() {
  const errors = new Map<string, number>();
  return {
    note(name: string, error: number) {
      errors.set(name, Math.max(errors.get(name) ?? 0, error));
      expect(error, name).toBeLessThanOrEqual(tolerance);
    },
    print(title: string) {
      const rows = [...errors].map(
        ([name, error]) => `  ${name.padEnd(26)} ${error.toExponential(1)}`,
      );
      console.log(
        [`${title}: largest error per method, of ${tolerance} allowed`, ...rows].join("\n"),
      );
    },
    get size() {
      return errors.size;
    },
  };
}

type Expectation = {
  readonly name: string;
  readonly method: NonNullable<ExplainRequestInput["methods"]>[number];
  readonly scores: readonly number[];
};

function expectations(methods: GoldenMethods, unhalved: Scores | undefined): Expectation[] {
  const layered = (
    name: "cplrp_from_layer" | "cplrp_only_layer" | "cplrp_up_to_layer",
    bound: (layer: number) => { from: number } | { only: number } | { up_to: number },
  ): Expectation[] =>
    Object.entries(methods[name].ln_detach).map(([layer, { word }]) => ({
      name: name.replaceAll("_", " "),
      method: { method: "cp-lrp", layers: bound(Number(layer)) },
      scores: word,
    }));
  return [
    { name: "gradient-x-input", method: "gradient-x-input", scores: methods.gxi.word },
    { name: "attnlrp", method: "attnlrp", scores: methods.attnlrp.ln_detach.word },
    { name: "cp-lrp", method: "cp-lrp", scores: methods.cplrp.ln_detach.word },
    { name: "cp-lrp-ali", method: "cp-lrp-ali", scores: methods.cplrp_plain_act.ln_detach.word },
    ...(unhalved
      ? [{ name: "attnlrp-unhalved", method: "attnlrp-unhalved" as const, scores: unhalved.word }]
      : []),
    ...layered("cplrp_from_layer", (from) => ({ from })),
    ...layered("cplrp_only_layer", (only) => ({ only })),
    ...layered("cplrp_up_to_layer", (up_to) => ({ up_to })),
    { name: "integrated-gradients", method: "integrated-gradients", scores: methods.ig.word },
  ];
}

/** Names of the golden removals and what a request calls them. */
function removals(replacement: number) {
  return [
    ["attention_mask", "attention"],
    ["replace", { replace: replacement }],
    ["zero_word_embedding", "zero"],
    ["delete", "delete"],
  ] as const;
}

export function targetOf(coef: Readonly<Record<string, number>>): ExplainRequestInput["target"] {
  const plus = Object.keys(coef).find((index) => coef[index] === 1);
  const minus = Object.keys(coef).find((index) => coef[index] === -1);
  if (plus === undefined) throw new Error("golden: a target without +1");
  return minus === undefined
    ? { index: Number(plus) }
    : { contrast: [Number(plus), Number(minus)] };
}

export function baseRequest({ input_ids, attention_mask, token_type_ids }: GoldenCase) {
  return {
    ids: [...input_ids],
    attention_mask: [...attention_mask],
    ...(token_type_ids ? { type_ids: [...token_type_ids] } : {}),
  };
}

/** The golden folders of a server, as `fetchGolden("bert/reference.json")` answers. */
export function fetchFamilies(fetchGolden: (path: string) => Promise<Response>) {
  const read = async <T>(path: string) => (await (await fetchGolden(path)).json()) as T;
  return Promise.all(
    ["bert", "bert-nobias"].map(async (family) => ({
      family,
      golden: await read<Golden>(`${family}/reference.json`),
      estimates: await read<Estimates>(`${family}/estimates.json`),
    })),
  );
}

/** Every method, case, target, removal and layer set of one family; `answer` answers many requests at once. */
export function goldenTests(
  { golden, estimates }: { readonly golden: Golden; readonly estimates: Estimates },
  title: string,
  answer: (requests: ExplainRequestInput[]) => Promise<Explanation[]>,
): void {
  test(`${title}: every method, case, target, removal and layer set`, async () => {
    const errors = errorTable();
    const checks: { request: ExplainRequestInput; check: (answer: Explanation) => void }[] = [];
    golden.cases.forEach((goldenCase, c) => {
      goldenCase.targets.forEach(({ target, value, methods }, t) => {
        const base = { ...baseRequest(goldenCase), target: targetOf(target.coef) };
        const expected = expectations(
          methods,
          estimates.cases[c]?.targets[t]?.scores.attnlrp_unhalved,
        );
        const wanted = removals(golden.replacement_id);
        checks.push({
          request: {
            ...base,
            methods: ["rollout", ...expected.map(({ method }) => method), "loo"],
            removal: wanted.map(([, removal]) => removal),
          },
          check(explanation) {
            const { prediction, attributions, target: explained } = explanation;
            const logits = goldenCase.logits.map(
              (_, index) =>
                prediction.find(({ label }) => label === `LABEL_${index}`)?.logit ?? NaN,
            );
            errors.note("logits", relativeError(logits, goldenCase.logits));
            errors.note("target value", relativeError([explained.value], [value]));
            errors.note(
              "rollout",
              relativeError(attributions[0]?.scores ?? [], goldenCase.rollout),
            );
            expected.forEach(({ name, scores }, index) => {
              errors.note(name, relativeError(attributions[index + 1]?.scores ?? [], scores));
            });
            const loo = attributions.filter(({ method }) => method === "loo");
            wanted.forEach(([name], index) => {
              const scores = methods.loo[name];
              if (scores === undefined) throw new Error(`golden: no removal ${name}`);
              errors.note(
                `loo ${name.replaceAll("_", " ")}`,
                relativeError(loo[index]?.scores ?? [], scores),
              );
            });
            hiddenTokensGetZero(goldenCase, attributions);
          },
        });
        const summed = [
          { name: "attnlrp at emb", method: "attnlrp" as const, scores: methods.attnlrp.ln_detach },
          { name: "cp-lrp at emb", method: "cp-lrp" as const, scores: methods.cplrp.ln_detach },
          {
            name: "cp-lrp-ali at emb",
            method: "cp-lrp-ali" as const,
            scores: methods.cplrp_plain_act.ln_detach,
          },
        ];
        checks.push({
          request: { ...base, at: "emb", methods: summed.map(({ method }) => method) },
          check({ attributions }) {
            summed.forEach(({ name, scores }, index) => {
              errors.note(
                name,
                relativeError(attributions[index]?.scores ?? [], scores.emb ?? [], scores.word),
              );
            });
          },
        });
      });
    });
    const answers = await answer(checks.map(({ request }) => request));
    expect(answers.length).toBe(checks.length);
    checks.forEach(({ check }, index) => {
      const explanation = answers[index];
      if (explanation === undefined) throw new Error(`golden: no answer ${index}`);
      check(explanation);
    });
    errors.print(title);
    expect(errors.size).toBeGreaterThanOrEqual(18);
  });
}

/** Padding is left out of the packed batch, so its relevance is 0 and not merely small. */
function hiddenTokensGetZero(
  { attention_mask: mask }: GoldenCase,
  attributions: readonly Attribution[],
): void {
  for (const { scores } of attributions) {
    mask.forEach((visible, token) => {
      if (visible === 0) expect(Object.is(scores[token], 0)).toBe(true);
    });
  }
}
