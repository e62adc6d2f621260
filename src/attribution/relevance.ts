// Relevance per token of one text, all requested methods in one backward pass over one tape.
import { backward } from "../engine/backward.ts";
import { unpack } from "../engine/batch.ts";
import type { Composite } from "../engine/rules.ts";
import type { Tape } from "../engine/tape.ts";
import type { Target } from "./explained.ts";

/** Scores (P, T) at one named activation: one row per composite, one number per token of the tape's only sequence. */
export async function relevance(
  tape: Tape,
  target: Target,
  composites: readonly Composite[],
  at: string,
): Promise<number[][]> {
  const passes = composites.map((composite) => ({ composite, seed: target }));
  const scores = (await backward(tape, passes, { at: [at] })).get(at) ?? [];
  const { packed } = tape.batch;
  return composites.map((_, pass) => unpack(packed, 0, scores, pass * packed.rows));
}
