// Relevance per token of one text, all requested methods in one backward pass over one tape.
import { backward } from "../engine/backward.ts";
import { unpack } from "../engine/batch.ts";
import { type Composite, ruleFor } from "../engine/rules.ts";
import type { Tape } from "../engine/tape.ts";
import type { Target } from "./explained.ts";

/** Scores (P, T) at one named activation: one row per composite, one number per token of the tape's only sequence. */
export async function relevance(
  tape: Tape,
  target: Target,
  composites: readonly Composite[],
  at: string,
): Promise<number[][]> {
  const ordered = throughSoftmaxFirst(tape, composites);
  const passes = ordered.map((composite) => ({ composite, seed: target }));
  const scores = (await backward(tape, passes, { at: [at] })).get(at) ?? [];
  const { packed } = tape.batch;
  return composites.map((composite) =>
    unpack(packed, 0, scores, ordered.indexOf(composite) * packed.rows),
  );
}

/** Queries and keys carry coefficients for the first passes only, so those that bypass the softmax in most layers go last. */
function throughSoftmaxFirst({ network }: Tape, composites: readonly Composite[]): Composite[] {
  const attentions = network.graph.nodes.filter(({ kind }) => kind === "attention");
  const layersThrough = (composite: Composite) =>
    attentions.filter(({ layer }) => ruleFor(composite, "attention", layer).weights !== 0).length;
  return composites.toSorted((a, b) => layersThrough(b) - layersThrough(a));
}
