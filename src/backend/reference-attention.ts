// Attention and its pullback in float64, one sequence and head at a time, written as the formulas. Knows no storage:
// it is handed the numbers.
import type { AttentionLayout, AttentionShares, Segment } from "./backend.ts";

/** What this backend keeps behind `AttentionLayout.storage`. */
export interface ReferenceLayout {
  readonly hidden: Uint8Array;
  readonly heads: number;
  readonly queryRows: number;
  readonly bytes: number;
}

export interface AttentionSizes {
  readonly channels: number;
  readonly queryRows: number;
  readonly keyRows: number;
  readonly scale: number;
}

/** Where the probabilities of each segment start, and how many there are in all. */
export function probabilityStarts(segments: readonly Segment[], heads: number): number[] {
  let count = 0;
  const starts = segments.map((segment) => {
    const start = count;
    count += heads * segment.queries * segment.keys;
    return start;
  });
  return [...starts, count];
}

/**
 * Throws unless every key row is inside `hidden`, no row belongs to two segments, and the segments together have all
 * query rows.
 */
export function referenceLayout(
  segments: readonly Segment[],
  hidden: Uint8Array,
  heads: number,
): ReferenceLayout {
  const queryOwner = new Map<number, number>();
  const keyOwner = new Map<number, number>();
  segments.forEach((segment, b) => {
    const { queryStart, queries, keyStart, keys } = segment;
    const whole = [queryStart, queries, keyStart, keys].every((n) => Number.isInteger(n) && n >= 0);
    if (!whole || queries === 0 || keys === 0 || keyStart + keys > hidden.length) {
      throw new Error(
        `attention: segment ${b} of ${hidden.length} key rows is ${JSON.stringify(segment)}`,
      );
    }
    own(queryOwner, "query", b, queryStart, queries);
    own(keyOwner, "key", b, keyStart, keys);
  });
  for (let row = 0; row < queryOwner.size; row++) {
    if (!queryOwner.has(row)) throw new Error(`attention: no segment has query row ${row}`);
  }
  if (hidden.some((flag) => flag > 1)) throw new Error("attention: hidden is not 0 or 1");
  const bytes = 8 * 4 * segments.length + hidden.byteLength;
  return { hidden: hidden.slice(), heads, queryRows: queryOwner.size, bytes };
}

function own(owners: Map<number, number>, kind: string, b: number, start: number, count: number) {
  for (let row = start; row < start + count; row++) {
    const other = owners.get(row);
    if (other !== undefined) {
      throw new Error(`attention: ${kind} row ${row} is in segments ${other} and ${b}`);
    }
    owners.set(row, b);
  }
}

/** Writes `out` (Q, C) and `probabilities` (layout.probabilityCount). */
export function attend(
  out: Float64Array,
  probabilities: Float64Array,
  q: Float64Array, // (Q, C)
  k: Float64Array, // (K, C)
  v: Float64Array, // (K, C)
  layout: AttentionLayout,
  { channels: C, scale }: AttentionSizes,
): void {
  const { hidden, heads } = layout.storage as ReferenceLayout;
  const D = C / heads;
  forEachRow(layout, heads, ({ head, queryRow, keyStart, keys, start }) => {
    const A = probabilities.subarray(start, start + keys);
    const row = (matrix: Float64Array, r: number) =>
      matrix.subarray(r * C + head * D, r * C + (head + 1) * D);
    const seesNothing = hidden.subarray(keyStart, keyStart + keys).every((flag) => flag === 1);
    for (let j = 0; j < keys; j++) {
      const score = scale * dot(row(q, queryRow), row(k, keyStart + j));
      A[j] = seesNothing ? 0 : hidden[keyStart + j] === 1 ? -Infinity : score;
    }
    const largest = A.reduce((most, score) => Math.max(most, score), -Infinity);
    let sum = 0;
    for (let j = 0; j < keys; j++) sum += A[j] = Math.exp(A[j]! - largest);
    const context = row(out, queryRow).fill(0);
    for (let j = 0; j < keys; j++) {
      A[j]! /= sum;
      addScaled(context, A[j]!, row(v, keyStart + j));
    }
  });
}

/** Writes `out.query` (P'*Q, C), `out.key` (P'*K, C) and `out.value` (P*K, C), P' passes through the softmax. */
export function attendPullback(
  out: { readonly query?: Float64Array; readonly key?: Float64Array; readonly value: Float64Array },
  c: Float64Array, // (P*Q, C)
  q: Float64Array, // (Q, C)
  k: Float64Array, // (K, C)
  v: Float64Array, // (K, C)
  probabilities: Float64Array,
  shares: readonly AttentionShares[],
  layout: AttentionLayout,
  { channels: C, queryRows, keyRows, scale }: AttentionSizes,
): void {
  const { hidden, heads } = layout.storage as ReferenceLayout;
  const D = C / heads;
  const { query, key, value } = out;
  for (const part of [query, key, value]) part?.fill(0);
  shares.forEach((share, pass) => {
    forEachRow(layout, heads, ({ head, queryRow, keyStart, keys, start }) => {
      const A = probabilities.subarray(start, start + keys);
      const row = (matrix: Float64Array, r: number) =>
        matrix.subarray(r * C + head * D, r * C + (head + 1) * D);
      const cO = row(c, pass * queryRows + queryRow);

      // c_V = values A^T c_O
      for (let j = 0; j < keys; j++) {
        addScaled(row(value, pass * keyRows + keyStart + j), share.values * A[j]!, cO);
      }
      // A query that sees no key has constant weights: nothing passes the softmax.
      const seesNothing = hidden.subarray(keyStart, keyStart + keys).every((flag) => flag === 1);
      if (query === undefined || key === undefined || share.weights === 0 || seesNothing) return;

      // c_A = weights c_O V^T
      const cA = new Float64Array(keys);
      for (let j = 0; j < keys; j++) cA[j] = share.weights * dot(cO, row(v, keyStart + j));
      // c_S = A (c_A - sum A c_A), c_Q = query scale c_S K, c_K = key scale c_S^T Q
      const mean = dot(A, cA);
      const cQ = row(query, pass * queryRows + queryRow);
      for (let j = 0; j < keys; j++) {
        const cS = A[j]! * (cA[j]! - mean);
        addScaled(cQ, share.query * scale * cS, row(k, keyStart + j));
        const cK = row(key, pass * keyRows + keyStart + j);
        addScaled(cK, share.key * scale * cS, row(q, queryRow));
      }
    });
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** to += factor * from */
function addScaled(to: Float64Array, factor: number, from: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * from[i]!;
}

interface AttentionRow {
  readonly head: number;
  readonly queryRow: number;
  readonly keyStart: number;
  readonly keys: number;
  /** Where this row's probabilities start. */
  readonly start: number;
}

/** Every (sequence, head, query), which owns one row of probabilities. */
function forEachRow(
  layout: AttentionLayout,
  heads: number,
  visit: (row: AttentionRow) => void,
): void {
  layout.segments.forEach(({ queryStart, queries, keyStart, keys }, b) => {
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < queries; i++) {
        const start = layout.probabilityStarts[b]! + (head * queries + i) * keys;
        visit({ head, queryRow: queryStart + i, keyStart, keys, start });
      }
    }
  });
}
