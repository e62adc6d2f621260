// Agreement of every method with leave-one-out over many texts: means per method with intervals over texts.
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { mean, quantileSorted, sampleWithReplacement } from "simple-statistics";
import type { Comparison, Explanation } from "../contract/answer.ts";
import { methodTitle } from "../explainer/compare.ts";
import type { Explainer } from "../explainer/explainer.ts";
import type { ExplainRequestInput } from "../contract/request.ts";
import type { Example } from "./dataset.ts";

const measures = ["pearson", "spearman", "kendall"] as const;
type Measure = (typeof measures)[number];

export interface Summary {
  readonly mean: number;
  /** 95 % bootstrap interval of the mean, over texts. */
  readonly interval: readonly [low: number, high: number];
  /** Texts in which the measure is defined. */
  readonly texts: number;
}

export interface MethodAgreement {
  readonly method: string;
  readonly pearson?: Summary;
  readonly spearman?: Summary;
  readonly kendall?: Summary;
}

export interface Agreement {
  readonly texts: number;
  /** Of the texts that have a label; absent where none has. */
  readonly accuracy?: number;
  readonly rows: readonly MethodAgreement[];
  readonly forwards: number;
}

export interface AgreementOptions {
  readonly request: Omit<ExplainRequestInput, "text" | "ids">;
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Explains every example and averages each method's agreement with leave-one-out. */
export async function measureAgreement(
  explainer: Explainer,
  examples: readonly Example[],
  { request, seed = 0, onProgress = () => {} }: AgreementOptions,
): Promise<Agreement> {
  const comparisons: Comparison[] = [];
  let [forwards, right, labelled] = [0, 0, 0];
  for (const [index, { text, label }] of examples.entries()) {
    const answer = await explainer.explain({ ...request, text });
    if (answer.comparison) comparisons.push(answer.comparison);
    forwards += answer.cost.forwards;
    if (label !== undefined) {
      labelled++;
      right += Number(isRight(answer, label, explainer.config.labels));
    }
    onProgress(index + 1, examples.length);
  }
  const titles = (comparisons[0]?.rows ?? []).map((row) => methodTitle({ ...row, scores: [] }));
  return {
    texts: examples.length,
    ...(labelled > 0 ? { accuracy: right / labelled } : {}),
    rows: titles.map((method, row) => ({
      method,
      ...Object.fromEntries(
        measures.flatMap((measure) => {
          const summary = summarise(valuesOf(comparisons, row, measure), seed);
          return summary ? [[measure, summary]] : [];
        }),
      ),
    })),
    forwards,
  };
}

/** Mean of `values` with a 95 % percentile-bootstrap interval of 1,000 draws; the same draws for the same seed. */
export function summarise(values: readonly number[], seed: number): Summary | undefined {
  if (values.length === 0) return undefined;
  const generator = xoroshiro128plus(seed);
  const draws = Array.from({ length: 1000 }, () =>
    mean(sampleWithReplacement([...values], values.length, () => uniformFloat64(generator))),
  ).toSorted((a, b) => a - b);
  return {
    mean: mean([...values]),
    interval: [quantileSorted(draws, 0.025), quantileSorted(draws, 0.975)],
    texts: values.length,
  };
}

function valuesOf(comparisons: readonly Comparison[], row: number, measure: Measure): number[] {
  return comparisons.flatMap(({ rows }) => rows[row]?.[measure] ?? []);
}

function isRight({ prediction }: Explanation, label: string, labels: readonly string[]): boolean {
  const predicted = prediction[0]?.label;
  return predicted === label || predicted === labels[Number(label)];
}
