// Leave-one-out: one forward pass per removed unit, run as packed batches of a few sequences at a time.
import { pack } from "../engine/batch.ts";
import { forward } from "../engine/forward.ts";
import type { Network } from "../engine/tape.ts";
import type { Sequence } from "../model/sequence.ts";
import { type Target, valueOfTarget } from "./explained.ts";

export interface ChunkOptions {
  /** Rows of a packed batch; a longer sequence is a batch of its own. Activations of more rows leave the L2 cache. */
  readonly rowsPerChunk?: number;
}

/** Cuts sequences into runs of at most `rowsPerChunk` rows. */
export function* chunks(
  sequences: readonly Sequence[],
  { rowsPerChunk = 320 }: ChunkOptions = {},
): Generator<Sequence[]> {
  let chunk: Sequence[] = [];
  let rows = 0;
  for (const sequence of sequences) {
    const length = sequence.ids.length;
    if (chunk.length > 0 && rows + length > rowsPerChunk) {
      yield chunk;
      chunk = [];
      rows = 0;
    }
    chunk.push(sequence);
    rows += length;
  }
  if (chunk.length > 0) yield chunk;
}

/** Logits (B, O) of sequences that are run once and not explained. */
export async function logitsOf(
  network: Network,
  sequences: readonly Sequence[],
): Promise<ArrayLike<number>> {
  const tape = forward(network, pack(sequences), { keep: "output" });
  try {
    return await network.backend.read(tape.values[network.graph.output.id] as never);
  } finally {
    tape.release();
  }
}

/**
 * Value of the target for every sequence of `removed`, chunk by chunk as they are finished. The score of unit i is
 * the value of the whole text minus value i (You et al. 2025, arXiv 2510.18810: LOO_i = f(x) - f(x without i)).
 */
export async function* leaveOneOut(
  network: Network,
  removed: readonly Sequence[],
  target: Target,
  options: ChunkOptions = {},
): AsyncGenerator<number[]> {
  for (const chunk of chunks(removed, options)) {
    const logits = await logitsOf(network, chunk);
    yield chunk.map((_, b) => valueOfTarget(logits, target, b));
  }
}
