// Identities of docs/rules.md on graphs small enough to check by hand, through the engine and every backend.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Backend } from "../src/backend/backend.ts";
import { compositeOf } from "../src/attribution/methods.ts";
import { backward } from "../src/engine/backward.ts";
import { pack } from "../src/engine/batch.ts";
import { forward } from "../src/engine/forward.ts";
import type { Composite } from "../src/engine/rules.ts";
import { valueOf } from "../src/engine/tape.ts";
import { type Graph, GraphBuilder, type Node } from "../src/model/graph.ts";
import { backends } from "./backends.ts";

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: readonly number[];
}

const row = (...values: number[]): Matrix => ({ rows: 1, columns: values.length, values });
const matrix = (rows: readonly (readonly number[])[]): Matrix => ({
  rows: rows.length,
  columns: rows[0]?.length ?? 0,
  values: rows.flat(),
});

/** Value of a graph on `inputs`, and relevance at `at` under each composite, seeded with 1 on output `row`, column 0. */
async function run(
  backend: Backend,
  { graph, weights = {} }: { graph: Graph; weights?: Readonly<Record<string, Matrix>> },
  inputs: Readonly<Record<string, Matrix>>,
  composites: readonly Composite[] = [],
  { seedRow = 0 } = {},
) {
  const load = ({ rows, columns, values }: Matrix) => {
    const tensor = backend.weight(rows, columns);
    backend.write(tensor, 0, Float32Array.from(values));
    return tensor;
  };
  const held = new Map(Object.entries(weights).map(([name, value]) => [name, load(value)]));
  const given = new Map(
    Object.entries(inputs).map(([name, { values, rows, columns }]) => [
      name,
      backend.floats(values, rows, columns),
    ]),
  );
  const network = { backend, graph, weights: held };
  const tape = forward(network, pack([]), { keep: "tape", inputs: given });
  const output = [...(await backend.read(valueOf(tape, graph.output.id)))];
  const seed = output.map((_, i) => Number(i === seedRow * graph.output.columns));
  const at = Object.keys(inputs);
  const passes = composites.map((composite) => ({ composite, seed }));
  const read = passes.length > 0 ? await backward(tape, passes, { at }) : new Map();
  tape.release();
  const relevance = (name: string, pass: number) => {
    const rows = inputs[name]?.rows ?? 0;
    return Array.from<number>((read.get(name) ?? []).slice(pass * rows, (pass + 1) * rows));
  };
  return { output, relevance };
}

const attnlrp = compositeOf("attnlrp", 0);
const gradient = compositeOf("gradient-x-input", 0);

describe.for(backends)("$name", ({ make }) => {
  describe("x1 x2 x3 at (2, 3, 4), figure 1 of the paper", () => {
    const inputs = { x1: row(2), x2: row(3), x3: row(4) };
    const build = (associate: "left" | "right"): Graph => {
      const graph = new GraphBuilder();
      const [a, b, c] = ["x1", "x2", "x3"].map((name) => graph.input(name, 1, 1)) as [
        Node,
        Node,
        Node,
      ];
      return graph.build(
        associate === "left"
          ? graph.multiply(graph.multiply(a, b), c)
          : graph.multiply(a, graph.multiply(b, c)),
      );
    };

    test.for([
      { associate: "left", expected: [6, 6, 12] },
      { associate: "right", expected: [12, 6, 6] },
    ] as const)("associated to the $associate", async ({ associate, expected }) => {
      const graph = build(associate);
      const { output, relevance } = await run(await make(), { graph }, inputs, [attnlrp, gradient]);
      const scores = (pass: number) => Object.keys(inputs).flatMap((name) => relevance(name, pass));
      expect(output).toEqual([24]);
      expect(scores(0), "AttnLRP depends on the association").toEqual(expected);
      expect(
        scores(1).map((score) => score / 3),
        "the true gradient does not",
      ).toEqual([8, 8, 8]);
    });

    test("leave-one-out to zero is (24, 24, 24) in both", async () => {
      for (const associate of ["left", "right"] as const) {
        const without = Object.keys(inputs).map(async (name) => {
          const { output } = await run(
            await make(),
            { graph: build(associate) },
            { ...inputs, [name]: row(0) },
          );
          return 24 - (output[0] ?? NaN);
        });
        expect(await Promise.all(without)).toEqual([24, 24, 24]);
      }
    });
  });

  test("linear attention: shares 1/4, 1/4, 1/2 from the left and 1/2, 1/4, 1/4 from the right", async () => {
    const path = new URL("golden/linear_attention.json", import.meta.url);
    const { linear_attention: golden } = JSON.parse(readFileSync(path, "utf8"));
    const transpose = (rows: number[][]) =>
      (rows[0] ?? []).map((_, j) => rows.map((each) => each[j] ?? 0));
    const weights = {
      // Golden values use X W, a linear layer here is x W^T.
      q: matrix(transpose(golden.Wq)),
      k: matrix(transpose(golden.Wk)),
      v: matrix(transpose(golden.Wv)),
      u: row(...golden.u),
    };
    const x = matrix(golden.X);
    for (const [name, left] of [
      ["left_QKt_V", true],
      ["right_Q_KtV", false],
    ] as const) {
      const graph = new GraphBuilder();
      const input = graph.input("x", x.rows, x.columns);
      const [q, k, v] = ["q", "k", "v"].map((weight) => graph.linear(input, weight, 6)) as [
        Node,
        Node,
        Node,
      ];
      const o = left
        ? graph.matmul(graph.matmul(q, k, { transposeB: true }), v)
        : graph.matmul(q, graph.matmul(k, v, { transposeA: true }));
      const built = { graph: graph.build(graph.linear(o, "u", 1)), weights };
      const seedRow = golden.row as number;
      const { output, relevance } = await run(await make(), built, { x }, [attnlrp, gradient], {
        seedRow,
      });
      const { y, R_X_token: expected } = golden[name] as { y: number; R_X_token: number[] };
      expect((output[seedRow] ?? NaN) / y).toBeCloseTo(1, 5);
      const scale = Math.max(...expected.map(Math.abs));
      relevance("x", 0).forEach((score, token) =>
        expect(Math.abs(score - (expected[token] ?? NaN)) / scale).toBeLessThan(1e-5),
      );
      // Three factors: gradient x input is three times the output, whichever way they are associated.
      const total = relevance("x", 1).reduce((sum, score) => sum + score, 0);
      expect(total / (3 * y)).toBeCloseTo(1, 5);
    }
  });

  test("without biases, leave-one-out to zero of a linear model is its relevance", async () => {
    const x = matrix([
      [0.5, -1.25, 2],
      [1.5, 0.75, -0.5],
      [-2, 1, 0.25],
      [0.125, 3, -1],
    ]);
    const weights = {
      a: matrix([
        [1, -2, 0.5],
        [0.25, 1, 1],
        [-1, 0.5, 2],
      ]),
      b: row(1, -0.5, 0.75),
    };
    const graph = new GraphBuilder();
    const input = graph.input("x", x.rows, x.columns);
    // The pooling weights are constants: their factor of the product gets nothing.
    const pool = graph.input("pool", 1, x.rows);
    const pooled = graph.matmul(pool, graph.linear(input, "a", 3));
    const built = { graph: graph.build(graph.linear(pooled, "b", 1)), weights };
    const linear: Composite = {
      name: "lrp-0",
      rules: { linear: { epsilon: 0 }, product: { left: 0, right: 1 } },
    };
    const inputs = { x, pool: row(0.4, 0.3, 0.2, 0.1) };
    const { output, relevance } = await run(await make(), built, inputs, [linear]);
    for (let token = 0; token < x.rows; token++) {
      const values = x.values.map((value, i) => (Math.floor(i / x.columns) === token ? 0 : value));
      const without = await run(await make(), built, { ...inputs, x: { ...x, values } });
      const loo = (output[0] ?? NaN) - (without.output[0] ?? NaN);
      expect(relevance("x", 0)[token]).toBeCloseTo(loo, 5);
    }
  });

  test("an op without a rule is an error that names the method and the op", async () => {
    const graph = new GraphBuilder();
    const product = graph.multiply(graph.input("a", 1, 1), graph.input("b", 1, 1));
    const bare: Composite = { name: "bare", rules: {} };
    const inputs = { a: row(2), b: row(3) };
    await expect(
      run(await make(), { graph: graph.build(product) }, inputs, [bare]),
    ).rejects.toThrow("relevance: bare has no rule for product");
  });
});
