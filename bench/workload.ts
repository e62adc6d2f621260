// How things are timed, the same in Node and in workerd: variants in turn, medians, and rows that set two of them side by side.
// Taking turns matters because the machines are shared; a sample lasts long enough for a 1 ms clock.
import type { Backend } from "../src/backend/backend.ts";
import type { MethodName } from "../src/contract/request.ts";
import type { Explainer } from "../src/explainer/explainer.ts";
import type { ByteSource } from "../src/loading/byte-source.ts";
import type { Job, RowName } from "./jobs.ts";

/** One line of `npm run bench -- --json`. `ratio` > 1 means that we are faster than `other`; shares of a limit are below 1. */
export interface Row {
  readonly name: RowName;
  readonly model: string;
  readonly runtime: string;
  readonly tokens: number;
  readonly ratio: number;
  readonly ours_ms: number;
  readonly other_ms: number;
  readonly other: string;
  /** Largest difference between the two results, relative to the largest number of the other's. */
  readonly difference?: number;
}

/** bench/assembly/peak.ts */
export type Peak = (rounds: number, factor: number, term: number) => number;

/** What differs between Node and workerd. */
export interface Host {
  readonly name: string;
  readonly peak: Peak;
  createBackend(): Backend | Promise<Backend>;
  /** A folder below public/models. */
  source(model: string): ByteSource;
}

type Variant = () => unknown;

/** Two variants set side by side. */
export interface Matchup<V extends string> {
  readonly name: RowName;
  readonly ours: V;
  readonly other: V;
  /** How much of `other` is equal work. Default 1. */
  readonly times?: number;
  readonly against: string;
  readonly difference?: number;
}

/** Times the variants that the wanted matchups need, and gives a row for each matchup. */
export async function play<V extends string>(
  variants: Readonly<Record<V, Variant>>,
  matchups: readonly Matchup<V>[],
  { model, tokens, samples, only }: Job,
  runtime: string,
): Promise<Row[]> {
  const wanted = matchups.filter(({ name }) => only === undefined || name === only);
  const needed = new Set(wanted.flatMap(({ ours, other }) => [ours, other]));
  const used = Object.fromEntries([...needed].map((name) => [name, variants[name]]));
  const medians = await interleave(used as Record<V, Variant>, { samples });
  return wanted.map(({ name, ours, other, times = 1, against, difference }) => ({
    name,
    model,
    runtime,
    tokens,
    ratio: (times * medians[other]) / medians[ours],
    ours_ms: medians[ours],
    other_ms: times * medians[other],
    other: against,
    ...(difference === undefined ? {} : { difference }),
  }));
}

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

/** The peak loop as a variant, and how much of it `operations` are. */
export function atPeak(peak: Peak, operations: number): { peak: Variant; times: number } {
  return {
    peak: () => peak(PEAK_ROUNDS, 0.999, 0.001),
    // bench/assembly/peak.ts: 96 operations a round.
    times: operations / (96 * PEAK_ROUNDS),
  };
}

/** Largest difference relative to the largest number of `expected`. Throws above `limit`: unequal work is not compared. */
export function agreement(
  what: string,
  actual: readonly number[],
  expected: ArrayLike<number>,
  limit = 1e-3,
): number {
  const wanted = Array.from(expected);
  const largest = Math.max(...wanted.map(Math.abs));
  const difference = Math.max(...actual.map((x, i) => Math.abs(x - (wanted[i] ?? NaN)))) / largest;
  if (difference <= limit && actual.length === wanted.length) return difference;
  const both = `${actual.join(", ")} against ${wanted.join(", ")}`;
  throw new Error(`bench: ${what} differ by ${difference} of the largest: ${both}`);
}

/** An explanation by `methods`, as a variant. */
export function explaining(explainer: Explainer, ids: readonly number[], methods: MethodName[]) {
  const request = { ids: [...ids], methods };
  return () => explainer.explain(request);
}
