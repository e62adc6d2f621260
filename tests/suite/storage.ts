// What a backend must keep to in storage: shapes, views, memory counted and limited, nothing leaked.
import { expect, test } from "vitest";
import { OutOfMemory } from "../../src/backend/backend.ts";
import { normals, type BackendUnderTest } from "./compare.ts";
import { activationNames } from "./rows.ts";

export function storageTests(make: BackendUnderTest["make"], name: string): void {
  test("is called by its name", async () => {
    expect((await make()).name).toBe(name);
  });

  test("reads what was given, through views too", async () => {
    const backend = await make();
    const values = normals(1)(30);
    const tensor = backend.floats(values, 6, 5);
    expect([...(await backend.read(tensor))]).toEqual([...values]);
    const inner = backend.view(backend.view(tensor, 1, 4), 2, 1);
    expect([inner.rows, inner.columns]).toEqual([1, 5]);
    expect([...(await backend.read(inner))]).toEqual([...values.subarray(15, 20)]);
  });

  test("gives copies that later operations do not change", async () => {
    const backend = await make();
    const values = Float32Array.of(1, 2, 3, 4);
    const tensor = backend.floats(values, 2, 2);
    values.fill(9);
    const read = await backend.read(tensor);
    backend.add(tensor, tensor, tensor);
    expect([...read]).toEqual([1, 2, 3, 4]);
  });

  test("fills a weight piece by piece, and keeps it", async () => {
    const backend = await make();
    const values = normals(2)(7 * 9);
    const weight = backend.weight(7, 9);
    for (let at = 0; at < values.length; at += 10)
      backend.write(weight, at, values.slice(at, at + 10));
    const weights = backend.memory().weights;
    expect(weights).toBeGreaterThanOrEqual(4 * values.length);
    for (let i = 0; i < 20; i++) backend.free(backend.floats(normals(i)(1000), 10, 100));
    expect([...(await backend.read(weight))]).toEqual([...values]);
    expect(backend.memory().weights).toBe(weights);
  });

  test("counts live and peak bytes", async () => {
    const backend = await make();
    expect(backend.memory().live).toBe(0);
    const [first, second] = [backend.allocate(100, 10), backend.allocate(50, 10)];
    const both = backend.memory();
    expect(both.live).toBeGreaterThanOrEqual(4 * 1500);
    expect(both.peak).toBe(both.live);
    expect(both.total).toBeGreaterThanOrEqual(both.live + both.weights);
    backend.free(first);
    expect(backend.memory().live).toBeLessThan(both.live);
    backend.free(backend.allocate(1, 10));
    expect(backend.memory().peak).toBe(both.peak);
    backend.resetPeak();
    expect(backend.memory().peak).toBe(backend.memory().live);
    backend.free(second);
    expect(backend.memory().live).toBe(0);
  });

  test("uses freed memory again", async () => {
    const backend = await make();
    for (let i = 0; i < 4; i++) backend.free(backend.allocate(300, 300));
    const { total } = backend.memory();
    for (let i = 0; i < 50; i++) {
      const tensors = [
        backend.allocate(100, 300),
        backend.allocate(90, 300),
        backend.allocate(60, 300),
      ];
      for (const tensor of i % 2 ? tensors : tensors.toReversed()) backend.free(tensor);
    }
    expect(backend.memory().total).toBe(total);
  });

  test("throws OutOfMemory past its limit, and changes nothing", async () => {
    const limitBytes = 4 * 2 ** 20;
    const backend = await make({ limitBytes });
    const kept = backend.floats([1, 2, 3], 1, 3);
    const before = backend.memory();
    for (const attempt of [() => backend.allocate(1024, 2048), () => backend.weight(1024, 2048)]) {
      expect(attempt).toThrow(OutOfMemory);
      expect(backend.memory()).toEqual(before);
    }
    expect([...(await backend.read(kept))]).toEqual([1, 2, 3]);
    const tensor = backend.allocate(64, 64);
    expect(backend.memory().total).toBeLessThanOrEqual(limitBytes);
    backend.free(tensor);
  });

  test("takes only shapes that fit", async () => {
    const backend = await make();
    const [a, b] = [backend.floats(normals(1)(12), 3, 4), backend.floats(normals(2)(12), 4, 3)];
    const out = backend.allocate(3, 4);
    expect(() => backend.add(out, a, b)).toThrow(/\(3, 4\), got \(4, 3\)/);
    expect(() => backend.matmul(out, a, a)).toThrow(/expected shape/);
    expect(() => backend.matmul(out, a, b)).toThrow(/expected shape/);
    expect(() => backend.floats([1, 2, 3], 2, 2)).toThrow();
    expect(() => backend.view(a, 2, 2)).toThrow();
  });

  test("refuses what was freed", async () => {
    const backend = await make();
    const tensor = backend.floats([1, 2, 3, 4], 2, 2);
    const view = backend.view(tensor, 0, 1);
    expect(() => backend.free(view)).toThrow();
    backend.free(tensor);
    const other = backend.floats([5, 6, 7, 8], 2, 2);
    expect(() => backend.free(tensor)).toThrow();
    expect(() => backend.add(other, other, tensor)).toThrow();
    expect(() => backend.view(view, 0, 1)).toThrow();
    await expect(backend.read(tensor)).rejects.toThrow();
    expect(() => backend.free(backend.weight(2, 2))).toThrow();
    expect([...(await backend.read(other))]).toEqual([5, 6, 7, 8]);
  });

  test("copies the hidden keys of a layout", async () => {
    const backend = await make();
    const hidden = Uint8Array.of(0, 1);
    const layout = backend.attentionLayout(
      [{ queryStart: 0, queries: 1, keyStart: 0, keys: 2 }],
      hidden,
      1,
    );
    hidden.fill(0);
    const [q, two, out] = [
      backend.floats([1], 1, 1),
      backend.floats([1, 2], 2, 1),
      backend.allocate(1, 1),
    ];
    backend.attention(out, undefined, q, two, two, { layout, heads: 1, scale: 1 });
    expect([...(await backend.read(out))]).toEqual([1]);
  });

  test("refuses a layout that was freed", async () => {
    const backend = await make();
    const segments = [{ queryStart: 0, queries: 1, keyStart: 0, keys: 1 }];
    const layout = backend.attentionLayout(segments, new Uint8Array(1), 1);
    backend.freeLayout(layout);
    const x = backend.floats([1, 2], 1, 2);
    const out = backend.allocate(1, 2);
    const { live } = backend.memory();
    expect(() => backend.freeLayout(layout)).toThrow();
    expect(backend.memory().live).toBe(live);
    const shape = { layout, heads: 1, scale: 1 };
    expect(() => backend.attention(out, undefined, x, x, x, shape)).toThrow();
  });

  test("refuses rows that are not there", async () => {
    const backend = await make();
    const [x, out] = [backend.floats([1, 2, 3, 4], 2, 2), backend.allocate(2, 2)];
    for (const row of [-1, 2]) {
      const index = backend.integers([0, row]);
      expect(() => backend.lookup(out, x, index)).toThrow();
      expect(() => backend.select(out, x, index)).toThrow();
      expect(() => backend.selectPullback(out, x, index, 1)).toThrow();
    }
    const segments = [{ queryStart: 0, queries: 2, keyStart: 0, keys: 2 }];
    expect(() => backend.attentionLayout(segments, new Uint8Array(1), 1)).toThrow();
    const layout = backend.attentionLayout(segments, new Uint8Array(2), 1);
    const short = backend.view(x, 0, 1);
    const shape = { layout, heads: 1, scale: 1 };
    expect(() => backend.attention(short, undefined, short, x, x, shape)).toThrow();
    expect(() => backend.attention(out, undefined, x, short, short, shape)).toThrow();
    expect(() => backend.attention(out, undefined, x, x, x, { ...shape, heads: 2 })).toThrow();
  });

  test("does not hide what is not a number, and knows infinity", async () => {
    const backend = await make();
    const [x, ones] = [
      backend.floats([NaN, 1, 2, Infinity], 1, 4),
      backend.floats([1, 1, 1, 1], 1, 4),
    ];
    const out = backend.allocate(1, 4);
    for (const activation of activationNames) {
      backend.activate(out, x, activation);
      const [first, second, , last] = await backend.read(out);
      expect([first, last], activation).toEqual([NaN, activation === "tanh" ? 1 : Infinity]);
      expect(second, activation).toBeGreaterThan(0);
    }
    const one = backend.allocate(1, 1);
    backend.matmul(one, x, ones, { transposeB: true });
    expect([...(await backend.read(one))]).toEqual([NaN]);
    const nan = backend.floats([1, NaN, 2, 3], 1, 4);
    const options = { centred: true, epsilon: 1e-5 };
    backend.norm(out, backend.allocate(1, 2), nan, ones, undefined, options);
    expect([...(await backend.read(out))]).toEqual([NaN, NaN, NaN, NaN]);
    const segments = [{ queryStart: 0, queries: 1, keyStart: 0, keys: 2 }];
    const layout = backend.attentionLayout(segments, new Uint8Array(2), 1);
    const two = backend.floats([1, 2, 3, 4, 5, 6, 7, 8], 2, 4);
    backend.attention(out, undefined, nan, two, two, { layout, heads: 1, scale: 1 });
    expect([...(await backend.read(out))]).toEqual([NaN, NaN, NaN, NaN]);
  });
}
