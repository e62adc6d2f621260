// Single rules against dense-matrix LRP from PyTorch (golden/unit_rules.json), through the operations of every backend.
// The strict LayerNorm identity (R_in = R_out) is in no backend: relevance grows without bound under it.
import { afterAll, describe, expect, test } from "vitest";
import type { Activation, AttentionShares, Backend } from "../src/backend/backend.ts";
import type { Tensor } from "../src/tensor.ts";
import { backends } from "./backends.ts";
import linearAttention from "./golden/linear_attention.json";
import golden from "./golden/unit_rules.json";
import { createErrorTable, largestError, withScratch, type Scratch } from "./suite/compare.ts";

type Matrix = readonly (readonly number[])[];
/** What a rule's row computes: its forward, and the coefficients of its inputs from c of its output. */
interface Outcome {
  readonly output: Tensor;
  readonly coefficients: readonly Tensor[];
}
/** `coefficient` gives c = R_out / output, or its stabilised form, once the output is known. */
type Rule = (tools: Tools, coefficient: (output: Tensor) => Tensor) => Outcome;
interface Tools extends Scratch {
  readonly matrix: (values: Matrix) => Tensor;
}

const { cases } = golden;
const full: AttentionShares = { weights: 1, values: 1, query: 1, key: 1 };
const identity = (size: number): Matrix =>
  Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => Number(i === j)));

function linear(inputs: readonly Matrix[], weight: Matrix, bias?: readonly number[]): Rule {
  return ({ backend, matrix, empty }, coefficient) => {
    const [x, w] = [matrix(inputs[0]!), matrix(weight)];
    const [output, back] = [empty(x.rows, w.rows), empty(x.rows, x.columns)];
    backend.matmul(output, x, w, { transposeB: true, ...(bias && { bias: matrix([bias]) }) });
    backend.matmul(back, coefficient(output), w);
    return { output, coefficients: [back] };
  };
}

function norm(
  inputs: readonly Matrix[],
  weight: readonly number[],
  bias: readonly number[] | undefined,
  options: { readonly centred: boolean; readonly epsilon: number },
): Rule {
  return ({ backend, matrix, empty }, coefficient) => {
    const x = matrix(inputs[0]!);
    const [output, back] = [empty(x.rows, x.columns), empty(x.rows, x.columns)];
    const [w, statistics] = [matrix([weight]), empty(x.rows, 2)];
    backend.norm(output, statistics, x, w, bias && matrix([bias]), options);
    backend.normPullback(back, coefficient(output), x, w, statistics, [0], options);
    return { output, coefficients: [back] };
  };
}

/** Scores as queries with K = V = identity: the context is the softmax itself. Hidden keys make the causal mask. */
function softmax(scores: Matrix, causal: boolean): Rule {
  return ({ backend, matrix, empty }, coefficient) => {
    const T = scores.length;
    // Which keys are hidden is said per key row, so under a mask every query has a sequence of its own.
    const segments = Array.from({ length: causal ? T : 1 }, (_, b) => ({
      queryStart: b,
      queries: causal ? 1 : T,
      keyStart: b * T,
      keys: T,
    }));
    const hidden = Uint8Array.from({ length: segments.length * T }, (_, row) =>
      Number(causal && row % T > Math.floor(row / T)),
    );
    const [q, k] = [matrix(scores), matrix(segments.flatMap(() => identity(T)))];
    const layout = backend.attentionLayout(segments, hidden, 1);
    const shape = { layout, heads: 1, scale: 1 };
    const probabilities = empty(1, layout.probabilityCount);
    const [output, query] = [empty(T, T), empty(T, T)];
    backend.attention(output, probabilities, q, k, k, shape);
    const back = { query, key: empty(k.rows, T), value: empty(k.rows, T) };
    backend.attentionPullback(back, coefficient(output), q, k, k, probabilities, [full], shape);
    backend.freeLayout(layout);
    return { output, coefficients: [query] };
  };
}

const rules: Readonly<Record<keyof typeof cases, Rule>> = {
  linear_with_bias: linear(
    cases.linear_with_bias.inputs,
    cases.linear_with_bias.W,
    cases.linear_with_bias.b,
  ),
  linear_no_bias: linear(cases.linear_no_bias.inputs, cases.linear_no_bias.W),
  matmul_bilinear: ({ backend, matrix, empty }, coefficient) => {
    const [a, b] = cases.matmul_bilinear.inputs.map(matrix) as [Tensor, Tensor];
    const output = empty(a.rows, b.columns);
    const [ofA, ofB] = [empty(a.rows, a.columns), empty(b.rows, b.columns)];
    backend.matmul(output, a, b);
    const c = coefficient(output);
    backend.matmul(ofA, c, b, { transposeB: true, scale: 0.5 });
    backend.matmul(ofB, a, c, { transposeA: true, scale: 0.5 });
    return { output, coefficients: [ofA, ofB] };
  },
  matmul_left_constant: ({ backend, matrix, empty }, coefficient) => {
    const [a, x] = [
      matrix(cases.matmul_left_constant.A),
      matrix(cases.matmul_left_constant.inputs[0]!),
    ];
    const [output, back] = [empty(x.rows, x.columns), empty(x.rows, x.columns)];
    backend.matmul(output, a, x);
    backend.matmul(back, a, coefficient(output), { transposeA: true });
    return { output, coefficients: [back] };
  },
  softmax_rows: softmax(cases.softmax_rows.inputs[0]!, false),
  softmax_rows_causal_mask: softmax(cases.softmax_rows_causal_mask.inputs[0]!, true),
  add: ({ backend, matrix, empty }, coefficient) => {
    const [a, b] = cases.add.inputs.map(matrix) as [Tensor, Tensor];
    const output = empty(a.rows, a.columns);
    backend.add(output, a, b);
    const c = coefficient(output);
    return { output, coefficients: [c, c] };
  },
  add_constant: ({ backend, matrix, empty }, coefficient) => {
    const x = matrix(cases.add_constant.inputs[0]!);
    const output = empty(x.rows, x.columns);
    backend.add(output, x, matrix(cases.add_constant.c));
    return { output, coefficients: [coefficient(output)] };
  },
  multiply: ({ backend, matrix, empty }, coefficient) => {
    const [a, b] = cases.multiply.inputs.map(matrix) as [Tensor, Tensor];
    const [output, ofA, ofB] = [0, 1, 2].map(() => empty(a.rows, a.columns)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    backend.multiply(output, a, b);
    const c = coefficient(output);
    backend.multiplyPullback(ofA, c, b, [0.5]);
    backend.multiplyPullback(ofB, c, a, [0.5]);
    return { output, coefficients: [ofA, ofB] };
  },
  layernorm_ln_detach: norm(
    cases.layernorm_ln_detach.inputs,
    cases.layernorm_ln_detach.w,
    cases.layernorm_ln_detach.b,
    { centred: true, epsilon: cases.layernorm_ln_detach.ln_eps },
  ),
  rmsnorm: norm(cases.rmsnorm.inputs, cases.rmsnorm.w, undefined, {
    centred: false,
    epsilon: cases.rmsnorm.ln_eps,
  }),
};

// Epsilon as a part of the stabilised output, for the rules that have one: R / (O + e sign O) is linear in
// O, R / (2 O + e sign O) is half of R / (O + (e / 2) sign O). The softmax and the products of elements have none.
const epsilonParts: Partial<Readonly<Record<keyof typeof cases, number>>> = {
  linear_with_bias: 1,
  linear_no_bias: 1,
  matmul_left_constant: 1,
  add: 1,
  add_constant: 1,
  layernorm_ln_detach: 1,
  matmul_bilinear: 0.5,
};

const activationNames: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  silu: "silu",
  tanh: "tanh",
  relu: "relu",
};

describe.each(backends)("single rules on $name", ({ name, make }) => {
  const errors = createErrorTable([name]);
  const tolerance = name === "reference" ? 1e-9 : 1e-4;
  afterAll(() => errors.print("single rules"));

  function expectClose(what: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
    const error = largestError(Float64Array.from(got), Float64Array.from(want));
    errors.record(what, name, error);
    expect(error, what).toBeLessThanOrEqual(tolerance);
  }

  /** Runs a rule with c = R_out / output, stabilised by `epsilon`, and returns its output and each R_in = x c_x. */
  async function relevanceIn(backend: Backend, name: keyof typeof cases, epsilon: number) {
    const { inputs, output, R_out } = cases[name];
    return withScratch(backend, async (scratch) => {
      const matrix = (values: Matrix) =>
        scratch.floats(values.flat(), values.length, values[0]!.length);
      // Where a mask leaves an output of 0 there is no relevance either: 0 / 0 stands for 0.
      const quotients = output.map((row, r) =>
        row.map((z, i) => (z === 0 ? 0 : R_out[r]![i]! / z)),
      );
      const outcome = rules[name]({ ...scratch, matrix }, (z) => {
        const c = matrix(quotients);
        const stabilised = scratch.empty(c.rows, c.columns);
        backend.stabilise(stabilised, c, z, [epsilon]);
        return stabilised;
      });
      const relevances: number[][] = [];
      for (const [i, coefficient] of outcome.coefficients.entries()) {
        const x = (inputs[i] as Matrix).flat();
        relevances.push([...(await backend.read(coefficient))].map((c, at) => c * x[at]!));
      }
      return { output: await backend.read(outcome.output), relevances };
    });
  }

  test.each(Object.keys(cases) as (keyof typeof cases)[])("%s", async (rule) => {
    const backend = await make();
    const got = await relevanceIn(backend, rule, 0);
    expectClose(`${rule}: output`, got.output, cases[rule].output.flat());
    expect(got.relevances.length).toBe(cases[rule].R_in_eps0.length);
    for (const [i, relevance] of got.relevances.entries()) {
      expectClose(`${rule}: R_in`, relevance, (cases[rule].R_in_eps0[i] as Matrix).flat());
    }
  });

  test.each(Object.keys(epsilonParts) as (keyof typeof cases)[])("%s, epsilon", async (rule) => {
    const backend = await make();
    const got = await relevanceIn(backend, rule, golden.epsilon * epsilonParts[rule]!);
    for (const [i, relevance] of got.relevances.entries()) {
      const want = (cases[rule].R_in_eps_sign_aware[i] as Matrix).flat();
      expectClose(`${rule}: R_in, epsilon`, relevance, want);
    }
  });

  test.each(Object.keys(activationNames))("activation %s", async (key) => {
    const backend = await make();
    const { x, ...functions } = golden.activations;
    const want = functions[key as keyof typeof functions];
    await withScratch(backend, async ({ floats, empty }) => {
      const input = floats(x, 1, x.length);
      const [out, slope] = [empty(1, x.length), empty(1, x.length)];
      backend.activate(out, input, activationNames[key]!);
      expectClose(`${key}: value`, await backend.read(out), want.value);
      const ones = floats(
        x.map(() => 1),
        1,
        x.length,
      );
      backend.activatePullback(slope, ones, input, activationNames[key]!, ["ratio"]);
      expectClose(`${key}: ratio`, await backend.read(slope), want.identity_rule_slope);
    });
  });

  test("every case and activation is covered", () => {
    expect(Object.keys(rules).toSorted()).toEqual(Object.keys(cases).toSorted());
    const { x: _, ...functions } = golden.activations;
    expect(Object.keys(activationNames).toSorted()).toEqual(Object.keys(functions).toSorted());
  });

  test("x1 x2 x3 depends on the order of multiplication", async () => {
    const backend = await make();
    const { x, ...orders } = linearAttention.product3;
    await withScratch(backend, async ({ floats, empty }) => {
      const [x1, x2, x3] = x.map((number) => floats([number], 1, 1)) as [Tensor, Tensor, Tensor];
      const one = floats([1], 1, 1);
      const pulled = async (c: Tensor, other: Tensor) => {
        const out = empty(1, 1);
        backend.multiplyPullback(out, c, other, [0.5]);
        return out;
      };
      const product = (a: Tensor, b: Tensor) => {
        const out = empty(1, 1);
        backend.multiply(out, a, b);
        return out;
      };
      const read = async (tensors: readonly Tensor[]) =>
        Promise.all(tensors.map(async (tensor, i) => (await backend.read(tensor))[0]! * x[i]!));

      const ofFirst = await pulled(one, x3);
      const left = [
        await pulled(ofFirst, x2),
        await pulled(ofFirst, x1),
        await pulled(one, product(x1, x2)),
      ];
      expectClose("(x1 x2) x3", await read(left), orders["left_(x1x2)x3"].R);
      const ofLast = await pulled(one, x1);
      const right = [
        await pulled(one, product(x2, x3)),
        await pulled(ofLast, x3),
        await pulled(ofLast, x2),
      ];
      expectClose("x1 (x2 x3)", await read(right), orders["right_x1(x2x3)"].R);
    });
  });

  test("linear attention depends on the order of its products", async () => {
    const backend = await make();
    const { X, Wq, Wk, Wv, u, row, left_QKt_V, right_Q_KtV } = linearAttention.linear_attention;
    await withScratch(backend, async ({ floats, empty }) => {
      const [T, C] = [X.length, X[0]!.length];
      const x = floats(X.flat(), T, C);
      const weights = [Wq, Wk, Wv].map((weight) => floats(weight.flat(), C, C));
      const [q, k, v] = weights.map((weight) => {
        const out = empty(T, C);
        backend.matmul(out, x, weight);
        return out;
      }) as [Tensor, Tensor, Tensor];
      const seed = new Float64Array(T * C);
      seed.set(u, row * C);
      const c = floats(seed, T, C);
      const half = { scale: 0.5 };
      const back = () => empty(T, C);

      const [scores, ofScores] = [empty(T, T), empty(T, T)];
      const left = { q: back(), k: back(), v: back() };
      backend.matmul(scores, q, k, { transposeB: true });
      backend.matmul(ofScores, c, v, { transposeB: true, ...half });
      backend.matmul(left.v, scores, c, { transposeA: true, ...half });
      backend.matmul(left.q, ofScores, k, half);
      backend.matmul(left.k, ofScores, q, { transposeA: true, ...half });

      const [state, ofState] = [empty(C, C), empty(C, C)];
      const right = { q: back(), k: back(), v: back() };
      backend.matmul(state, k, v, { transposeA: true });
      backend.matmul(right.q, c, state, { transposeB: true, ...half });
      backend.matmul(ofState, q, c, { transposeA: true, ...half });
      backend.matmul(right.k, v, ofState, { transposeB: true, ...half });
      backend.matmul(right.v, k, ofState, half);

      for (const [order, parts, want] of [
        ["(Q K^T) V", left, left_QKt_V],
        ["Q (K^T V)", right, right_Q_KtV],
      ] as const) {
        const sums: number[] = [];
        const ofX = floats(new Float32Array(T * C), T, C);
        for (const [i, [part, values]] of (
          [
            [parts.q, q],
            [parts.k, k],
            [parts.v, v],
          ] as const
        ).entries()) {
          const sum = empty(T, 1);
          backend.relevance(sum, part, values);
          sums.push([...(await backend.read(sum))].reduce((total, number) => total + number, 0));
          backend.matmul(ofX, part, weights[i]!, { transposeB: true, start: ofX });
        }
        expectClose(`${order}: shares`, sums, [want.sum_R_Q, want.sum_R_K, want.sum_R_V]);
        const tokens = empty(T, 1);
        backend.relevance(tokens, ofX, x);
        expectClose(`${order}: tokens`, await backend.read(tokens), want.R_X_token);
        const relevance = [...(await backend.read(ofX))].map((number, i) => number * X.flat()[i]!);
        expectClose(`${order}: channels`, relevance, want.R_X.flat());
      }
    });
  });
});
