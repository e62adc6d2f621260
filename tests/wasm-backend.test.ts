// What only the WASM backend has: its arena, a memory that grows under live tensors, the dry run, the two builds, and
// kernels that write nothing but their output. What every backend must do is in backend-suite.ts.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Arena } from "../src/backend/arena.ts";
import { OutOfMemory } from "../src/backend/backend.ts";
import type { Backend } from "../src/backend/backend.ts";
import {
  chooseKernels,
  createDryBackend,
  createWasmBackend,
  supportsRelaxedSimd,
} from "../src/backend/wasm.ts";
import type { Tensor } from "../src/tensor.ts";

const MEBIBYTE = 2 ** 20;

function readBuild(name: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(readFileSync(new URL(`../build/${name}`, import.meta.url)));
}

const bytes = {
  plain: readBuild("kernels.simd.wasm"),
  relaxed: readBuild("kernels.relaxed-simd.wasm"),
};
const plain = new WebAssembly.Module(bytes.plain);
const { chosen, name } = chooseKernels(bytes);
const best = new WebAssembly.Module(chosen);

describe("arena", () => {
  test("starts every block on a cache line and counts what is live", () => {
    const arena = new Arena({ start: 100 });
    expect([arena.allocate(1), arena.allocate(65), arena.allocate(0)]).toEqual([128, 192, 320]);
    expect([arena.live, arena.peak, arena.end]).toEqual([256, 256, 384]);
  });

  test("gives the first gap that fits, and the rest of it next", () => {
    const arena = new Arena();
    const [first, , third] = [200, 64, 100, 64].map((size) => arena.allocate(size));
    arena.free(first!);
    arena.free(third!);
    expect(arena.allocate(128)).toBe(first);
    expect(arena.allocate(128)).toBe(first! + 128);
    expect(arena.allocate(128)).toBe(third);
  });

  test.each([
    ["first, second, third", [0, 1, 2]],
    ["first, third, second", [0, 2, 1]],
    ["third, second, first", [2, 1, 0]],
    ["second, first, third", [1, 0, 2]],
  ])("joins neighbours freed in the order %s", (_order, order) => {
    const arena = new Arena();
    const blocks = [64, 128, 64, 64].map((size) => arena.allocate(size));
    for (const index of order) arena.free(blocks[index]!);
    expect(arena.allocate(256)).toBe(0);
    expect(arena.end).toBe(320);
  });

  test("takes the end back when the last blocks go", () => {
    const arena = new Arena();
    const [first, second] = [arena.allocate(64), arena.allocate(64)];
    arena.free(first);
    expect(arena.end).toBe(128);
    arena.free(second);
    expect(arena.end).toBe(0);
  });

  test("refuses to free what is not a block, or no longer one", () => {
    const arena = new Arena();
    const [block, reserved] = [arena.allocate(128), arena.reserve(64)];
    expect(() => arena.free(block + 64)).toThrow("arena: no block at address 64");
    arena.free(block);
    expect(() => arena.free(block)).toThrow("arena: no block at address 0");
    expect(() => arena.free(reserved)).toThrow("arena: no block at address 128");
    expect([arena.live, arena.reserved]).toEqual([0, 64]);
  });

  test("keeps the peak until it is reset", () => {
    const arena = new Arena();
    arena.free(arena.allocate(640));
    arena.allocate(64);
    expect(arena.peak).toBe(640);
    arena.resetPeak();
    expect(arena.peak).toBe(64);
  });

  test("changes nothing when the limit, or its owner, refuses", () => {
    const refusal = new Error("no more");
    const grow = (end: number) => {
      if (end > 512) throw refusal;
    };
    const arena = new Arena({ limit: 1024, grow });
    arena.allocate(256);
    const limited = expect(() => arena.allocate(1000));
    limited.toThrow(OutOfMemory);
    limited.toThrow("memory: 1280 bytes needed, 1024 allowed");
    expect(() => arena.reserve(512)).toThrow(refusal);
    expect([arena.live, arena.reserved, arena.peak, arena.end]).toEqual([256, 0, 256, 256]);
    expect(arena.allocate(256)).toBe(256);
  });

  test("never gives the same address twice, and has it all back in the end", () => {
    const steps = fc.array(fc.record({ size: fc.nat(500), free: fc.option(fc.nat()) }));
    fc.assert(
      fc.property(steps, (list) => {
        const arena = new Arena();
        const live: { start: number; size: number }[] = [];
        for (const { size, free } of list) {
          const start = arena.allocate(size);
          for (const other of live) {
            expect(start >= other.start + other.size || start + size <= other.start).toBe(true);
          }
          live.push({ start, size });
          if (free !== null) arena.free(live.splice(free % live.length, 1)[0]!.start);
          expect(arena.end).toBeGreaterThanOrEqual(arena.live);
        }
        for (const { start } of live) arena.free(start);
        expect([arena.live, arena.end]).toEqual([0, 0]);
      }),
    );
  });
});

describe("memory", () => {
  test("grows under live tensors, which keep their numbers", async () => {
    const backend = createWasmBackend(plain);
    const tensor = backend.floats([1, 2, 3, 4], 2, 2);
    const weight = backend.weight(1, 2);
    backend.write(weight, 0, Float32Array.of(5, 6));
    const before = backend.memory().total;
    const large = backend.allocate(1024, 4096);
    expect(backend.memory().total).toBeGreaterThan(before);
    backend.add(large, large, large);
    expect([...(await backend.read(tensor))]).toEqual([1, 2, 3, 4]);
    expect([...(await backend.read(weight))]).toEqual([5, 6]);
    expect(backend.memory().total % 65_536).toBe(0);
  });

  test("counts scratch, weights and temporaries against the limit", () => {
    const limitBytes = 4 * MEBIBYTE + 1000;
    const backend = createWasmBackend(plain, { limitBytes });
    backend.weight(512, 512);
    const tensors: Tensor[] = [];
    const fill = () => {
      for (;;) tensors.push(backend.allocate(64, 64));
    };
    expect(fill).toThrow(`${4 * MEBIBYTE} allowed`);
    const { weights, live, total } = backend.memory();
    expect(total).toBe(4 * MEBIBYTE);
    expect(weights).toBe(MEBIBYTE);
    expect(live).toBe(tensors.length * 64 * 64 * 4);
    expect(total - weights - live).toBeLessThan(MEBIBYTE);
    for (const tensor of tensors) backend.free(tensor);
    expect(backend.memory().live).toBe(0);
  });

  test("refuses tensors that are freed, foreign, views or weights", () => {
    const backend = createWasmBackend(plain);
    const [freed, kept] = [backend.allocate(2, 2), backend.allocate(2, 2)];
    const early = backend.view(freed, 0, 2);
    backend.free(freed);
    expect(() => backend.free(freed)).toThrow("tensor: freed before use");
    expect(() => backend.add(kept, kept, freed)).toThrow("tensor: freed before use");
    expect(() => backend.add(kept, kept, early)).toThrow("tensor: freed before use");
    expect(() => backend.free(backend.view(kept, 0, 2))).toThrow("free: a view stays");
    expect(() => backend.free(backend.weight(2, 2))).toThrow("free: a weight stays");
    const foreign = createWasmBackend(plain).allocate(2, 2);
    expect(() => backend.add(kept, kept, foreign)).toThrow("tensor: made by another backend");
  });

  test("a dry run needs what the real one takes, to the byte", async () => {
    const real = createWasmBackend(plain);
    const dry = createDryBackend();
    const [wanted, told] = [await attend(real), await attend(dry)];
    expect(dry.memory().peak).toBe(real.memory().peak);
    expect(dry.memory().weights).toBe(real.memory().weights);
    expect(dry.memory().total).toBeLessThanOrEqual(real.memory().total);
    expect(wanted.some((number) => number !== 0)).toBe(true);
    expect(told).toEqual(new Float32Array(wanted.length));

    // What the dry run says is needed is enough, and a page less is not.
    const limitBytes = dry.memory().total;
    expect(await attend(createWasmBackend(plain, { limitBytes }))).toEqual(wanted);
    const narrow = createWasmBackend(plain, { limitBytes: limitBytes - 65_536 });
    await expect(attend(narrow)).rejects.toThrow(OutOfMemory);
    const narrowDry = createDryBackend({ limitBytes: limitBytes - 65_536 });
    await expect(attend(narrowDry)).rejects.toThrow(OutOfMemory);
  });
});

/** Attention forward and backward over two sequences: weights, temporaries and the backend's own scratch. */
async function attend(backend: Backend): Promise<Float32Array | Float64Array> {
  const C = 24;
  const rows = 90;
  const values = Float32Array.from({ length: rows * C }, (_, i) => Math.sin(i));
  const weight = backend.weight(C, C);
  backend.write(weight, 0, values.slice(0, C * C));
  const x = backend.floats(values, rows, C);
  const [q, out, query, key, value] = Array.from({ length: 5 }, () => backend.allocate(rows, C));
  backend.matmul(q!, x, weight, { transposeB: true });
  const segments = [0, 50].map((start, b) => {
    const count = b === 0 ? 50 : 40;
    return { queryStart: start, queries: count, keyStart: start, keys: count };
  });
  const layout = backend.attentionLayout(segments, new Uint8Array(rows), 2);
  const shape = { layout, heads: 2, scale: 0.3 };
  const probabilities = backend.allocate(1, layout.probabilityCount);
  backend.attention(out!, probabilities, q!, x, x, shape);
  const shares = [{ weights: 1, values: 1, query: 1, key: 1 }];
  const coefficients = { query: query!, key: key!, value: value! };
  backend.attentionPullback(coefficients, out!, q!, x, x, probabilities, shares, shape);
  const result = await backend.read(query!);
  backend.freeLayout(layout);
  for (const tensor of [x, q!, out!, query!, key!, value!, probabilities]) backend.free(tensor);
  expect(backend.memory().live).toBe(0);
  return result;
}

describe("builds", () => {
  test("take the memory from outside, and nothing else", () => {
    for (const module of [plain, best]) {
      expect(WebAssembly.Module.imports(module)).toEqual([
        { module: "env", name: "memory", kind: "memory" },
      ]);
    }
  });

  test("give int8 weights the same bits, from a quarter of the memory", async () => {
    const products = [plain, best].map(async (module) => {
      const backend = createWasmBackend(module);
      const weight = backend.weight(300, 700, "int8");
      expect(backend.memory().weights).toBeLessThan(1.01 * 300 * 700);
      const integers = Int8Array.from({ length: 300 * 700 }, (_, i) => (i * 7919) % 256);
      backend.write(weight, 0, integers);
      const numbers = Float32Array.from({ length: 9 * 700 }, (_, i) => Math.sin(i));
      backend.writeScales(weight, 0, numbers.slice(1, 301));
      const out = backend.allocate(9, 300);
      backend.matmul(out, backend.floats(numbers, 9, 700), weight, { transposeB: true });
      const back = backend.allocate(9, 700);
      backend.matmul(back, out, weight, { start: backend.floats(numbers, 9, 700), scale: 0.3 });
      return [await backend.read(out), await backend.read(back)];
    });
    const [first, second] = await Promise.all(products);
    expect(first).toEqual(second);
  });

  test("are chosen by what the engine takes", () => {
    expect(WebAssembly.validate(bytes.plain)).toBe(true);
    expect(WebAssembly.validate(bytes.relaxed)).toBe(supportsRelaxedSimd());
    const builds = { relaxed: 1, plain: 2 };
    expect(chooseKernels(builds, true)).toEqual({ chosen: 1, name: "wasm-relaxed-simd" });
    expect(chooseKernels(builds, false)).toEqual({ chosen: 2, name: "wasm-simd" });
    expect(chooseKernels(builds)).toEqual(chooseKernels(builds, supportsRelaxedSimd()));
  });
});

describe.each([
  ["wasm-simd", plain],
  [name, best],
])("kernels of %s", (_name, module) => {
  const MARK = 77;

  // (R, C) between two marked rows of one tensor: what a kernel writes past either end shows.
  function fenced(backend: Backend, R: number, C: number): { out: Tensor; fence: Tensor } {
    const fence = backend.floats(new Float32Array((R + 2) * C).fill(MARK), R + 2, C);
    return { out: backend.view(fence, 1, R), fence };
  }

  async function expectOnlyInside(backend: Backend, fence: Tensor): Promise<void> {
    const numbers = [...(await backend.read(fence))];
    const C = fence.columns;
    expect(numbers.slice(0, C)).toEqual(Array<number>(C).fill(MARK));
    expect(numbers.slice(-C)).toEqual(Array<number>(C).fill(MARK));
    expect(numbers.slice(C, -C)).not.toContain(MARK);
  }

  test.each([1, 2, 3, 5, 6, 7, 12, 13])("write their %i columns only", async (C) => {
    const backend = createWasmBackend(module);
    const R = 7;
    const random = (rows: number) =>
      backend.floats(
        Float32Array.from({ length: rows * C }, (_, i) => Math.cos(i + rows)),
        rows,
        C,
      );
    const [a, b, square, row] = [random(R), random(R), random(C), random(1)];
    const index = backend.integers([3, 1, 0, 6, 5, 4, 2]);
    const statistics = fenced(backend, R, 2);
    const options = { centred: true, epsilon: 1e-5 };
    const segments = [{ queryStart: 0, queries: R, keyStart: 0, keys: R }];
    const layout = backend.attentionLayout(segments, new Uint8Array(R), 1);
    const shape = { layout, heads: 1, scale: 1 };
    const kept = fenced(backend, 1, layout.probabilityCount);
    const share = { weights: 1, values: 1, query: 1, key: 1 };
    const writers: ((out: Tensor) => void)[] = [
      (out) => backend.matmul(out, a, square, { transposeB: true, bias: row }),
      (out) => backend.matmul(out, a, square, { start: b }),
      (out) => backend.add(out, a, b),
      (out) => backend.multiply(out, a, b),
      (out) => backend.multiplyPullback(out, a, b, [0.5]),
      (out) => backend.lookup(out, a, index),
      (out) => backend.select(out, a, index),
      (out) => backend.selectPullback(out, a, index, 1),
      (out) => backend.stabilise(out, a, b, [0.1]),
      (out) => backend.norm(out, statistics.out, a, row, row, options),
      (out) => backend.normPullback(out, a, b, row, statistics.out, [1], options),
      (out) => backend.activate(out, a, "gelu"),
      (out) => backend.activatePullback(out, a, b, "silu", ["derivative"]),
      (out) => backend.attention(out, undefined, a, b, a, shape),
      (out) => backend.attention(out, kept.out, a, b, a, shape),
    ];
    for (const write of writers) {
      const { out, fence } = fenced(backend, R, C);
      write(out);
      await expectOnlyInside(backend, fence);
    }
    const [query, key, value] = Array.from({ length: 3 }, () => fenced(backend, R, C));
    const coefficients = { query: query!.out, key: key!.out, value: value!.out };
    backend.attentionPullback(coefficients, a, a, b, a, kept.out, [share], shape);
    const sums = fenced(backend, R, 1);
    backend.relevance(sums.out, a, b);
    for (const { fence } of [statistics, kept, query!, key!, value!, sums]) {
      await expectOnlyInside(backend, fence);
    }
  });

  test("stop at the first id outside the table", () => {
    const backend = createWasmBackend(module);
    const [table, out] = [backend.allocate(3, 4), backend.allocate(2, 4)];
    const [high, low] = [backend.integers([2, 3]), backend.integers([-1, 0])];
    expect(() => backend.lookup(out, table, high)).toThrow(
      "lookup: id outside the table of 3 rows at position 1",
    );
    expect(() => backend.select(out, table, low)).toThrow(
      "select: index outside 3 rows at position 0",
    );
    expect(() => backend.selectPullback(table, out, high, 1)).toThrow(
      "selectPullback: index outside 3 rows at position 1",
    );
  });
});
