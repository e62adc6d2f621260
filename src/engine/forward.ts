// Runs a graph once over a packed batch, freeing values as soon as nobody needs them, or keeping all as a tape.
import type { Tensor } from "../tensor.ts";
import { type PackedBatch, upload } from "./batch.ts";
import { type Keep, runNode } from "./ops.ts";
import { type Plan, planOf, sharedRows } from "./shared-rows.ts";
import { type Network, type Tape, valueOf } from "./tape.ts";

export interface ForwardOptions {
  /** "tape" keeps every value for a backward pass, "output" frees each value after its last use. */
  readonly keep: Keep;
  /** Values of the graph's input nodes, by name. They stay the caller's. */
  readonly inputs?: ReadonlyMap<string, Tensor>;
}

/** Runs the graph. Throws `OutOfMemory`, with everything freed, when the values do not fit. */
export function forward(
  network: Network,
  packed: PackedBatch,
  { keep, inputs = new Map() }: ForwardOptions,
): Tape {
  const { backend, graph } = network;
  const batch = upload(backend, packed);
  const values: (Tensor | undefined)[] = [];
  const extras: (Tensor | undefined)[] = [];
  const given = new Set(inputs.values());
  for (const [name, tensor] of inputs) {
    const node = graph.named.get(name);
    if (node?.kind !== "input") throw new Error(`forward: the graph has no input ${name}`);
    values[node.id] = tensor;
  }

  const drop = (id: number) => {
    for (const list of [values, extras]) {
      const tensor = list[id];
      if (tensor !== undefined && !given.has(tensor)) backend.free(tensor);
      list[id] = undefined;
    }
  };
  const release = () => {
    for (const { id } of graph.nodes) drop(id);
    batch.release();
  };
  const tape: Tape = { network, batch, values, extras, release };
  try {
    if (keep === "tape") for (const node of graph.nodes) runNode(tape, node, keep);
    else runFreeing(tape, drop);
  } catch (error) {
    release();
    throw error;
  }
  return tape;
}

/** Runs the graph with equal rows of its beginning shared, and drops each value after its last use. */
function runFreeing(tape: Tape, drop: (id: number) => void): void {
  const { graph } = tape.network;
  const plan = planOf(graph);
  const run = (part: Tape, id: number) => {
    const node = graph.nodes[id];
    if (node === undefined) throw new Error(`forward: the graph has no node ${id}`);
    runNode(part, node, "output");
    for (const value of plan.lastUses.get(id) ?? []) drop(value);
  };
  runBeginning(tape, plan, run);
  for (const id of plan.order.slice(plan.beginning)) run(tape, id);
}

function runBeginning(tape: Tape, plan: Plan, run: (part: Tape, id: number) => void): void {
  const { backend } = tape.network;
  const beginning = plan.order.slice(0, plan.beginning);
  const shared = sharedRows(tape.batch.packed);
  if (shared === undefined) {
    for (const id of beginning) run(tape, id);
    return;
  }
  const batch = upload(backend, shared.distinct);
  const index = backend.integers(shared.index);
  try {
    for (const id of beginning) run({ ...tape, batch }, id);
    for (const id of plan.handedOn) {
      const distinct = valueOf(tape, id);
      const copied = backend.allocate(shared.index.length, distinct.columns);
      tape.values[id] = copied;
      backend.select(copied, distinct, index);
      backend.free(distinct);
    }
  } finally {
    batch.release();
    backend.free(index);
  }
}
