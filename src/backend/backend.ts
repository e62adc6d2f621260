// What a backend is: storage for tensors and the few operations that forward and relevance passes need.
// It knows no model, no method and no text. Implementations import this file, never the reverse.
//
// Sizes: R rows, C channels, P passes, Q query rows, K key rows, B sequences, H heads, D = C / H.
// Every operation writes its first argument and reads the others; only `read` is asynchronous.
import type { Tensor } from "../tensor.ts";

export type Activation = "gelu" | "gelu_tanh" | "silu" | "relu" | "tanh";

/** How a coefficient crosses an activation: phi'(x), or phi(x) / x with its limit phi'(0) at 0. */
export type Slope = "derivative" | "ratio";

/**
 * How much of a coefficient each factor of the two attention products receives. 1 everywhere is the true
 * gradient, 1/2 everywhere is AttnLRP, `weights: 0, values: 1` is CP-LRP.
 */
export interface AttentionShares {
  /** Context O = A V: share that goes to A, and on through the softmax to the scores. */
  readonly weights: number;
  /** Context O = A V: share that goes to V. */
  readonly values: number;
  /** Scores S = Q K^T / sqrt(D): share that goes to Q. */
  readonly query: number;
  /** Scores S = Q K^T / sqrt(D): share that goes to K. */
  readonly key: number;
}

/** P': up to and with the last pass that sends anything through the softmax; the coefficients of q and k have so many. */
export function passesThroughSoftmax(shares: readonly AttentionShares[]): number {
  return shares.findLastIndex(({ weights }) => weights !== 0) + 1;
}

/** One sequence inside a packed batch: which query rows attend to which key rows. */
export interface Segment {
  readonly queryStart: number;
  readonly queries: number;
  readonly keyStart: number;
  readonly keys: number;
}

/** How the rows of a packed batch attend. Made once per batch by `Backend.attentionLayout`. */
export interface AttentionLayout {
  readonly segments: readonly Segment[];
  /** Where sequence b's probabilities start, in elements: (H, queries, keys) each, heads outermost. */
  readonly probabilityStarts: readonly number[];
  /** Elements of all probabilities together. */
  readonly probabilityCount: number;
  /** Backend's own copy of the above, and of which key rows are hidden. */
  readonly storage: unknown;
}

export interface AttentionShape {
  readonly layout: AttentionLayout;
  readonly heads: number;
  /** Factor on Q K^T, 1 / sqrt(D) in every family so far. */
  readonly scale: number;
}

/** f32, or int8 with one float32 scale per row: element (r, c) stands for scale[r] * integer[r, c]. */
export type WeightFormat = "f32" | "int8";

export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** (1, N), added to every row. */
  readonly bias?: Tensor | undefined;
  /** (M, N), added elementwise; may be `out` itself. Not together with `bias`. */
  readonly start?: Tensor | undefined;
  /** Factor on the product, not on `bias` or `start`. Default 1. */
  readonly scale?: number;
}

export interface NormOptions {
  /** true: LayerNorm (mean subtracted). false: RMSNorm. */
  readonly centred: boolean;
  readonly epsilon: number;
}

export interface MemoryUse {
  /** Bytes of weights. */
  readonly weights: number;
  /** Bytes of live temporary tensors. */
  readonly live: number;
  /** Largest `live` since `resetPeak`. */
  readonly peak: number;
  /** Bytes the backend holds from its host in all, scratch and slack included. */
  readonly total: number;
}

export interface Backend {
  /** Named in every answer, e.g. "wasm-relaxed-simd", "reference". */
  readonly name: string;

  // ---- storage
  /** Uninitialised temporary tensor. Throws `OutOfMemory` when the limit would be passed. */
  allocate(rows: number, columns: number): Tensor;
  /** Gives back a tensor of `allocate`, `floats`, `integers`. Views are not freed. */
  free(tensor: Tensor): void;
  /**
   * Uninitialised tensor that stays until the backend goes; filled by `write`. An int8 weight also wants `writeScales`,
   * and only `lookup` (as table), `matmul` (as `b`, where `a` is not transposed), `view` and `read` take it.
   */
  weight(rows: number, columns: number, format?: WeightFormat): Tensor;
  /** Copies `values` into a weight of their format, from element `at` on. */
  write(weight: Tensor, at: number, values: Float32Array | Int8Array): void;
  /** Copies the scales of an int8 weight's rows, from row `at` on. */
  writeScales(weight: Tensor, at: number, scales: Float32Array): void;
  /** Temporary tensor holding a copy of `values`. */
  floats(values: ArrayLike<number>, rows: number, columns: number): Tensor;
  /** Temporary int32 tensor (1, length). */
  integers(values: ArrayLike<number>): Tensor;
  /** Rows `first` .. `first + count - 1` of `tensor`, sharing its storage. */
  view(tensor: Tensor, first: number, count: number): Tensor;
  /** The numbers of a float tensor or of an int8 weight, row-major. The only asynchronous operation. */
  read(tensor: Tensor): Promise<Float32Array | Float64Array>;
  memory(): MemoryUse;
  resetPeak(): void;

  // ---- forward
  /** out (R, C) = scale[r] * table[ids[r]]; `scale` (R, 1) is 1 where absent. */
  lookup(out: Tensor, table: Tensor, ids: Tensor, scale?: Tensor): void;
  /**
   * out (M, N) = scale * op(a) op(b) + (bias | start). A linear layer is `transposeB` with its (N, K) weight. With an
   * int8 `b`, rows of `a` may be rounded to 16 bits of their largest number.
   */
  matmul(out: Tensor, a: Tensor, b: Tensor, options?: MatmulOptions): void;
  /** out = a + b, elementwise; `out` may be `a` or `b`. */
  add(out: Tensor, a: Tensor, b: Tensor): void;
  /** out = a * b, elementwise. */
  multiply(out: Tensor, a: Tensor, b: Tensor): void;
  /** out (R, C) = (x - mean) / sigma * weight + bias; statistics (R, 2) receives mean (0 when not centred) and 1 / sigma. */
  norm(
    out: Tensor,
    statistics: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | undefined,
    options: NormOptions,
  ): void;
  /** out = phi(x), elementwise. */
  activate(out: Tensor, x: Tensor, activation: Activation): void;
  /** out (N, C) = the rows `index` (N) of x (R, C). */
  select(out: Tensor, x: Tensor, index: Tensor): void;
  /** Copies to the backend which key rows each sequence's queries see; `hidden[r]` = 1 hides key row r. */
  attentionLayout(segments: readonly Segment[], hidden: Uint8Array, heads: number): AttentionLayout;
  freeLayout(layout: AttentionLayout): void;
  /**
   * out (Q, C) = softmax(scale q k^T) v per sequence and head. Hidden keys get exactly 0; a query that sees no key
   * weighs all keys of its sequence alike. `probabilities` (1, layout.probabilityCount) keeps the softmax if given.
   */
  attention(
    out: Tensor,
    probabilities: Tensor | undefined,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shape: AttentionShape,
  ): void;

  // ---- backward: a coefficient c (P*R, C) of the output becomes one of each input
  /** out (P*R, C): c through a norm; share[p] = 1 differentiates sigma too, 0 holds it constant. */
  normPullback(
    out: Tensor,
    c: Tensor,
    x: Tensor,
    weight: Tensor,
    statistics: Tensor,
    shares: readonly number[],
    options: NormOptions,
  ): void;
  /** out (P*R, C) = c * slope_p(x). */
  activatePullback(
    out: Tensor,
    c: Tensor,
    x: Tensor,
    activation: Activation,
    slopes: readonly Slope[],
  ): void;
  /** out (P*R, C) = shares[p] * c * other, with other (R, C) the same for every pass. */
  multiplyPullback(out: Tensor, c: Tensor, other: Tensor, shares: readonly number[]): void;
  /** out (P*R, C): 0, then row index[n] of each pass gets row n of c (P*N, C). */
  selectPullback(out: Tensor, c: Tensor, index: Tensor, passes: number): void;
  /**
   * Coefficients of v (P*K, C), and of q (P'*Q, C) and k (P'*K, C) for the first P' passes, from c (P*Q, C). The passes
   * from P' on send nothing through the softmax; where none does, `query` and `key` are both absent. Key rows that no
   * sequence owns get 0.
   */
  attentionPullback(
    out: { readonly query?: Tensor; readonly key?: Tensor; readonly value: Tensor },
    c: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    probabilities: Tensor,
    shares: readonly AttentionShares[],
    shape: AttentionShape,
  ): void;
  /** out (P*R, C) = c * z / (z + epsilon_p sign z): the epsilon rule's stabiliser; sign(0) = 1, epsilon 0 copies. */
  stabilise(out: Tensor, c: Tensor, z: Tensor, epsilons: readonly number[]): void;
  /** out (P*R, 1) = sum over channels of c (P*R, C) * h (R, C): relevance per row. */
  relevance(out: Tensor, c: Tensor, h: Tensor): void;
}

/** The limit given to a backend would be passed. Nothing was changed. */
export class OutOfMemory extends Error {
  readonly needed: number;
  readonly limit: number;
  constructor(needed: number, limit: number) {
    super(`memory: ${needed} bytes needed, ${limit} allowed`);
    this.name = "OutOfMemory";
    this.needed = needed;
    this.limit = limit;
  }
}
