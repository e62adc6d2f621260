// What a backend must keep to in storage: shapes, views, memory counted and limited, nothing leaked.
import { expect, test } from "vitest";
import { OutOfMemory } from "../../src/backend/backend.ts";
import { normals, type BackendUnderTest } from "./compare.ts";

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
}
