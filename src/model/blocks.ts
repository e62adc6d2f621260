// Blocks that several families share, each written as its formula, together with the weights it needs.
// A weight is declared where it is used, so a graph and its weight list cannot drift apart.
import type { Activation } from "../backend/backend.ts";
import type { PlannedWeight } from "../loading/plan.ts";
import { GraphBuilder, type Node } from "./graph.ts";

/** Turns a canonical name such as "layer.0.query" into the checkpoint's names for its `suffix` ("weight", "bias"). */
export type Naming = (canonical: string, suffix: string) => readonly string[];

/** A graph under construction and the weights it has asked for so far. */
export interface Draft {
  readonly graph: GraphBuilder;
  readonly weights: PlannedWeight[];
  readonly naming: Naming;
}

export function draft(naming: Naming): Draft {
  return { graph: new GraphBuilder(), weights: [], naming };
}

/** Asks for a matrix, or for a vector of length n, which is held as (1, n). */
function weight({ weights, naming }: Draft, name: string, suffix: string, shape: number[]): string {
  const canonical = `${name}.${suffix}`;
  const columns = shape.at(-1) ?? 0;
  const rows = shape.length === 1 ? 1 : (shape[0] ?? 0);
  weights.push({ name: canonical, tensor: naming(name, suffix), rows, columns, shape });
  return canonical;
}

/** x W^T + b, W (columns, x.columns) */
export function linear(to: Draft, x: Node, name: string, columns: number, bias = true): Node {
  const matrix = weight(to, name, "weight", [columns, x.columns]);
  const vector = bias ? weight(to, name, "bias", [columns]) : undefined;
  return to.graph.linear(x, matrix, columns, vector);
}

export function layerNorm(to: Draft, x: Node, name: string, epsilon: number): Node {
  const gain = weight(to, name, "weight", [x.columns]);
  const bias = weight(to, name, "bias", [x.columns]);
  return to.graph.norm(x, gain, bias, { centred: true, epsilon });
}

/** Rows of an embedding table (entries, columns); only the word table is `scaled`. */
export function embedding(
  to: Draft,
  name: string,
  source: "ids" | "positions" | "types",
  { entries, columns }: { entries: number; columns: number },
): Node {
  const table = weight(to, name, "weight", [entries, columns]);
  return to.graph.lookup(table, source, columns, source === "ids");
}

/** Attention over all tokens for the rows of `queries`, output projection included; before the residual. */
export function attention(
  to: Draft,
  queries: Node,
  tokens: Node,
  name: string,
  { heads }: { heads: number },
): Node {
  const q = linear(to, queries, `${name}.query`, tokens.columns);
  const k = linear(to, tokens, `${name}.key`, tokens.columns);
  const v = linear(to, tokens, `${name}.value`, tokens.columns);
  const context = to.graph.attention(q, k, v, heads);
  return linear(to, context, `${name}.output`, tokens.columns);
}

/** W2 phi(W1 x): before the residual. */
export function feedForward(
  to: Draft,
  x: Node,
  name: string,
  { inner, activation }: { inner: number; activation: Activation },
): Node {
  const widened = linear(to, x, `${name}.inner`, inner);
  return linear(to, to.graph.activation(widened, activation), `${name}.outer`, x.columns);
}
