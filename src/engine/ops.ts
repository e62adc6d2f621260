// The forward step of every kind of node, as a table. Their pullbacks stand beside, in pullbacks.ts.
import type { NodeKind, NodeOf, Node } from "../model/graph.ts";
import type { Tensor } from "../tensor.ts";
import { inputOf, type Tape, weightOf } from "./tape.ts";

/** Whether a backward pass will follow: "tape" then also keeps what pullbacks need. */
export type Keep = "tape" | "output";

type Step<K extends NodeKind> = (tape: Tape, node: NodeOf<K>, out: Tensor, keep: Keep) => void;

const steps: { readonly [K in Exclude<NodeKind, "input">]: Step<K> } = {
  lookup(tape, node, out) {
    const { batch, network } = tape;
    const scale = node.scaled ? batch.wordScale : undefined;
    network.backend.lookup(out, weightOf(tape, node.table), batch.sources[node.source], scale);
  },
  linear(tape, node, out) {
    const bias = node.bias === undefined ? undefined : weightOf(tape, node.bias);
    const options = { transposeB: true, bias };
    tape.network.backend.matmul(out, inputOf(tape, node, 0), weightOf(tape, node.weight), options);
  },
  norm(tape, node, out) {
    const { backend } = tape.network;
    const statistics = backend.allocate(out.rows, 2);
    tape.extras[node.id] = statistics;
    const bias = node.bias === undefined ? undefined : weightOf(tape, node.bias);
    const x = inputOf(tape, node, 0);
    backend.norm(out, statistics, x, weightOf(tape, node.weight), bias, node);
  },
  activation(tape, node, out) {
    tape.network.backend.activate(out, inputOf(tape, node, 0), node.activation);
  },
  attention(tape, node, out, keep) {
    const { backend } = tape.network;
    const shape = attentionShape(tape, node);
    const count = shape.layout.probabilityCount;
    const probabilities = keep === "tape" ? backend.allocate(1, count) : undefined;
    tape.extras[node.id] = probabilities;
    const [q, k, v] = [0, 1, 2].map((which) => inputOf(tape, node, which)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    backend.attention(out, probabilities, q, k, v, shape);
  },
  matmul(tape, node, out) {
    tape.network.backend.matmul(out, inputOf(tape, node, 0), inputOf(tape, node, 1), node);
  },
  multiply(tape, node, out) {
    tape.network.backend.multiply(out, inputOf(tape, node, 0), inputOf(tape, node, 1));
  },
  add(tape, node, out) {
    tape.network.backend.add(out, inputOf(tape, node, 0), inputOf(tape, node, 1));
  },
  select(tape, node, out) {
    tape.network.backend.select(out, inputOf(tape, node, 0), tape.batch.reads);
  },
};

/** Computes one node's value and puts it on the tape. Input nodes are on the tape already. */
export function runNode(tape: Tape, node: Node, keep: Keep): void {
  if (node.kind === "input") {
    if (tape.values[node.id] === undefined) throw new Error(`forward: no value for ${node.name}`);
    return;
  }
  const out = tape.network.backend.allocate(tape.batch.rowsOf(node), node.columns);
  tape.values[node.id] = out;
  (steps[node.kind] as Step<NodeKind>)(tape, node, out, keep);
}

/** How an attention node's query rows attend, given the batch. */
export function attentionShape({ batch }: Tape, { rows, heads, scale }: NodeOf<"attention">) {
  if (typeof rows === "number") throw new Error("forward: attention needs the rows of a batch");
  return { layout: batch.layout(rows, heads), heads, scale };
}
