// How sequences of a packed batch attend, as the kernels read it: one block of hidden-key words per layout, and
// the sizes that attention's scratch and shape checks need.
import { assertShape } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";
import type { AttentionLayout, AttentionShape, Segment } from "./backend.ts";

const HIDDEN = -1;

export interface LayoutStorage {
  /** -1 per hidden key, 0 per visible one; each sequence's filled up with -1 to whole vectors of four. */
  readonly words: Tensor;
  readonly sequences: readonly SequenceKeys[];
  readonly heads: number;
  /** Rows that q and k must have at least. */
  readonly queryRows: number;
  readonly keyRows: number;
  /** Floats of the largest (queries, keys). */
  readonly largest: number;
}

export interface SequenceKeys {
  readonly firstWord: number;
  /** Keys not hidden. */
  readonly visible: number;
}

/** The words of all sequences, and where each sequence's begin. */
export function hiddenWords(
  segments: readonly Segment[],
  hidden: Uint8Array,
): { readonly words: Int32Array; readonly starts: readonly number[] } {
  const starts: number[] = [];
  let count = 0;
  for (const { keyStart, keys } of segments) {
    if (keys < 1 || keyStart + keys > hidden.length) {
      throw new Error(`attention: keys ${keyStart} + ${keys} of ${hidden.length} rows`);
    }
    starts.push(count);
    count += Math.ceil(keys / 4) * 4;
  }
  const words = new Int32Array(count).fill(HIDDEN);
  segments.forEach(({ keyStart, keys }, b) => {
    const start = starts[b] ?? 0;
    for (let k = 0; k < keys; k++) words[start + k] = hidden[keyStart + k] === 0 ? 0 : HIDDEN;
  });
  return { words, starts };
}

/** The layout, given its words as a tensor too. */
export function makeLayout(
  tensor: Tensor,
  { words, starts }: ReturnType<typeof hiddenWords>,
  segments: readonly Segment[],
  heads: number,
): AttentionLayout {
  const sizes = segments.map(({ queries, keys }) => queries * keys);
  const probabilityStarts: number[] = [];
  let probabilityCount = 0;
  for (const size of sizes) {
    probabilityStarts.push(probabilityCount);
    probabilityCount += heads * size;
  }
  const sequences = segments.map(({ keys }, b) => {
    const start = starts[b] ?? 0;
    const visible = words.subarray(start, start + keys).filter((word) => word !== HIDDEN).length;
    return { firstWord: start, visible };
  });
  const storage: LayoutStorage = {
    words: tensor,
    sequences,
    heads,
    queryRows: Math.max(0, ...segments.map((segment) => segment.queryStart + segment.queries)),
    keyRows: Math.max(0, ...segments.map((segment) => segment.keyStart + segment.keys)),
    largest: Math.max(0, ...sizes),
  };
  return { segments, probabilityStarts, probabilityCount, storage };
}

/** Throws unless q, k and v fit the layout and the heads. */
export function checkAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { layout, heads }: AttentionShape,
): LayoutStorage {
  const storage = layout.storage as LayoutStorage;
  const C = q.columns;
  assertShape("attention k", k, k.rows, C);
  assertShape("attention v", v, k.rows, C);
  if (heads !== storage.heads || C % heads !== 0) {
    throw new Error(`attention: ${heads} heads, layout for ${storage.heads}, ${C} channels`);
  }
  if (storage.queryRows > q.rows || storage.keyRows > k.rows) {
    throw new Error(
      `attention: layout needs ${storage.queryRows} and ${storage.keyRows} rows, q and k have ${q.rows} and ${k.rows}`,
    );
  }
  return storage;
}

/** Item `index`, which the layout must have. */
export function sequenceOf<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`attention: layout without sequence ${index}`);
  return item;
}
