// What is timed, the same in Node and in workerd: the arithmetic ceiling, a forward pass, and what explanations add to it.
// Variants are interleaved and medians taken, since the machines are shared; a sample lasts long enough for a 1 ms clock.
import type { Explainer } from "../src/explainer/explainer.ts";
import type { MethodName } from "../src/contract/request.ts";
import type { Graph } from "../src/model/graph.ts";

/** One line of `npm run bench -- --json`. `ratio` > 1 means that we are faster than `other`; shares of a limit are below 1. */
export interface Row {
  readonly name: string;
  readonly model: string;
  readonly runtime: string;
  readonly tokens: number;
  readonly ratio: number;
  readonly ours_ms: number;
  readonly other_ms: number;
  readonly other: string;
}

/** bench/assembly/peak.ts */
export type Peak = (rounds: number, factor: number, term: number) => number;

type Variant = () => unknown;

/** Shortest sample: 200 ms, so that a clock of 1 ms steps errs by half a percent. */
const SAMPLE_MS = 200;

/** Median milliseconds per call of each variant, sampled in turn: A B C A B C … */
export async function interleave<K extends string>(
  variants: Readonly<Record<K, Variant>>,
  { samples = 7 } = {},
): Promise<Record<K, number>> {
  const names = Object.keys(variants) as K[];
  const times = new Map<K, number[]>(names.map((name) => [name, []]));
  const calls = new Map<K, number>();
  for (const name of names) calls.set(name, await callsPerSample(variants[name]));
  for (let sample = 0; sample < samples; sample++) {
    for (const name of names) {
      const count = calls.get(name) ?? 1;
      const begin = performance.now();
      for (let call = 0; call < count; call++) await variants[name]();
      times.get(name)?.push((performance.now() - begin) / count);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times.get(name) ?? [])])) as Record<
    K,
    number
  >;
}

async function callsPerSample(variant: Variant): Promise<number> {
  let count = 1;
  for (;;) {
    const begin = performance.now();
    for (let call = 0; call < count; call++) await variant();
    const elapsed = performance.now() - begin;
    if (elapsed >= SAMPLE_MS) return count;
    count = Math.max(count + 1, Math.ceil((count * SAMPLE_MS * 1.1) / Math.max(elapsed, 1)));
  }
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

const PEAK_ROUNDS = 2_000_000;

/** Times one model at one length; `peak` is the register-only loop of bench/assembly. */
export async function timeModel(
  explainer: Explainer,
  graph: Graph,
  { tokens, runtime, peak }: { tokens: number; runtime: string; peak: Peak },
): Promise<Row[]> {
  const { name: model, config } = explainer;
  // Ids only: tokenizing is not what is timed. Ordinary ids, none of them special.
  const ids = Array.from({ length: tokens }, (_, token) => (1000 + 37 * token) % config.vocabulary);
  const explain = (methods: MethodName[]) => () =>
    explainer.explain({ ids, methods: methods.map((method) => ({ method })) as never });
  const times = await interleave({
    peak: () => peak(PEAK_ROUNDS, 0.999, 0.001),
    forward: () => explainer.predict({ ids }),
    attnlrp: explain(["attnlrp"]),
    relevance: explain(["attnlrp", "cp-lrp", "gradient-x-input"]),
    everything: explain(["loo", "attnlrp", "cp-lrp", "gradient-x-input"]),
  });
  const atPeak = (operations: number) => (operations / (96 * PEAK_ROUNDS)) * times.peak;
  const row = (name: string, ours: number, other: number, against: string): Row => ({
    name,
    model,
    runtime: `${runtime} ${explainer.backend.name}`,
    tokens,
    ratio: other / ours,
    ours_ms: ours,
    other_ms: other,
    other: against,
  });
  const { forward } = times;
  return [
    row(
      "forward-share-of-peak",
      forward,
      atPeak(operationsOf(graph, tokens)),
      "the same operations at the measured peak",
    ),
    row("forward-per-attnlrp", times.attnlrp, forward, "one forward"),
    row("forward-per-three-methods", times.relevance, forward, "one forward"),
    row(
      "own-loop-per-explain",
      times.everything,
      forward * (tokens + 1),
      "a forward per token and one more",
    ),
  ];
}

/** Operations of one forward over one sequence: 2 per multiply-add of matrix products; the rest is not counted. */
function operationsOf({ nodes }: Graph, tokens: number): number {
  const rowsOf = (rows: number | "tokens" | "reads") =>
    rows === "tokens" ? tokens : rows === "reads" ? 1 : rows;
  return nodes.reduce((total, node) => {
    const rows = rowsOf(node.rows);
    const input = nodes[node.inputs[0] ?? -1];
    if (node.kind === "linear") return total + 2 * rows * node.columns * (input?.columns ?? 0);
    if (node.kind === "attention") return total + 4 * rows * tokens * node.columns;
    return total;
  }, 0);
}
