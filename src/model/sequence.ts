// One sequence as a model sees it. How positions and the read token follow from the ids is a family's affair.

/** What a caller gives; all arrays have one entry per token. */
export interface TokenInput {
  readonly ids: readonly number[];
  readonly types: readonly number[];
  /** true: no query attends to this token. It keeps its own residual stream. */
  readonly hidden: readonly boolean[];
}

export interface Sequence extends TokenInput {
  readonly positions: readonly number[];
  /** Factor on the word embedding; absent means 1 everywhere. */
  readonly wordScale?: readonly number[];
  /** Index of the token whose last hidden state the head reads. */
  readonly read: number;
}
