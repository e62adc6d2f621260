// Exact savings for batches of near-copies, such as a text without one token each time: until the first attention, a row
// depends on its own id, position, type and scale only, so equal rows are computed once and then copied to their places.
import type { Graph, NodeKind } from "../model/graph.ts";
import type { Sequence } from "../model/sequence.ts";
import { pack, type PackedBatch } from "./batch.ts";

const rowwise: ReadonlySet<NodeKind> = new Set([
  "lookup",
  "linear",
  "norm",
  "activation",
  "add",
  "multiply",
]);

/** The order in which a graph runs when nothing is kept, and where its row-wise beginning ends. */
export interface Plan {
  /** Node ids: the row-wise beginning first. */
  readonly order: readonly number[];
  /** How many of `order` are the row-wise beginning. */
  readonly beginning: number;
  /** Nodes of the beginning that later nodes read. */
  readonly handedOn: readonly number[];
  /** Node id -> values that nobody reads after that node has run. */
  readonly lastUses: ReadonlyMap<number, readonly number[]>;
}

const plans = new WeakMap<Graph, Plan>();

/** Computed once per graph. */
export function planOf(graph: Graph): Plan {
  const plan = plans.get(graph) ?? makePlan(graph);
  plans.set(graph, plan);
  return plan;
}

function makePlan({ nodes, output }: Graph): Plan {
  const inBeginning = new Set<number>();
  for (const { id, kind, rows, inputs } of nodes) {
    const fromBeginning = inputs.every((input) => inBeginning.has(input));
    if (rows === "tokens" && rowwise.has(kind) && fromBeginning) inBeginning.add(id);
  }
  const order = [
    ...nodes.filter(({ id }) => inBeginning.has(id)),
    ...nodes.filter(({ id }) => !inBeginning.has(id)),
  ];
  const last = new Map<number, number>();
  const handedOn = new Set<number>();
  for (const { id, inputs } of order) {
    last.set(id, id);
    for (const input of inputs) {
      last.set(input, id);
      if (inBeginning.has(input) && !inBeginning.has(id)) handedOn.add(input);
    }
  }
  last.delete(output.id);
  const lastUses = Map.groupBy(last.keys(), (value) => last.get(value) ?? value);
  return {
    order: order.map(({ id }) => id),
    beginning: inBeginning.size,
    handedOn: [...handedOn],
    lastUses,
  };
}

export interface SharedRows {
  /** One sequence whose tokens are the distinct rows. */
  readonly distinct: PackedBatch;
  /** Distinct row of every packed row. */
  readonly index: readonly number[];
}

/** Undefined where less than half of the rows are copies: then sharing them would not pay. */
export function sharedRows({ sequences, kept, rows }: PackedBatch): SharedRows | undefined {
  const places = new Map<string, number>();
  const index: number[] = [];
  const tokens: { id: number; position: number; type: number; scale: number }[] = [];
  sequences.forEach(({ ids, positions, types, wordScale }, b) => {
    for (const token of kept[b] ?? []) {
      const row = {
        id: ids[token] ?? 0,
        position: positions[token] ?? 0,
        type: types[token] ?? 0,
        scale: wordScale?.[token] ?? 1,
      };
      const key = `${row.id} ${row.position} ${row.type} ${row.scale}`;
      const place = places.get(key) ?? tokens.push(row) - 1;
      places.set(key, place);
      index.push(place);
    }
  });
  if (2 * tokens.length > rows) return undefined;
  const sequence: Sequence = {
    ids: tokens.map(({ id }) => id),
    positions: tokens.map(({ position }) => position),
    types: tokens.map(({ type }) => type),
    wordScale: tokens.map(({ scale }) => scale),
    hidden: tokens.map(() => false),
    read: 0,
  };
  return { distinct: pack([sequence]), index };
}
