// How far two score vectors pick the same top units and the same signs.
// Must not know which of the two is the reference: both measures are symmetric.

import { requirePair } from "./scores.ts";

export interface TopOverlap {
  readonly k: number;
  /** Share of the top k that both vectors name, 0 to 1; by chance k / n. */
  readonly overlap: number;
}

/** The default k for n units: 3, or half of the units where there are fewer than 6, at least 1. */
export function defaultTop(n: number): number {
  return Math.max(1, Math.min(3, Math.floor(n / 2)));
}

/**
 * Overlap of the k units with the largest signed scores (those that speak most for the target; a
 * large negative score speaks against it and is not at the top). Undefined for n < 2.
 *
 * Ties at the boundary share the places left: p places for t tied units make each a member by p/t,
 * and the overlap adds up the smaller of the two memberships over k. So the order of the units
 * never matters, a vector overlaps itself by 1, and a constant one any untied one by chance, k/n.
 */
export function topOverlap(
  left: readonly number[],
  right: readonly number[],
  k: number = defaultTop(left.length),
): TopOverlap | undefined {
  requirePair(left, right);
  if (left.length < 2) return undefined;
  if (!Number.isInteger(k) || k < 1 || k > left.length) {
    throw new Error(`comparison: top k outside 1 to ${left.length}: ${k}`);
  }
  const leftTop = boundary(left, k);
  const rightTop = boundary(right, k);
  let shared = 0; // in units of 1 / (left tied * right tied), so that the sum is exact
  for (const [unit, score] of left.entries()) {
    shared += Math.min(
      membership(score, leftTop) * rightTop.tied,
      membership(right[unit]!, rightTop) * leftTop.tied,
    );
  }
  return { k, overlap: shared / (leftTop.tied * rightTop.tied * k) };
}

/**
 * Share of units whose two scores have the same sign; undefined for no units. Zero is a sign of its
 * own: two zeros agree, a zero and a positive score do not.
 */
export function signAgreement(
  left: readonly number[],
  right: readonly number[],
): number | undefined {
  requirePair(left, right);
  if (left.length === 0) return undefined;
  const same = left.filter((score, unit) => Math.sign(score) === Math.sign(right[unit]!));
  return same.length / left.length;
}

interface Boundary {
  readonly score: number;
  /** Units with exactly this score, and how many of them still find a place in the top k. */
  readonly tied: number;
  readonly places: number;
}

function boundary(scores: readonly number[], k: number): Boundary {
  const score = scores.toSorted((left, right) => right - left)[k - 1]!;
  const above = scores.filter((other) => other > score).length;
  const tied = scores.filter((other) => other === score).length;
  return { score, tied, places: k - above };
}

// In units of 1 / tied.
function membership(score: number, top: Boundary): number {
  if (score > top.score) return top.tied;
  return score === top.score ? top.places : 0;
}
