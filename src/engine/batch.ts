// Sequences laid end to end without padding. Pure bookkeeping over integers; `upload` hands it to a backend.
import type { AttentionLayout, Backend, Segment } from "../backend/backend.ts";
import type { IdSource, Node } from "../model/graph.ts";
import type { Sequence } from "../model/sequence.ts";
import type { Tensor } from "../tensor.ts";

/** A packed batch: sequence b owns rows starts[b] .. starts[b] + kept[b].length - 1. */
export interface PackedBatch {
  readonly sequences: readonly Sequence[];
  /** Token index of every packed row, per sequence. A hidden token that is not read influences nothing and is left out. */
  readonly kept: readonly (readonly number[])[];
  readonly starts: readonly number[];
  readonly rows: number;
}

export function pack(sequences: readonly Sequence[]): PackedBatch {
  const starts: number[] = [];
  let rows = 0;
  const kept = sequences.map(({ ids, hidden, read }) => {
    const tokens = ids.map((_, token) => token).filter((token) => !hidden[token] || token === read);
    starts.push(rows);
    rows += tokens.length;
    return tokens;
  });
  return { sequences, kept, starts, rows };
}

/** Scores per packed row -> scores per token of sequence `b`; tokens without a row get exactly 0. */
export function unpack(
  packed: PackedBatch,
  b: number,
  rowScores: ArrayLike<number>,
  firstRow = 0,
): number[] {
  const scores = (packed.sequences[b]?.ids ?? []).map(() => 0);
  packed.kept[b]?.forEach((token, index) => {
    scores[token] = rowScores[firstRow + (packed.starts[b] ?? 0) + index] ?? 0;
  });
  return scores;
}

/** The integers of a packed batch on a backend. Holds temporary memory until `release`. */
export interface DeviceBatch {
  readonly packed: PackedBatch;
  readonly sources: Readonly<Record<IdSource, Tensor>>;
  /** (rows, 1), absent when every factor is 1. */
  readonly wordScale: Tensor | undefined;
  /** Packed row of each sequence's read token (1, B). */
  readonly reads: Tensor;
  /** Number of rows of a node's value. */
  rowsOf(node: Node): number;
  /** How query rows of the given kind attend to the token rows. */
  layout(queries: "tokens" | "reads", heads: number): AttentionLayout;
  release(): void;
}

export function upload(backend: Backend, packed: PackedBatch): DeviceBatch {
  const { sequences, kept, starts, rows } = packed;
  const gather = <T>(pick: (sequence: Sequence) => readonly T[]): T[] =>
    sequences.flatMap((sequence, b) => (kept[b] ?? []).map((token) => pick(sequence)[token] as T));

  const readRows = sequences.map(({ read }, b) => (starts[b] ?? 0) + (kept[b] ?? []).indexOf(read));
  const ids = backend.integers(gather((sequence) => sequence.ids));
  const positions = backend.integers(gather((sequence) => sequence.positions));
  const types = backend.integers(gather((sequence) => sequence.types));
  const reads = backend.integers(readRows);
  const scaled = sequences.some((sequence) => sequence.wordScale !== undefined);
  const wordScale = scaled
    ? backend.floats(
        gather(({ ids: tokens, wordScale: scale }) => scale ?? tokens.map(() => 1)),
        rows,
        1,
      )
    : undefined;

  const hidden = Uint8Array.from(
    gather((sequence) => sequence.hidden),
    Number,
  );
  const layouts = new Map<string, AttentionLayout>();
  const segments = (queries: "tokens" | "reads"): Segment[] =>
    sequences.map((_, b) => {
      const keys = { keyStart: starts[b] ?? 0, keys: kept[b]?.length ?? 0 };
      return queries === "tokens"
        ? { queryStart: keys.keyStart, queries: keys.keys, ...keys }
        : { queryStart: b, queries: 1, ...keys };
    });

  return {
    packed,
    sources: { ids, positions, types },
    wordScale,
    reads,
    rowsOf: ({ rows: kind }) =>
      kind === "tokens" ? rows : kind === "reads" ? sequences.length : kind,
    layout(queries, heads) {
      const key = `${queries} ${heads}`;
      const layout = layouts.get(key) ?? backend.attentionLayout(segments(queries), hidden, heads);
      layouts.set(key, layout);
      return layout;
    },
    release() {
      for (const tensor of [ids, positions, types, reads]) backend.free(tensor);
      if (wordScale) backend.free(wordScale);
      for (const layout of layouts.values()) backend.freeLayout(layout);
      layouts.clear();
    },
  };
}
