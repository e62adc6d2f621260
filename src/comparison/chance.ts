// What Spearman correlation reaches by chance alone. Must not know methods, texts or verdicts.

/**
 * The 95th percentile of Spearman's correlation between n untied scores and a random order of them;
 * undefined for n < 2, where there is no correlation. Exact up to 12 units (every order counted);
 * above, the normal limit 1.645 / sqrt(n - 1): at 13 and 14 units 0.003 below the exact value.
 * Source: Kendall and Gibbons, "Rank Correlation Methods" (1990); the variance is 1 / (n - 1).
 */
export function chanceLevel(n: number): number | undefined {
  if (n < 2) return undefined;
  const squares = RANK_DISTANCE[n - 2];
  return squares === undefined ? NORMAL_95 / Math.sqrt(n - 1) : 1 - (6 * squares) / (n ** 3 - n);
}

// Sum of squared rank differences at the 95th percentile, for n = 2, 3, ... 12.
const RANK_DISTANCE = [0, 0, 2, 4, 8, 18, 32, 50, 74, 104, 144];

// The 95 % point of the normal distribution; simple-statistics' probit(0.95) is off by 1.4e-3.
const NORMAL_95 = 1.6448536269514722;
