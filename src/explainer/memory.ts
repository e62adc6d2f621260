// Whether a request fits before it starts: the passes are replayed on a backend that allocates and computes nothing.
import { compositeOf } from "../attribution/methods.ts";
import { backward } from "../engine/backward.ts";
import { pack } from "../engine/batch.ts";
import { forward } from "../engine/forward.ts";
import type { Network } from "../engine/tape.ts";
import type { Sequence } from "../model/sequence.ts";
import type { Context } from "./context.ts";
import { RequestError } from "./request-error.ts";

const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Most bytes in use while `run` runs on the dry network, weights included. */
async function peakOf(network: Network, run: () => Promise<void>): Promise<number> {
  network.backend.resetPeak();
  await run();
  const { weights, peak } = network.backend.memory();
  return weights + peak;
}

/** One tape over `sequences` and, where `passes` > 0, a backward pass of so many methods. */
async function replay(network: Network, sequences: readonly Sequence[], passes: number) {
  const keep = passes > 0 ? "tape" : "output";
  const tape = forward(network, pack(sequences), { keep });
  try {
    if (passes === 0) return;
    const outputs = network.graph.output.columns;
    const seed = Array.from({ length: sequences.length * outputs }, () => 1);
    // The true gradient keeps the most alive: nothing is cut off.
    const composite = compositeOf("gradient-x-input", 0);
    const all = Array.from({ length: passes }, () => ({ composite, seed }));
    await backward(tape, all, { at: ["word"] });
  } finally {
    tape.release();
  }
}

/**
 * Rows per leave-one-out chunk that fit, at most `preferred`. Throws `RequestError`, with what is needed, what is
 * allowed and what would fit, when not even one sequence does, or when the tape for `passes` relevance passes does not.
 */
export async function fitRequest(
  { dry }: Context,
  sequence: Sequence,
  { passes, preferred = 320 }: { readonly passes: number; readonly preferred?: number },
): Promise<number> {
  if (dry === undefined) return preferred;
  const { network, limitBytes, known } = dry;
  // Memory depends on sizes alone, so each size is replayed once.
  const visible = sequence.hidden.filter((hidden) => !hidden).length;
  const size = `${sequence.ids.length} ${visible} ${passes} ${preferred}`;
  const found = known.get(size);
  if (found !== undefined) return found;
  const need = (tokens: number, count: number, copies: number) =>
    peakOf(network, () => {
      const part = cut(sequence, tokens);
      return replay(
        network,
        Array.from({ length: copies }, () => part),
        count,
      );
    });

  const length = sequence.ids.length;
  const needed = await need(length, passes, 1);
  if (needed > limitBytes) {
    let [fits, fails] = [0, length];
    while (fails - fits > 1) {
      const middle = (fits + fails) >> 1;
      if ((await need(middle, passes, 1)) > limitBytes) fails = middle;
      else fits = middle;
    }
    const what = `needs ${megabytes(needed)} for ${length} tokens and ${passes} relevance passes at once`;
    throw new RequestError({
      path: "text",
      message: `${what}, ${megabytes(limitBytes)} are allowed; ${fits} tokens would fit`,
    });
  }
  let rows = Math.max(preferred, length);
  while (rows > length && (await need(length, 0, Math.floor(rows / length))) > limitBytes) {
    rows = Math.max(length, rows >> 1);
  }
  known.set(size, rows);
  return rows;
}

/** The first `tokens` tokens; the read token is clamped, since only sizes matter here. */
function cut({ ids, positions, types, hidden, read }: Sequence, tokens: number): Sequence {
  return {
    ids: ids.slice(0, tokens),
    positions: positions.slice(0, tokens),
    types: types.slice(0, tokens),
    hidden: hidden.slice(0, tokens),
    read: Math.min(read, tokens - 1),
  };
}
