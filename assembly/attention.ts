// Attention of one sequence, forward and backward. q, k, v and their coefficients point at the sequence's first row
// of (rows, C) matrices; head h is columns h*D .. h*D + D - 1. Both products run through `gemm` with C as stride.
import { gemm } from "./gemm";
import { fill, softmaxPullbackRows, softmaxRows } from "./softmax";

/**
 * out (queries, C) = softmax(scale q k^T) v. Head h's weights (queries, keys) land at `weights` + h * weightsStride
 * floats; a stride of 0 makes every head reuse one scratch. `visible` is the number of keys not hidden.
 */
export function attention(
  out: usize,
  weights: usize,
  weightsStride: usize,
  q: usize,
  k: usize,
  v: usize,
  hidden: usize,
  visible: i32,
  queries: i32,
  keys: i32,
  heads: i32,
  C: i32,
  scale: f32,
  scratch: usize,
): void {
  const D = C / heads;
  const headBytes = (<usize>D) << 2;
  const stride = <usize>C;
  for (let h = 0; h < heads; h++) {
    if (visible == 0) {
      fill(weights, queries * keys, <f32>1 / <f32>keys);
    } else {
      gemm(
        weights,
        keys,
        q,
        stride,
        false,
        k,
        stride,
        true,
        0,
        0,
        queries,
        keys,
        D,
        scale,
        scratch,
      );
      softmaxRows(weights, queries, keys, hidden);
    }
    gemm(out, stride, weights, keys, false, v, stride, false, 0, 0, queries, D, keys, 1, scratch);
    weights += weightsStride << 2;
    q += headBytes;
    k += headBytes;
    v += headBytes;
    out += headBytes;
  }
}

/**
 * One pass: adds to outK and outV (keys, C), writes outQ (queries, C). `weights` (H, queries, keys) are those of the
 * forward pass; the factors are shares, those of query and key already times the scale. Nothing goes through the
 * softmax where weightsShare is 0 or no key is visible: outQ and outK are not touched then. `scores` has room for
 * (queries, keys).
 */
export function attentionPullback(
  outQ: usize,
  outK: usize,
  outV: usize,
  c: usize,
  q: usize,
  k: usize,
  v: usize,
  weights: usize,
  visible: i32,
  queries: i32,
  keys: i32,
  heads: i32,
  C: i32,
  weightsShare: f32,
  valuesShare: f32,
  queryFactor: f32,
  keyFactor: f32,
  scores: usize,
  scratch: usize,
): void {
  const D = C / heads;
  const headBytes = (<usize>D) << 2;
  const stride = <usize>C;
  const throughSoftmax = weightsShare != 0 && visible > 0;
  for (let h = 0; h < heads; h++) {
    if (valuesShare != 0) {
      gemm(
        outV,
        stride,
        weights,
        keys,
        true,
        c,
        stride,
        false,
        outV,
        stride,
        keys,
        D,
        queries,
        valuesShare,
        scratch,
      );
    }
    if (throughSoftmax) {
      gemm(
        scores,
        keys,
        c,
        stride,
        false,
        v,
        stride,
        true,
        0,
        0,
        queries,
        keys,
        D,
        weightsShare,
        scratch,
      );
      softmaxPullbackRows(scores, weights, queries, keys);
      gemm(
        outQ,
        stride,
        scores,
        keys,
        false,
        k,
        stride,
        false,
        0,
        0,
        queries,
        D,
        keys,
        queryFactor,
        scratch,
      );
      gemm(
        outK,
        stride,
        scores,
        keys,
        true,
        q,
        stride,
        false,
        outK,
        stride,
        keys,
        D,
        queries,
        keyFactor,
        scratch,
      );
    }
    weights += (<usize>(queries * keys)) << 2;
    c += headBytes;
    q += headBytes;
    k += headBytes;
    v += headBytes;
    outQ += headBytes;
    outK += headBytes;
    outV += headBytes;
  }
}
