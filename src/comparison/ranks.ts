// Ranks of a score vector, ties sharing the average of the ranks they span.
// Must not know what is done with the ranks.

/**
 * Average ("mid") ranks from 1 for the smallest score to n for the largest; (n) -> (n).
 * Ties must share a rank, or a correlation of ranks would depend on the order of the units.
 * Source: Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
 */
export function averageRanks(scores: readonly number[]): number[] {
  const order = scores.map((score, unit) => ({ score, unit }));
  order.sort((left, right) => left.score - right.score);
  const ranks = scores.map(() => 0);
  let start = 0;
  while (start < order.length) {
    let end = start + 1;
    while (end < order.length && order[end]!.score === order[start]!.score) end += 1;
    const rank = (start + 1 + end) / 2; // the mean of start + 1 .. end
    for (const { unit } of order.slice(start, end)) ranks[unit] = rank;
    start = end;
  }
  return ranks;
}
