// The number that is explained: a weighted sum of logits, the same for leave-one-out and for every relevance method.

/** Coefficient of every logit: 1 on one of them, or +1 and -1 on two for a contrast. */
export type Target = readonly number[];

/** sum over logits of coefficient * logit, for row `b` of logits (B, O). */
export function valueOfTarget(logits: ArrayLike<number>, target: Target, b = 0): number {
  return target.reduce(
    (sum, coefficient, index) =>
      coefficient === 0 ? sum : sum + coefficient * (logits[b * target.length + index] ?? NaN),
    0,
  );
}
