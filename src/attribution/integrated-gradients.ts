// Integrated gradients from all-zero word embeddings (Sundararajan et al. 2017): the straight path, midpoint rule.
import { backward } from "../engine/backward.ts";
import { pack, unpack } from "../engine/batch.ts";
import { forward } from "../engine/forward.ts";
import type { Network } from "../engine/tape.ts";
import type { Sequence } from "../model/sequence.ts";
import { type Target, valueOfTarget } from "./explained.ts";
import { chunks, logitsOf } from "./leave-one-out.ts";
import { compositeOf } from "./methods.ts";

/** Points of the path where none are asked for, as in the golden values. */
export const defaultSteps = 50;

export interface IntegratedGradients {
  /** word embedding * mean gradient, summed over channels, one per token. */
  readonly scores: readonly number[];
  /** f(x) - f(baseline) - sum of the scores: 0 for an exact integral. */
  readonly completenessGap: number;
}

/** Positions and token types stay as they are along the path. `value` is f(x). */
export async function integratedGradients(
  network: Network,
  sequence: Sequence,
  target: Target,
  value: number,
  { steps = defaultSteps, rowsPerChunk = 320 } = {},
): Promise<IntegratedGradients> {
  const composite = compositeOf("gradient-x-input", 0);
  const at = (fraction: number): Sequence => ({
    ...sequence,
    wordScale: sequence.ids.map(() => fraction),
  });
  const path = Array.from({ length: steps }, (_, step) => at((step + 0.5) / steps));
  const scores = sequence.ids.map(() => 0);

  for (const chunk of chunks(path, { rowsPerChunk })) {
    const tape = forward(network, pack(chunk), { keep: "tape" });
    try {
      const seed = chunk.flatMap(() => target);
      const read = await backward(tape, [{ composite, seed }], { at: ["word"] });
      chunk.forEach(({ wordScale }, b) => {
        // The value on the tape is fraction * embedding, so the fraction is divided out again.
        const fraction = wordScale?.[0] ?? 1;
        unpack(tape.batch.packed, b, read.get("word") ?? []).forEach((score, token) => {
          scores[token] = (scores[token] ?? 0) + score / (fraction * steps);
        });
      });
    } finally {
      tape.release();
    }
  }
  const baseline = valueOfTarget(await logitsOf(network, [at(0)]), target);
  const total = scores.reduce((sum, score) => sum + score, 0);
  return { scores, completenessGap: value - baseline - total };
}
