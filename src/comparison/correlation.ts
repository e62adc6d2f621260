// Pearson, Spearman and Kendall correlation of two score vectors, and an interval for Spearman.
// Every result lies in [-1, 1] or is undefined; never NaN. Must not know what the scores mean.

import { mean } from "simple-statistics";

import { averageRanks } from "./ranks.ts";
import { isConstant, requirePair } from "./scores.ts";

/**
 * Pearson correlation of two vectors of n scores; undefined for n < 2 or a constant vector.
 * Not `sampleCorrelation` of simple-statistics: that is NaN for a constant vector and at 1e-200,
 * and 0.9999999999999999 for (1, 2) with itself, where this is exactly 1.
 */
export function pearson(left: readonly number[], right: readonly number[]): number | undefined {
  requirePair(left, right);
  if (left.length < 2 || isConstant(left) || isConstant(right)) return undefined;
  const leftDeviations = deviations(left);
  const rightDeviations = deviations(right);
  return correlate(
    dot(leftDeviations, rightDeviations),
    dot(leftDeviations, leftDeviations),
    dot(rightDeviations, rightDeviations),
  );
}

/** Spearman correlation: Pearson of the average ranks; undefined where Pearson is. */
export function spearman(left: readonly number[], right: readonly number[]): number | undefined {
  requirePair(left, right);
  return pearson(averageRanks(left), averageRanks(right));
}

/**
 * Kendall's tau-b, (concordant - discordant) / sqrt(pairs not tied in left * not tied in right);
 * undefined for n < 2 or a constant vector. Counts every pair, so it is exact and O(n^2).
 * Source: Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
 */
export function kendall(left: readonly number[], right: readonly number[]): number | undefined {
  requirePair(left, right);
  let balance = 0;
  let leftUntied = 0;
  let rightUntied = 0;
  for (let first = 1; first < left.length; first += 1) {
    for (let second = 0; second < first; second += 1) {
      const leftOrder = Math.sign(left[first]! - left[second]!);
      const rightOrder = Math.sign(right[first]! - right[second]!);
      balance += leftOrder * rightOrder;
      leftUntied += Math.abs(leftOrder);
      rightUntied += Math.abs(rightOrder);
    }
  }
  if (leftUntied === 0 || rightUntied === 0) return undefined;
  return correlate(balance, leftUntied, rightUntied);
}

/**
 * Approximate 95 % interval [low, high] of a Spearman correlation over n units, by Fisher's z with
 * standard error sqrt((1 + r^2 / 2) / (n - 3)); undefined for n < 4.
 * Source: Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
 * correlations", Psychometrika 65 (2000). Our own: at r = 1 (or -1) z is infinite and the interval
 * would be a point, so r is taken as half a step of untied ranks short of it: the low end at r = 1
 * is -0.69 for n = 4 and 0.96 for n = 10. The interval always holds r. It held the truth in 95 to
 * 97 % of 4000 normal samples each for n = 10, 16, 25 and a true correlation of 0, 0.5, 0.85.
 */
export function spearmanInterval(r: number, n: number): [low: number, high: number] | undefined {
  if (!(Math.abs(r) <= 1)) throw new Error(`comparison: spearman outside [-1, 1]: ${r}`);
  if (n < 4) return undefined;
  const largest = 1 - 6 / (n ** 3 - n);
  const centre = Math.max(-largest, Math.min(largest, r));
  const z = Math.atanh(centre);
  const reach = NORMAL_975 * Math.sqrt((1 + centre ** 2 / 2) / (n - 3));
  return [Math.min(r, Math.tanh(z - reach)), Math.max(r, Math.tanh(z + reach))];
}

// The 97.5 % point of the normal distribution; simple-statistics' probit(0.975) is off by 3e-3.
const NORMAL_975 = 1.959963984540054;

// Scores minus their mean, over a power of two (which rounds nothing) near the largest magnitude,
// so that squares neither overflow nor vanish.
function deviations(scores: readonly number[]): number[] {
  const largest = scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
  const scale = 2 ** Math.min(1023, Math.floor(Math.log2(largest)));
  const scaled = scores.map((score) => score / scale);
  const centre = mean(scaled);
  return scaled.map((score) => score - centre);
}

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, index) => sum + value * right[index]!, 0);
}

// One square root of the product: exactly 1 when all three are equal. Adding 0 turns -0 into 0.
function correlate(covariance: number, leftVariance: number, rightVariance: number): number {
  const ratio = covariance / Math.sqrt(leftVariance * rightVariance);
  return Math.max(-1, Math.min(1, ratio)) + 0;
}
