// What a forward pass leaves behind: the values, and with everything kept, what a backward pass reads.
import type { Backend } from "../backend/backend.ts";
import type { Graph } from "../model/graph.ts";
import type { Tensor } from "../tensor.ts";
import type { DeviceBatch } from "./batch.ts";

export type Weights = ReadonlyMap<string, Tensor>;

/** A graph bound to weights on a backend: all that a pass needs besides its batch. */
export interface Network {
  readonly backend: Backend;
  readonly graph: Graph;
  readonly weights: Weights;
}

export interface Tape {
  readonly network: Network;
  readonly batch: DeviceBatch;
  /** Value of each node by id; undefined once freed. */
  readonly values: (Tensor | undefined)[];
  /** Per node, what its pullback needs besides values: a norm's statistics (R, 2), an attention's probabilities. */
  readonly extras: (Tensor | undefined)[];
  /** Frees everything. Call it exactly once. */
  release(): void;
}

export function valueOf(tape: Tape, id: number): Tensor {
  const value = tape.values[id];
  if (value === undefined) throw new Error(`tape: value of node ${id} is not kept`);
  return value;
}

export function extraOf(tape: Tape, id: number): Tensor {
  const extra = tape.extras[id];
  if (extra === undefined) throw new Error(`tape: nothing extra kept for node ${id}`);
  return extra;
}

export function weightOf({ network }: Tape, name: string): Tensor {
  const weight = network.weights.get(name);
  if (weight === undefined) throw new Error(`network: no weight named ${name}`);
  return weight;
}

/** The value of input `which` of a node. */
export function inputOf(
  tape: Tape,
  node: { readonly id: number; readonly inputs: readonly number[] },
  which: number,
): Tensor {
  const id = node.inputs[which];
  if (id === undefined) throw new Error(`tape: node ${node.id} has no input ${which}`);
  return valueOf(tape, id);
}
