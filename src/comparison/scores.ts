// What every comparison asks of its score vectors: finite numbers, as many in one as in the other.
// Must not know which method or removal the scores came from.

/** Throws unless every score is finite; units count from 0, and the message names `owner`. */
export function requireFinite(scores: readonly number[], owner?: string): void {
  const unit = scores.findIndex((score) => !Number.isFinite(score));
  if (unit < 0) return;
  const whose = owner === undefined ? "" : ` of ${owner}`;
  throw new Error(`comparison: non-finite score${whose} at unit ${unit}`);
}

/** Throws unless both vectors are finite and equally long. */
export function requirePair(left: readonly number[], right: readonly number[]): void {
  if (left.length !== right.length) {
    throw new Error(
      `comparison: score vectors differ in length: ${left.length} and ${right.length}`,
    );
  }
  requireFinite(left);
  requireFinite(right);
}

/** Whether all scores are equal (0 and -0 are); true for an empty vector. */
export function isConstant(scores: readonly number[]): boolean {
  return scores.every((score) => score === scores[0]);
}
