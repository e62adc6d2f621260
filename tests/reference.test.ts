// Holds the oracle itself against formulas written another way, finite differences of its own forward, and known values.
import { describe, expect, test } from "vitest";
import type { Activation, AttentionShares, NormOptions, Slope } from "../src/backend/backend.ts";
import { erf } from "../src/backend/reference-activations.ts";
import { createReferenceBackend } from "../src/backend/reference.ts";
import type { Tensor } from "../src/tensor.ts";
import { attentionInputs, pack, runAttention } from "./suite/attention.ts";
import { largestError, normals, withScratch, type Numbers, type Scratch } from "./suite/compare.ts";
import { activationNames } from "./suite/rows.ts";

const backend = createReferenceBackend();
const run = <Result>(body: (scratch: Scratch) => Promise<Result>) => withScratch(backend, body);
const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const rows = (numbers: Numbers, columns: number): number[][] =>
  Array.from({ length: numbers.length / columns }, (_, r) => [
    ...numbers.subarray(r * columns, (r + 1) * columns),
  ]);
const flip = (matrix: readonly number[][]) =>
  matrix[0]!.map((_, i) => matrix.map((row) => row[i]!));

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  const error = largestError(Float64Array.from(got), Float64Array.from(want));
  expect(error).toBeLessThanOrEqual(tolerance);
}

/** Gradient of f at `values` by central differences of step 1e-6. */
async function differences(
  values: ArrayLike<number>,
  f: (values: Float64Array) => Promise<number>,
): Promise<Float64Array> {
  const step = 1e-6;
  const gradient = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const moved = Float64Array.from(values);
    moved[i]! += step;
    const above = await f(moved);
    moved[i]! -= 2 * step;
    gradient[i] = (above - (await f(moved))) / (2 * step);
  }
  return gradient;
}

describe("forward, written another way", () => {
  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])("matmul, transposeA %s, transposeB %s", async (transposeA, transposeB) => {
    const [M, N, K] = [4, 3, 5];
    const [a, b] = [rows(normals(1)(M * K), K), rows(normals(2)(K * N), N)];
    const [bias, start] = [normals(3)(N), normals(4)(M * N)];
    const product = a.map((row) => flip(b).map((column) => dot(row, column)));
    await run(async ({ floats, empty }) => {
      const left = transposeA ? floats(flip(a).flat(), K, M) : floats(a.flat(), M, K);
      const right = transposeB ? floats(flip(b).flat(), N, K) : floats(b.flat(), K, N);
      const out = empty(M, N);
      const options = { transposeA, transposeB, scale: -3 };
      backend.matmul(out, left, right, { ...options, bias: floats(bias, 1, N) });
      const biased = product.map((row) => row.map((x, n) => -3 * x + bias[n]!));
      expectClose(await backend.read(out), biased.flat(), 1e-15);
      const target = floats(start, M, N);
      backend.matmul(target, left, right, { ...options, start: target });
      const started = product.flat().map((x, i) => -3 * x + start[i]!);
      expectClose(await backend.read(target), started, 1e-15);
    });
  });

  test.each([true, false])("norm, centred %s", async (centred) => {
    const x = rows(normals(1)(4 * 6), 6);
    const [weight, bias] = [normals(2)(6), normals(3)(6)];
    const want = x.map((row) => {
      const mean = centred ? row.reduce((sum, number) => sum + number / 6, 0) : 0;
      const moved = row.map((number) => number - mean);
      const sigma = Math.sqrt(dot(moved, moved) / 6 + 0.01);
      return moved.map((number, i) => (number / sigma) * weight[i]! + bias[i]!);
    });
    await run(async ({ floats, empty }) => {
      const out = empty(4, 6);
      const [w, b] = [floats(weight, 1, 6), floats(bias, 1, 6)];
      backend.norm(out, empty(4, 2), floats(x.flat(), 4, 6), w, b, { centred, epsilon: 0.01 });
      expectClose(await backend.read(out), want.flat(), 1e-15);
    });
  });

  test("attention of a batch with hidden keys", async () => {
    const [heads, D] = [2, 3];
    const packing = pack(
      [
        { queries: 3, keys: 3 },
        { queries: 2, keys: 7, hide: "some" },
        { queries: 2, keys: 4, hide: "all" },
      ],
      1,
    );
    const inputs = attentionInputs(packing, 6, 1);
    const want: number[][] = [];
    for (const { queryStart, queries, keyStart, keys } of packing.segments) {
      for (let i = 0; i < queries; i++) {
        const perHead = [0, 1].map((head) => {
          const part = (all: Float32Array, row: number) => rows(all, D)[row * heads + head]!;
          const visible = Array.from({ length: keys }, (_, j) => keyStart + j).filter(
            (row) => packing.hidden[row] === 0,
          );
          if (visible.length === 0) {
            const values = Array.from({ length: keys }, (_, j) => part(inputs.v, keyStart + j));
            return flip(values).map((column) => column.reduce((sum, x) => sum + x, 0) / keys);
          }
          const weights = visible.map((row) =>
            Math.exp(dot(part(inputs.q, queryStart + i), part(inputs.k, row)) / Math.sqrt(D)),
          );
          const total = weights.reduce((sum, x) => sum + x, 0);
          return flip(visible.map((row) => part(inputs.v, row))).map(
            (column) => dot(weights, column) / total,
          );
        });
        want.push(perHead.flat());
      }
    }
    const share = { weights: 1, values: 1, query: 1, key: 1 };
    const got = await run((scratch) =>
      runAttention(scratch, packing, inputs, [share], { heads, D }),
    );
    expectClose(got.out, want.flat(), 1e-15);
  });

  // From mpmath 1.3.0, nearest double.
  test.each([
    [1e-10, 1.1283791670955126e-10],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [1.25, 0.9229001282564583],
    [1.5, 0.9661051464753108],
    [2, 0.9953222650189527],
    [3, 0.9999779095030014],
    [5, 0.9999999999984626],
    [7, 1.0],
  ])("erf(%f)", (x, want) => {
    expect(Math.abs(erf(x) - want)).toBeLessThanOrEqual(1e-15 * want);
    expect(erf(-x)).toBe(-erf(x));
  });

  const formulas: Readonly<Record<Activation, (x: number) => number>> = {
    gelu: (x) => (x * (1 + erf(x / Math.sqrt(2)))) / 2,
    // From the logistic form: (1 + tanh(y)) / 2 = 1 / (1 + exp(-2y)).
    gelu_tanh: (x) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
    silu: (x) => x / (1 + Math.exp(-x)),
    relu: (x) => (x + Math.abs(x)) / 2,
    tanh: (x) => 1 - 2 / (1 + Math.exp(2 * x)),
  };
  test.each(activationNames)("%s", async (activation) => {
    const x = normals(1)(200, 3);
    await run(async ({ floats, empty }) => {
      const out = empty(1, 200);
      backend.activate(out, floats(x, 1, 200), activation);
      expectClose(await backend.read(out), Array.from(x, formulas[activation]), 1e-15);
    });
  });
});

describe("pullbacks against finite differences", () => {
  /** Compares c's pullback with the differences of sum(c * forward(x)) in x. */
  async function expectGradient(
    x: Float32Array,
    c: Float32Array,
    forward: (scratch: Scratch, x: ArrayLike<number>) => Tensor,
    got: Numbers,
    tolerance = 1e-6,
  ): Promise<void> {
    const want = await differences(x, (moved) =>
      run(async (scratch) => dot([...c], [...(await backend.read(forward(scratch, moved)))])),
    );
    expectClose(got, want, tolerance);
  }

  test.each([true, false])("norm, centred %s", async (centred) => {
    const [R, C] = [3, 5];
    const [x, c, weight] = [normals(1)(R * C), normals(2)(R * C), normals(3)(C)];
    const options: NormOptions = { centred, epsilon: 0.1 };
    const forward = ({ floats, empty }: Scratch, moved: ArrayLike<number>, statistics: Tensor) => {
      const out = empty(R, C);
      backend.norm(out, statistics, floats(moved, R, C), floats(weight, 1, C), undefined, options);
      return out;
    };
    const [varying, constant, kept] = await run(async (scratch) => {
      const { floats, empty } = scratch;
      const [statistics, out] = [empty(R, 2), empty(2 * R, C)];
      forward(scratch, x, statistics);
      const given = floats([...c, ...c], 2 * R, C);
      const input = floats(x, R, C);
      backend.normPullback(out, given, input, floats(weight, 1, C), statistics, [1, 0], options);
      const numbers = await backend.read(out);
      const inner = rows(await backend.read(statistics), 2);
      return [numbers.subarray(0, R * C), numbers.subarray(R * C), inner] as const;
    });
    await expectGradient(x, c, (s, moved) => forward(s, moved, s.empty(R, 2)), varying);

    // With sigma held constant the norm is linear: (x - mean x) weight / sigma.
    const want = await differences(x, async (moved) =>
      rows(moved, C).reduce((sum, row, r) => {
        const mean = centred ? row.reduce((total, number) => total + number / C, 0) : 0;
        const out = row.map((number, i) => (number - mean) * kept[r]![1]! * weight[i]!);
        return sum + dot([...c.subarray(r * C, (r + 1) * C)], out);
      }, 0),
    );
    expectClose(constant, want, 1e-6);
  });

  test.each(activationNames)(
    "%s: derivative, and ratio away from 0 and at 0",
    async (activation) => {
      const x = normals(1)(40, 2);
      const c = normals(2)(40);
      const slopes: readonly Slope[] = ["derivative", "ratio"];
      const forward = ({ floats, empty }: Scratch, moved: ArrayLike<number>) => {
        const out = empty(1, moved.length);
        backend.activate(out, floats(moved, 1, moved.length), activation);
        return out;
      };
      const pull = (at: Float32Array, given: Float32Array) =>
        run(async ({ floats, empty }) => {
          const n = at.length;
          const out = empty(2, n);
          const both = floats([...given, ...given], 2, n);
          backend.activatePullback(out, both, floats(at, 1, n), activation, slopes);
          return rows(await backend.read(out), n);
        });
      const [derivative, ratio] = await pull(x, c);
      await expectGradient(x, c, forward, Float64Array.from(derivative!));
      const value = await run(async (scratch) => backend.read(forward(scratch, x)));
      expectClose(
        ratio!,
        value.map((number, i) => (c[i]! * number) / x[i]!),
        1e-14,
      );
      const [slope, limit] = await pull(Float32Array.of(0), Float32Array.of(1));
      expect(limit).toEqual(slope);
    },
  );

  test("matmul: c W and c^T x", async () => {
    const [M, N, K] = [3, 4, 5];
    const [x, w, c] = [normals(1)(M * K), normals(2)(N * K), normals(3)(M * N)];
    const forward = ({ floats, empty }: Scratch, a: ArrayLike<number>, b: ArrayLike<number>) => {
      const out = empty(M, N);
      backend.matmul(out, floats(a, M, K), floats(b, N, K), { transposeB: true });
      return out;
    };
    const [cx, cw] = await run(async ({ floats, empty }) => {
      const [ofX, ofW, given] = [empty(M, K), empty(N, K), floats(c, M, N)];
      backend.matmul(ofX, given, floats(w, N, K));
      backend.matmul(ofW, given, floats(x, M, K), { transposeA: true });
      return [await backend.read(ofX), await backend.read(ofW)] as const;
    });
    await expectGradient(x, c, (scratch, moved) => forward(scratch, moved, w), cx);
    await expectGradient(w, c, (scratch, moved) => forward(scratch, x, moved), cw);
  });

  test("attention, in every input and scaled by the shares", async () => {
    const [heads, D] = [2, 2];
    const C = heads * D;
    const packing = pack(
      [
        { queries: 2, keys: 2 },
        { queries: 1, keys: 5, hide: "some" },
        { queries: 2, keys: 3, hide: "all" },
      ],
      1,
    );
    const { queryRows: Q, keyRows: K } = packing;
    const gradient: AttentionShares = { weights: 1, values: 1, query: 1, key: 1 };
    const shared: AttentionShares = { weights: 0.3, values: 0.7, query: 0.2, key: 0.9 };
    const inputs = attentionInputs(packing, C, 1);
    const c = inputs.c;
    const doubled = { ...inputs, c: Float32Array.from([...c, ...c]) };
    const got = await run((scratch) =>
      runAttention(scratch, packing, doubled, [gradient, shared], { heads, D }),
    );
    for (const [part, name, count, factor] of [
      ["q", "query", Q * C, 0.3 * 0.2],
      ["k", "key", K * C, 0.3 * 0.9],
      ["v", "value", K * C, 0.7],
    ] as const) {
      const forward = ({ floats, empty }: Scratch, moved: ArrayLike<number>) => {
        const given = { ...inputs, [part]: moved };
        const out = empty(Q, C);
        const layout = backend.attentionLayout(packing.segments, packing.hidden, heads);
        const [q, k, v] = [floats(given.q, Q, C), floats(given.k, K, C), floats(given.v, K, C)];
        backend.attention(out, undefined, q, k, v, { layout, heads, scale: 1 / Math.sqrt(D) });
        backend.freeLayout(layout);
        return out;
      };
      await expectGradient(inputs[part], c, forward, got[name]!.subarray(0, count));
      const scaled = got[name]!.subarray(0, count).map((number) => factor * number);
      expectClose(got[name]!.subarray(count), scaled, 1e-14);
    }
  });

  test("multiply, lookup and select move coefficients as they move values", async () => {
    const [R, C] = [4, 3];
    const [x, y, c] = [normals(1)(R * C), normals(2)(R * C), normals(3)(R * C)];
    await run(async ({ floats, integers, empty }) => {
      const out = empty(2 * R, C);
      const both = floats([...c, ...c], 2 * R, C);
      backend.multiplyPullback(out, both, floats(y, R, C), [1, 0.5]);
      const want = Array.from(c, (number, i) => number * y[i]!);
      expectClose(await backend.read(out), [...want, ...want.map((number) => number / 2)], 0);

      const picked = empty(2, C);
      backend.select(picked, floats(x, R, C), integers([3, 1]));
      expect([...(await backend.read(picked))]).toEqual([...x.slice(9, 12), ...x.slice(3, 6)]);
      const back = empty(2 * R, C);
      backend.selectPullback(
        back,
        floats([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 4, C),
        integers([3, 1]),
        2,
      );
      const zeros = [0, 0, 0];
      const first = [zeros, [4, 5, 6], zeros, [1, 2, 3]];
      const second = [zeros, [10, 11, 12], zeros, [7, 8, 9]];
      expect(rows(await backend.read(back), C)).toEqual([...first, ...second]);

      const looked = empty(3, C);
      backend.lookup(looked, floats(x, R, C), integers([2, 0, 2]), floats([1, 0, -2], 3, 1));
      const last = Array.from(x.slice(6, 9));
      expectClose(
        await backend.read(looked),
        [...last, ...zeros, ...last.map((number) => -2 * number)],
        0,
      );

      const sums = empty(2 * R, 1);
      backend.relevance(sums, floats([...c, ...y], 2 * R, C), floats(x, R, C));
      const sum = [...rows(c, C), ...rows(y, C)].map((row, n) => dot(row, rows(x, C)[n % R]!));
      expectClose(await backend.read(sums), sum, 1e-15);
    });
  });

  test("stabilise keeps the sign, and the coefficient where epsilon is 0", async () => {
    await run(async ({ floats, empty }) => {
      const out = empty(2, 5);
      const z = floats([2, -2, 0, 1e-9, -1e-9], 1, 5);
      backend.stabilise(out, floats([1, 1, 1, 1, 1, 3, 3, 3, 3, 3], 2, 5), z, [0.5, 0]);
      const tiny = 1e-9 / (1e-9 + 0.5);
      expectClose(await backend.read(out), [0.8, 0.8, 0, tiny, tiny, 3, 3, 3, 3, 3], 1e-16);
    });
  });
});

describe("strictness", () => {
  test("outputs that overlap inputs, and numbers that nobody wrote", async () => {
    await run(async ({ floats, empty }) => {
      const a = floats([1, 2, 3, 4, 5, 6], 3, 2);
      const [upper, lower] = [backend.view(a, 0, 2), backend.view(a, 1, 2)];
      expect(() => backend.multiply(a, a, empty(3, 2))).toThrow("overlaps");
      expect(() => backend.add(upper, lower, floats([1, 1, 1, 1], 2, 2))).toThrow("overlaps");
      expect(await backend.read(empty(1, 2))).toEqual(Float64Array.of(NaN, NaN));
    });
  });

  test("rows twice, rows of two sequences", async () => {
    await run(async ({ floats, integers, empty }) => {
      const x = floats([1, 2, 3, 4], 2, 2);
      expect(() => backend.selectPullback(empty(2, 2), x, integers([1, 1]), 1)).toThrow("repeated");
      const first = { queryStart: 0, queries: 1, keyStart: 0, keys: 2 };
      const layout = (queryStart: number, keyStart: number) =>
        backend.attentionLayout([first, { ...first, queryStart, keyStart }], new Uint8Array(4), 1);
      expect(() => layout(0, 2)).toThrow("query row 0 is in segments 0 and 1");
      expect(() => layout(1, 1)).toThrow("key row 1 is in segments 0 and 1");
      expect(() => layout(2, 2)).toThrow("no segment has query row 1");
      expect(() => layout(1, 3)).toThrow("segment 1 of 4 key rows");
    });
  });
});
