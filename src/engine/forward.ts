// Runs a graph once over a packed batch, freeing values as soon as nobody needs them, or keeping all as a tape.
import type { Graph } from "../model/graph.ts";
import type { Tensor } from "../tensor.ts";
import { type PackedBatch, upload } from "./batch.ts";
import { type Keep, runNode } from "./ops.ts";
import type { Network, Tape } from "./tape.ts";

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
    for (const node of graph.nodes) {
      runNode(tape, node, keep);
      if (keep === "output") for (const id of lastUses(graph).get(node.id) ?? []) drop(id);
    }
  } catch (error) {
    release();
    throw error;
  }
  return tape;
}

const known = new WeakMap<Graph, ReadonlyMap<number, readonly number[]>>();

/** Node id -> the values that nobody reads after that node has run. Computed once per graph. */
function lastUses(graph: Graph): ReadonlyMap<number, readonly number[]> {
  const computed = known.get(graph);
  if (computed !== undefined) return computed;
  const last = new Map<number, number>();
  for (const { id, inputs } of graph.nodes) {
    last.set(id, id);
    for (const input of inputs) last.set(input, id);
  }
  last.delete(graph.output.id);
  const ends = new Map<number, number[]>();
  for (const [value, node] of last) ends.set(node, [...(ends.get(node) ?? []), value]);
  known.set(graph, ends);
  return ends;
}
