// The backward step of every kind of node, as a table: how a coefficient c (P*R, C) of the output becomes one of each
// input, under each pass's rule. Relevance is h * c (rules.md: epsilon -> 0 form); nothing divides by a value.
import { passesThroughSoftmax } from "../backend/backend.ts";
import type { NodeKind, NodeOf, Node } from "../model/graph.ts";
import type { Tensor } from "../tensor.ts";
import type { Coefficients } from "./coefficients.ts";
import { attentionShape } from "./ops.ts";
import { type Composite, ruleFor, type Rules } from "./rules.ts";
import { extraOf, inputOf, type Tape, valueOf, weightOf } from "./tape.ts";

export interface Backward {
  readonly tape: Tape;
  /** One per pass. */
  readonly composites: readonly Composite[];
  readonly coefficients: Coefficients;
  /** Whether anybody will read relevance at node `id` or below it. */
  needed(id: number): boolean;
}

type Pullback<K extends NodeKind> = (backward: Backward, node: NodeOf<K>, c: Tensor) => void;

const pullbacks: { readonly [K in Exclude<NodeKind, "input" | "lookup">]: Pullback<K> } = {
  linear(backward, node, c) {
    const { tape } = backward;
    const { backend } = tape.network;
    const epsilons = rules(backward, "linear", node, c).map(({ epsilon }) => epsilon);
    const through = (coefficient: Tensor) => {
      const weight = weightOf(tape, node.weight);
      into(backward, node, 0, coefficient.rows, weight.columns, (out, start) =>
        backend.matmul(out, coefficient, weight, { start }),
      );
    };
    if (epsilons.every((epsilon) => epsilon === 0)) return through(c);
    temporary(backward, c.rows, c.columns, (stabilised) => {
      backend.stabilise(stabilised, c, valueOf(tape, node.id), epsilons);
      through(stabilised);
    });
  },
  norm(backward, node, c) {
    const { tape } = backward;
    const shares = rules(backward, "norm", node, c).map(({ sigma }) => sigma);
    const x = inputOf(tape, node, 0);
    fresh(backward, node, 0, c.rows, c.columns, (out) =>
      tape.network.backend.normPullback(
        out,
        c,
        x,
        weightOf(tape, node.weight),
        extraOf(tape, node.id),
        shares,
        node,
      ),
    );
  },
  activation(backward, node, c) {
    const { tape } = backward;
    const slopes = rules(backward, "activation", node, c).map(({ slope }) => slope);
    const x = inputOf(tape, node, 0);
    fresh(backward, node, 0, c.rows, c.columns, (out) =>
      tape.network.backend.activatePullback(out, c, x, node.activation, slopes),
    );
  },
  attention(backward, node, c) {
    const { tape, coefficients } = backward;
    const { backend } = tape.network;
    const shares = rules(backward, "attention", node, c);
    const [q, k, v] = [0, 1, 2].map((which) => inputOf(tape, node, which)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const like = (x: Tensor, passes: number) => backend.allocate(passes * x.rows, x.columns);
    const through = passesThroughSoftmax(shares);
    const out = {
      value: like(v, shares.length),
      ...(through > 0 ? { query: like(q, through), key: like(k, through) } : {}),
    };
    backend.attentionPullback(
      out,
      c,
      q,
      k,
      v,
      extraOf(tape, node.id),
      shares,
      attentionShape(tape, node),
    );
    const [queryId, keyId, valueId] = node.inputs as [number, number, number];
    if (out.query) coefficients.give(queryId, out.query);
    if (out.key) coefficients.give(keyId, out.key);
    coefficients.give(valueId, out.value);
  },
  matmul(backward, node, c) {
    const { tape } = backward;
    const { backend } = tape.network;
    const { transposeA, transposeB } = node;
    const [a, b] = [inputOf(tape, node, 0), inputOf(tape, node, 1)];
    const products = rules(backward, "product", node, c);
    const rows = c.rows / products.length;
    /** Gives factor `which`, shaped like `like`, its share of every pass's coefficient. */
    const each = (
      which: 0 | 1,
      like: Tensor,
      write: (out: Tensor, passC: Tensor, scale: number) => void,
    ) =>
      fresh(backward, node, which, products.length * like.rows, like.columns, (out) =>
        products.forEach(({ left, right }, pass) => {
          const passOut = backend.view(out, pass * like.rows, like.rows);
          write(passOut, backend.view(c, pass * rows, rows), which === 0 ? left : right);
        }),
      );
    each(0, a, (out, passC, scale) =>
      transposeA
        ? backend.matmul(out, b, passC, { transposeA: transposeB, transposeB: true, scale })
        : backend.matmul(out, passC, b, { transposeB: !transposeB, scale }),
    );
    each(1, b, (out, passC, scale) =>
      transposeB
        ? backend.matmul(out, passC, a, { transposeA: true, transposeB: transposeA, scale })
        : backend.matmul(out, a, passC, { transposeA: !transposeA, scale }),
    );
  },
  multiply(backward, node, c) {
    const { tape } = backward;
    const products = rules(backward, "product", node, c);
    const [a, b] = [inputOf(tape, node, 0), inputOf(tape, node, 1)];
    const shares = {
      left: products.map(({ left }) => left),
      right: products.map(({ right }) => right),
    };
    fresh(backward, node, 0, c.rows, c.columns, (out) =>
      tape.network.backend.multiplyPullback(out, c, b, shares.left),
    );
    fresh(backward, node, 1, c.rows, c.columns, (out) =>
      tape.network.backend.multiplyPullback(out, c, a, shares.right),
    );
  },
  add({ coefficients, needed }, node, c) {
    for (const id of node.inputs) if (needed(id)) coefficients.give(id, c);
  },
  select(backward, node, c) {
    const { tape } = backward;
    const passes = passesOf(tape, node, c);
    const { rows, columns } = inputOf(tape, node, 0);
    fresh(backward, node, 0, passes * rows, columns, (out) =>
      tape.network.backend.selectPullback(out, c, tape.batch.reads, passes),
    );
  },
};

/** Sends the coefficient `c` of a node on to its inputs. Where a chain ends there is nothing to do. */
export function pullBack(backward: Backward, node: Node, c: Tensor): void {
  if (node.kind === "input" || node.kind === "lookup") return;
  (pullbacks[node.kind] as Pullback<NodeKind>)(backward, node, c);
}

/** The rule for ops of `kind` at `node` of every pass that its coefficient carries. */
function rules<K extends keyof Rules>(
  { tape, composites }: Backward,
  kind: K,
  node: Node,
  c: Tensor,
): Rules[K][] {
  const passes = passesOf(tape, node, c);
  return composites.slice(0, passes).map((composite) => ruleFor(composite, kind, node.layer));
}

/** How many passes a coefficient carries: all, or the first few where the others send nothing. */
function passesOf({ batch }: Tape, node: Node, c: Tensor): number {
  return c.rows / batch.rowsOf(node);
}

/** Writes a share of input `which`, on top of what it has; skipped where nobody needs it. */
function into(
  { coefficients, needed }: Backward,
  { inputs }: Node,
  which: number,
  rows: number,
  columns: number,
  write: (out: Tensor, start: Tensor | undefined) => void,
): void {
  const id = inputs[which] as number;
  if (needed(id)) coefficients.accumulate(id, rows, columns, write);
}

/** As `into`, for writers that can only overwrite. */
function fresh(
  { tape, coefficients, needed }: Backward,
  { inputs }: Node,
  which: number,
  rows: number,
  columns: number,
  write: (out: Tensor) => void,
): void {
  const id = inputs[which] as number;
  if (!needed(id)) return;
  const { backend } = tape.network;
  const out = backend.allocate(rows, columns);
  try {
    write(out);
  } catch (error) {
    backend.free(out);
    throw error;
  }
  coefficients.give(id, out);
}

/** A tensor that lives for one call. */
function temporary(
  { tape }: Backward,
  rows: number,
  columns: number,
  use: (tensor: Tensor) => void,
): void {
  const { backend } = tape.network;
  const tensor = backend.allocate(rows, columns);
  try {
    use(tensor);
  } finally {
    backend.free(tensor);
  }
}
