// What a transformer is, as data: a list of nodes in the order they run, and a builder that reads like the
// formula. It knows shapes and names of weights; it computes nothing.
import type { Activation } from "../backend/backend.ts";

/** Which rows a value has: one per token of the packed batch, one per sequence (its read position), or a fixed count. */
export type Rows = "tokens" | "reads" | number;

/** Which integers of the batch a lookup reads. */
export type IdSource = "ids" | "positions" | "types";

interface NodeBase {
  readonly id: number;
  readonly inputs: readonly number[];
  readonly rows: Rows;
  readonly columns: number;
  /** Block the node belongs to; -1 before the first. Layer sets of a method look at this. */
  readonly layer: number;
  /** Named activations can be read: "word", "emb", "hidden.0" … */
  readonly name: string | undefined;
}

export type Node = NodeBase &
  (
    | { readonly kind: "input" }
    | {
        readonly kind: "lookup";
        readonly table: string;
        readonly source: IdSource;
        /** Rows are multiplied by the batch's word scale: zero removal and the path of integrated gradients. */
        readonly scaled: boolean;
      }
    | { readonly kind: "linear"; readonly weight: string; readonly bias: string | undefined }
    | {
        readonly kind: "norm";
        readonly weight: string;
        readonly bias: string | undefined;
        readonly centred: boolean;
        readonly epsilon: number;
      }
    | { readonly kind: "activation"; readonly activation: Activation }
    | { readonly kind: "attention"; readonly heads: number; readonly scale: number }
    | { readonly kind: "matmul"; readonly transposeA: boolean; readonly transposeB: boolean }
    | { readonly kind: "multiply" }
    | { readonly kind: "add" }
    | { readonly kind: "select" }
  );

export type NodeKind = Node["kind"];
export type NodeOf<K extends NodeKind> = Extract<Node, { readonly kind: K }>;

export interface Graph {
  readonly nodes: readonly Node[];
  /** The node whose rows hold the logits, one row per sequence. */
  readonly output: Node;
  readonly named: ReadonlyMap<string, Node>;
}

type Details<K extends NodeKind> = Omit<NodeOf<K>, keyof NodeBase | "kind">;

/** Appends nodes; every method returns the node it made, to be used as an input of later ones. */
export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #named = new Map<string, Node>();
  #layer = -1;

  /** Nodes made from now on belong to block `layer`. */
  layer(layer: number): void {
    this.#layer = layer;
  }

  /** Values given by the caller: (rows, columns). */
  input(name: string, rows: Rows, columns: number): Node {
    return this.name(name, this.#push("input", [], rows, columns, {}));
  }

  lookup(table: string, source: IdSource, columns: number, scaled = false): Node {
    return this.#push("lookup", [], "tokens", columns, { table, source, scaled });
  }

  /** x W^T + b with W (columns, x.columns). */
  linear(x: Node, weight: string, columns: number, bias?: string): Node {
    return this.#push("linear", [x], x.rows, columns, { weight, bias });
  }

  norm(
    x: Node,
    weight: string,
    bias: string | undefined,
    options: { centred: boolean; epsilon: number },
  ): Node {
    return this.#push("norm", [x], x.rows, x.columns, { weight, bias, ...options });
  }

  activation(x: Node, activation: Activation): Node {
    return this.#push("activation", [x], x.rows, x.columns, { activation });
  }

  attention(q: Node, k: Node, v: Node, heads: number): Node {
    const scale = 1 / Math.sqrt(q.columns / heads);
    return this.#push("attention", [q, k, v], q.rows, v.columns, { heads, scale });
  }

  /** op(a) op(b), a product in which both factors depend on the input. Rows are fixed counts. */
  matmul(a: Node, b: Node, { transposeA = false, transposeB = false } = {}): Node {
    const rows = transposeA ? a.columns : a.rows;
    const columns = transposeB ? b.rows : b.columns;
    if (typeof columns !== "number") throw new Error("graph: matmul needs operands of fixed size");
    return this.#push("matmul", [a, b], rows, columns, { transposeA, transposeB });
  }

  multiply(a: Node, b: Node): Node {
    return this.#push("multiply", [a, b], a.rows, a.columns, {});
  }

  add(a: Node, b: Node): Node {
    return this.#push("add", [a, b], a.rows, a.columns, {});
  }

  /** The read row of each sequence: (tokens, C) -> (reads, C). */
  select(x: Node): Node {
    return this.#push("select", [x], "reads", x.columns, {});
  }

  /** Names a node, so that values and relevance can be read there. */
  name(name: string, node: Node): Node {
    if (this.#named.has(name)) throw new Error(`graph: two nodes named ${name}`);
    const renamed = { ...node, name };
    this.#nodes[node.id] = renamed;
    this.#named.set(name, renamed);
    return renamed;
  }

  build(output: Node): Graph {
    return { nodes: [...this.#nodes], output, named: new Map(this.#named) };
  }

  #push<K extends NodeKind>(
    kind: K,
    inputs: readonly Node[],
    rows: Rows,
    columns: number,
    details: Details<K>,
  ): Node {
    const node = {
      id: this.#nodes.length,
      kind,
      inputs: inputs.map((input) => input.id),
      rows,
      columns,
      layer: this.#layer,
      name: undefined,
      ...details,
    } as unknown as Node;
    this.#nodes.push(node);
    return node;
  }
}

/** Weights worth int8: what is multiplied by, and the word embedding, the largest of all. Positions and types are small. */
export function quantisableWeights({ nodes }: Graph): ReadonlySet<string> {
  return new Set(
    nodes.flatMap((node) => {
      if (node.kind === "linear") return [node.weight];
      return node.kind === "lookup" && node.source === "ids" ? [node.table] : [];
    }),
  );
}
