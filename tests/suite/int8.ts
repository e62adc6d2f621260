// Int8 weights of one backend: products in both directions and lookups against the oracle, which holds the exact product of
// the quantised numbers; storage; and that a row has the same bits in any batch.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import type { Tensor } from "../../src/tensor.ts";
import {
  expectSameBits,
  normals,
  withScratch,
  type BackendUnderTest,
  type Judge,
} from "./compare.ts";
import { rowCounts } from "./linear.ts";

/** Activations are rounded to 16 bits of the largest of their row and block: at most this part of the largest result. */
const tolerance = 2e-4;

// (N, K) of a weight: odd ones, several blocks along K, and what BERT has.
const shapes = [
  [1, 1],
  [3, 12],
  [12, 3],
  [7, 5],
  [1, 31],
  [48, 100],
  [100, 48],
  [256, 13],
  [5, 257],
  [33, 520],
  [72, 1025],
] as const;

/** (rows, columns) of int8 numbers over their whole range, -128 too, and scales of different size. */
function int8Weight(backend: Backend, rows: number, columns: number, seed = 1): Tensor {
  const weight = backend.weight(rows, columns, "int8");
  const count = rows * columns;
  const integers = Int8Array.from(normals(seed)(count), (value, i) =>
    i % 97 === 5 ? -128 : Math.max(-127, Math.min(127, Math.round(40 * value))),
  );
  const scales = Float32Array.from(normals(seed + 1)(rows), (value) => 0.001 * Math.exp(value));
  // Piece by piece, and scales before the last of them, as a stream would bring them.
  for (let at = 0; at < count; at += 1000) {
    if (at + 1000 >= count) backend.writeScales(weight, 0, scales.slice(0, 2));
    backend.write(weight, at, integers.slice(at, at + 1000));
  }
  if (rows > 2) backend.writeScales(weight, 2, scales.slice(2));
  return weight;
}

export function int8Tests({ compare }: Judge): void {
  describe.each(shapes)("int8 weight (%i, %i)", (N, K) => {
    test.each(["forward", "backward"] as const)("%s", async (direction) => {
      const transposeB = direction === "forward";
      const [inner, width] = transposeB ? [K, N] : [N, K];
      const weights = new Map<Backend, Tensor>();
      for (const [m, M] of rowCounts.entries()) {
        const epilogue = ["plain", "bias", "start", "start in place", "scale"][(m + N) % 5]!;
        await compare(
          `int8 matmul ${direction}`,
          `M ${M}, weight (${N}, ${K}), ${epilogue}`,
          async ({ backend, floats, empty }) => {
            const weight = weights.get(backend) ?? int8Weight(backend, N, K);
            weights.set(backend, weight);
            const a = floats(normals(3)(M * inner), M, inner);
            const numbers = normals(4)(M * width, 0.1);
            const inPlace = epilogue === "start in place";
            const out = inPlace ? floats(numbers, M, width) : empty(M, width);
            backend.matmul(out, a, weight, {
              transposeB,
              ...(epilogue === "bias" && { bias: floats(normals(5)(width, 0.1), 1, width) }),
              ...(epilogue === "start" && { start: floats(numbers, M, width) }),
              ...(inPlace && { start: out }),
              ...(epilogue === "scale" && { scale: -0.375 }),
            });
            return { out: await backend.read(out) };
          },
          tolerance,
        );
      }
    });
  });

  test("an int8 weight takes many rows, and views", async () => {
    const [M, N, K] = [523, 9, 40];
    await compare(
      "int8 matmul forward",
      "views",
      async ({ backend, floats, empty }) => {
        const weight = int8Weight(backend, 3 * N, K);
        const part = backend.view(backend.view(weight, 4, 2 * N), 1, N);
        const [out, back] = [empty(M, N), empty(M, K)];
        backend.matmul(out, floats(normals(3)(M * K), M, K), part, { transposeB: true });
        backend.matmul(back, floats(normals(4)(M * N), M, N), part);
        const read = await backend.read(part);
        return { out: await backend.read(out), back: await backend.read(back), read };
      },
      tolerance,
    );
  });

  test.each([
    [1, 1],
    [5, 7],
    [9, 16],
    [30, 100],
  ])("lookup in an int8 table (%i, %i)", async (rows, C) => {
    await compare(
      "int8 lookup",
      `(${rows}, ${C})`,
      async ({ backend, floats, integers, empty }) => {
        const table = int8Weight(backend, rows, C);
        const ids = integers([rows - 1, 0, rows >> 1, 0]);
        const [plain, scaled] = [empty(4, C), empty(4, C)];
        backend.lookup(plain, table, ids);
        backend.lookup(scaled, table, ids, floats([0, 1, 0.5, -3], 4, 1));
        return { plain: await backend.read(plain), scaled: await backend.read(scaled) };
      },
      3e-7,
    );
  });

  test.each([511, 512, 1024])("no sum overflows: every weight -128, K = %i", async (K) => {
    await compare(
      "int8 largest sums",
      `K ${K}`,
      async ({ backend, floats, empty }) => {
        const weight = backend.weight(K, K, "int8");
        for (let n = 0; n < K; n++) backend.write(weight, n * K, new Int8Array(K).fill(-128));
        backend.writeScales(weight, 0, new Float32Array(K).fill(0.01));
        const a = floats(new Float32Array(K).fill(-3), 1, K);
        const [out, back] = [empty(1, K), empty(1, K)];
        backend.matmul(out, a, weight, { transposeB: true });
        backend.matmul(back, a, weight);
        return { out: await backend.read(out), back: await backend.read(back) };
      },
      1e-6,
    );
  });

  test("rows of zeros, of one number, tiny and huge", async () => {
    const [N, K] = [6, 20];
    const rows = [
      () => 0,
      (k: number) => (k === 7 ? -3 : 0),
      (k: number) => (k - 9) * 1e-20,
      (k: number) => (k - 9) * 1e20,
      (k: number) => (k % 2 ? 1e10 : 1),
    ];
    for (const [r, row] of rows.entries()) {
      await compare(
        "int8 odd rows",
        `row ${r}`,
        async ({ backend, floats, empty }) => {
          const weight = int8Weight(backend, N, K);
          const [out, back] = [empty(1, N), empty(1, K)];
          backend.matmul(
            out,
            floats(
              Array.from({ length: K }, (_, k) => row(k)),
              1,
              K,
            ),
            weight,
            {
              transposeB: true,
            },
          );
          backend.matmul(
            back,
            floats(
              Array.from({ length: N }, (_, k) => row(k)),
              1,
              N,
            ),
            weight,
          );
          return { out: await backend.read(out), back: await backend.read(back) };
        },
        tolerance,
      );
    }
  });
}

export function int8StorageTests(make: BackendUnderTest["make"]): void {
  test("int8 weight reads back as scale times integer", async () => {
    const backend = await make();
    const weight = backend.weight(2, 3, "int8");
    backend.write(weight, 0, Int8Array.of(1, -2, 127, 0));
    backend.writeScales(weight, 0, Float32Array.of(0.5, 0.25));
    backend.write(weight, 4, Int8Array.of(-128, 8));
    expect([...(await backend.read(weight))]).toEqual([0.5, -1, 63.5, 0, -32, 2]);
  });

  test("int8 and float weights are not mixed up", async () => {
    const backend = await make();
    const [int8, float] = [backend.weight(2, 2, "int8"), backend.weight(2, 2)];
    const out = backend.allocate(2, 2);
    const x = backend.floats([1, 2, 3, 4], 2, 2);
    expect(() => backend.write(float, 0, Int8Array.of(1))).toThrow();
    expect(() => backend.write(int8, 0, Float32Array.of(1))).toThrow();
    expect(() => backend.writeScales(float, 0, Float32Array.of(1))).toThrow();
    expect(() => backend.writeScales(int8, 1, Float32Array.of(1, 2))).toThrow();
    expect(() => backend.write(int8, 3, Int8Array.of(1, 2))).toThrow();
    expect(() => backend.add(out, x, int8)).toThrow("int8");
    expect(() => backend.matmul(out, int8, x)).toThrow("int8");
    expect(() => backend.matmul(out, x, int8, { transposeA: true })).toThrow("transposed");
    expect(() => backend.lookup(out, int8, backend.integers([0, 2]))).toThrow();
    expect(() => backend.free(int8)).toThrow();
  });

  test("a tiny row keeps nothing or something, and never a NaN", async () => {
    const backend = await make();
    const weight = int8Weight(backend, 4, 8);
    const out = backend.allocate(3, 4);
    const rows = [1e-44, 1e-38, 1e-33].flatMap((value) => Array.from({ length: 8 }, () => value));
    backend.matmul(out, backend.floats(rows, 3, 8), weight, { transposeB: true });
    expect((await backend.read(out)).every((number) => Math.abs(number) < 1e-30)).toBe(true);
  });

  test("a row that is not finite says so, and its neighbours are as they were", async () => {
    const backend = await make();
    const weight = int8Weight(backend, 4, 8);
    const rows = normals(7)(3 * 8);
    const product = async (values: Float32Array) => {
      const out = backend.allocate(3, 4);
      backend.matmul(out, backend.floats(values, 3, 8), weight, { transposeB: true });
      return backend.read(out);
    };
    const want = await product(rows);
    for (const value of [NaN, Infinity, -Infinity]) {
      const spoilt = rows.with(8 + 5, value);
      const got = await product(spoilt);
      expectSameBits(got.slice(0, 4), want.slice(0, 4), `before ${value}`);
      expectSameBits(got.slice(8), want.slice(8), `behind ${value}`);
      expect(got.slice(4, 8).some(Number.isFinite), String(value)).toBe(false);
    }
  });
}

export function int8BitTests(make: BackendUnderTest["make"]): void {
  test.each([
    [48, 100],
    [7, 1030],
    [5, 7],
    [2, 48],
  ])("a row's product with an int8 weight (%i, %i)", async (N, K) => {
    const backend = await make();
    const weight = int8Weight(backend, N, K);
    const all = 64;
    for (const transposeB of [true, false]) {
      const [inner, width] = transposeB ? [K, N] : [N, K];
      const numbers = normals(3)(all * inner);
      const run = (first: number, count: number) =>
        withScratch(backend, async ({ floats, empty }) => {
          const part = numbers.slice(first * inner, (first + count) * inner);
          const out = empty(count, width);
          backend.matmul(out, floats(part, count, inner), weight, { transposeB });
          return backend.read(out);
        });
      const whole = await run(0, all);
      for (const count of [1, 2, 3, 6, 7, 11, 12, 64]) {
        for (const first of new Set([0, 5, all - count])) {
          if (first + count > all) continue;
          const want = whole.subarray(first * width, (first + count) * width);
          const where = `${count} rows from ${first}, transposeB ${transposeB}`;
          expectSameBits(await run(first, count), want, where);
        }
      }
    }
  });
}
