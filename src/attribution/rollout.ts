// Attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): how much of each token reaches the read position
// if attention were all there is. Unsigned, and the same for every target.
import { unpack } from "../engine/batch.ts";
import type { Tape } from "../engine/tape.ts";
import { extraOf } from "../engine/tape.ts";

/** One number per token, summing to 1: row `read` of the product of (A + I) / 2 over layers, heads averaged. */
export async function rollout(tape: Tape): Promise<number[]> {
  const { network, batch } = tape;
  const { packed } = batch;
  const [sequence, kept] = [packed.sequences[0], packed.kept[0]];
  if (sequence === undefined || kept === undefined) throw new Error("rollout: empty batch");
  const keys = kept.length;
  let row: number[] = kept.map((token) => Number(token === sequence.read));

  for (const node of network.graph.nodes.toReversed()) {
    if (node.kind !== "attention") continue;
    const probabilities = await network.backend.read(extraOf(tape, node.id));
    const queries = batch.rowsOf(node);
    const next = row.map((weight) => weight / 2);
    for (let query = 0; query < queries; query++) {
      // The last layer is computed for the read row alone.
      const weight = queries === keys ? (row[query] ?? 0) : 1;
      for (let head = 0; head < node.heads; head++) {
        const start = (head * queries + query) * keys;
        for (let key = 0; key < keys; key++) {
          const a = probabilities[start + key] ?? 0;
          next[key] = (next[key] ?? 0) + (weight * a) / (2 * node.heads);
        }
      }
    }
    row = next;
  }
  return unpack(packed, 0, row);
}
