// The one backward pass: carries the coefficients of all passes down the tape and reads relevance at named activations.
import type { Graph } from "../model/graph.ts";
import type { Tensor } from "../tensor.ts";
import { Coefficients } from "./coefficients.ts";
import { type Backward, pullBack } from "./pullbacks.ts";
import type { Composite } from "./rules.ts";
import { type Tape, valueOf } from "./tape.ts";

/** One relevance pass: what is explained, and under which rules. */
export interface Pass {
  readonly composite: Composite;
  /** Coefficient of every logit, (B, O) row-major: 1 on the explained one; +1 and -1 for a contrast. */
  readonly seed: readonly number[];
}

export interface ReadOptions {
  /** Named activations at which relevance is read. */
  readonly at: readonly string[];
  /** true: (P, R, C), one number per channel; false: summed over channels, (P, R). */
  readonly perChannel?: boolean;
}

/**
 * Relevance R = h * c of every pass at every named activation of `at`: row-major (P, R) or (P, R, C), R the packed rows.
 * Source of the form: Arras et al. 2025, arXiv 2502.15886; rules: Achtibat et al. 2024, arXiv 2402.05602.
 */
export async function backward(
  tape: Tape,
  passes: readonly Pass[],
  { at, perChannel = false }: ReadOptions,
): Promise<Map<string, ArrayLike<number>>> {
  const { backend, graph } = tape.network;
  const coefficients = new Coefficients(backend);
  const readings = new Map<string, Tensor>();
  const everyChannel = passes.map(() => 1);
  const run: Backward = {
    tape,
    composites: passes.map(({ composite }) => composite),
    coefficients,
    needed: neededFor(graph, at),
  };
  try {
    const seeds = passes.flatMap(({ seed }) => seed);
    const logits = valueOf(tape, graph.output.id);
    coefficients.give(
      graph.output.id,
      backend.floats(seeds, passes.length * logits.rows, logits.columns),
    );
    for (const node of graph.nodes.toReversed()) {
      const c = coefficients.take(node.id);
      if (c === undefined) continue;
      try {
        if (node.name !== undefined && at.includes(node.name)) {
          const h = valueOf(tape, node.id);
          const out = backend.allocate(c.rows, perChannel ? c.columns : 1);
          readings.set(node.name, out);
          if (perChannel) backend.multiplyPullback(out, c, h, everyChannel);
          else backend.relevance(out, c, h);
        }
        if (node.inputs.some(run.needed)) pullBack(run, node, c);
      } finally {
        coefficients.release(c);
      }
    }
    const scores = new Map<string, ArrayLike<number>>();
    for (const name of at) {
      const reading = readings.get(name);
      if (reading === undefined) throw new Error(`relevance: nothing reaches ${name}`);
      scores.set(name, await backend.read(reading));
    }
    return scores;
  } finally {
    coefficients.releaseAll();
    for (const reading of readings.values()) backend.free(reading);
  }
}

/** The nodes from which a coefficient still has to travel on to reach one of `at`. */
function neededFor(graph: Graph, at: readonly string[]): (id: number) => boolean {
  const needed = new Set<number>();
  for (const { id, name, inputs } of graph.nodes) {
    const read = name !== undefined && at.includes(name);
    if (read || inputs.some((input) => needed.has(input))) needed.add(id);
  }
  for (const name of at) {
    if (!graph.named.has(name)) throw new Error(`relevance: no activation named ${name}`);
  }
  return (id) => needed.has(id);
}
