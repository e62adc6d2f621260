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
    const row = probabilities.subarray(start, start + keys); // A of this query
    const seesNothing = hidden.subarray(keyStart, keyStart + keys).every((flag) => flag === 1);
    let largest = -Infinity;
    for (let j = 0; j < keys; j++) {
      let score = 0;
      for (let d = head * D; d < (head + 1) * D; d++) {
        score += q[queryRow * C + d]! * k[(keyStart + j) * C + d]!;
      }
      row[j] = seesNothing ? 0 : hidden[keyStart + j] === 1 ? -Infinity : scale * score;
      largest = Math.max(largest, row[j]!);
    }
    let sum = 0;
    for (let j = 0; j < keys; j++) {
      row[j] = Math.exp(row[j]! - largest);
      sum += row[j]!;
    }
    for (let j = 0; j < keys; j++) row[j]! /= sum;
    for (let d = head * D; d < (head + 1) * D; d++) {
      let context = 0;
      for (let j = 0; j < keys; j++) context += row[j]! * v[(keyStart + j) * C + d]!;
      out[queryRow * C + d] = context;
    }
  });
}

/** Writes `out.query` (P*Q, C), `out.key` (P*K, C) and `out.value` (P*K, C). */
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
  for (const part of [out.query, out.key, out.value]) part?.fill(0);
  shares.forEach((share, pass) => {
    const queryBase = pass * queryRows;
    const keyBase = pass * keyRows;
    forEachRow(layout, heads, ({ head, queryRow, keyStart, keys, start }) => {
      const A = probabilities.subarray(start, start + keys);
      const first = head * D;
      const cO = (d: number) => c[(queryBase + queryRow) * C + first + d]!;

      // c_V = values A^T c_O
      for (let j = 0; j < keys; j++) {
        for (let d = 0; d < D; d++) {
          out.value[(keyBase + keyStart + j) * C + first + d]! += share.values * A[j]! * cO(d);
        }
      }
      if (out.query === undefined || out.key === undefined) return;
      // A query that sees no key has constant weights: nothing passes the softmax.
      if (hidden.subarray(keyStart, keyStart + keys).every((flag) => flag === 1)) return;

      // c_A = weights c_O V^T
      const cA = new Float64Array(keys);
      for (let j = 0; j < keys; j++) {
        for (let d = 0; d < D; d++)
          cA[j]! += share.weights * cO(d) * v[(keyStart + j) * C + first + d]!;
      }
      // c_S = A (c_A - sum A c_A)
      let mean = 0;
      for (let j = 0; j < keys; j++) mean += A[j]! * cA[j]!;
      for (let j = 0; j < keys; j++) {
        const cS = A[j]! * (cA[j]! - mean);
        // c_Q = query scale c_S K, c_K = key scale c_S^T Q
        for (let d = first; d < first + D; d++) {
          const kd = k[(keyStart + j) * C + d]!;
          const qd = q[queryRow * C + d]!;
          out.query[(queryBase + queryRow) * C + d]! += share.query * scale * cS * kd;
          out.key[(keyBase + keyStart + j) * C + d]! += share.key * scale * cS * qd;
        }
      }
    });
  });
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
