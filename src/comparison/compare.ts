// One row of the comparison table, and the ceiling that several removals set for one another.
// What is not defined is left out, never NaN or null. Must not know how scores are made.

import { mean } from "simple-statistics";

import { kendall, pearson, spearman, spearmanInterval } from "./correlation.ts";
import { signAgreement, topOverlap, type TopOverlap } from "./overlap.ts";
import { isConstant, requireFinite } from "./scores.ts";

/** Agreement of one score vector with the reference, in the words of the HTTP answer. */
export interface ComparisonRow {
  readonly pearson?: number;
  readonly spearman?: number;
  readonly kendall?: number;
  readonly top_k?: TopOverlap;
  readonly sign_agreement?: number;
  /** Approximate 95 % interval of `spearman`: [low, high]; from 4 units on. */
  readonly interval?: readonly [low: number, high: number];
  /** Why the correlations are missing; only where they are. */
  readonly note?: string;
}

export interface RemovalScores {
  readonly removal: string;
  readonly scores: readonly number[];
}

export interface RemovalPair {
  readonly removals: readonly [string, string];
  readonly spearman?: number;
  readonly note?: string;
}

export interface Ceiling {
  /** The removals whose scores are not constant, so that they could be compared. */
  readonly removals: readonly string[];
  /** Mean Spearman over the pairs of these. */
  readonly spearman: number;
  /** Every pair that was asked for, with a note where it is not defined. */
  readonly pairs: readonly RemovalPair[];
}

/**
 * Compares `scores` with `reference` (leave-one-out), unit by unit; both (n), signed, and only the
 * units that count (special tokens left out).
 * Throws for lengths that differ and for scores that are not finite.
 */
export function compareScores(
  reference: readonly number[],
  scores: readonly number[],
): ComparisonRow {
  const rank = spearman(reference, scores);
  return withoutUndefined({
    pearson: pearson(reference, scores),
    spearman: rank,
    kendall: kendall(reference, scores),
    top_k: topOverlap(reference, scores),
    sign_agreement: signAgreement(reference, scores),
    interval: rank === undefined ? undefined : spearmanInterval(rank, scores.length),
    note: undefinedBecause(reference, scores),
  });
}

/**
 * How far leave-one-out under several removals agrees with itself: the ceiling for a method that
 * was not made for one of them. A removal with constant scores is left out of the mean; undefined
 * where fewer than two remain. Throws as `compareScores` does.
 */
export function agreementOfRemovals(vectors: readonly RemovalScores[]): Ceiling | undefined {
  for (const { removal, scores } of vectors) requireFinite(scores, removal);
  const pairs = vectors.flatMap((left, index) =>
    vectors.slice(index + 1).map((right): RemovalPair => ({
      removals: [left.removal, right.removal],
      ...withoutUndefined({
        spearman: spearman(left.scores, right.scores),
        note: undefinedBecause(left.scores, right.scores, left.removal, right.removal),
      }),
    })),
  );
  const defined = pairs.flatMap((pair) => pair.spearman ?? []);
  if (defined.length === 0) return undefined;
  const removals = vectors.filter(({ scores }) => !isConstant(scores));
  return { removals: removals.map(({ removal }) => removal), spearman: mean(defined), pairs };
}

function undefinedBecause(
  reference: readonly number[],
  scores: readonly number[],
  referenceName = "reference",
  name?: string,
): string | undefined {
  if (scores.length < 2) return "fewer than two units";
  if (isConstant(reference)) return `constant ${referenceName} scores`;
  if (isConstant(scores)) return name === undefined ? "constant scores" : `constant ${name} scores`;
  return undefined;
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(record: T): Defined<T> {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Defined<T>;
}
