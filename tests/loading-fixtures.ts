// What the loading tests share: a backend that only records, plans, and the check of an error.
import { expect } from "vitest";
import type { WeightFormat } from "../src/backend/backend.ts";
import { memorySource, type ByteSource } from "../src/loading/byte-source.ts";
import { CheckpointError } from "../src/loading/checkpoint-error.ts";
import type { PlannedWeight } from "../src/loading/plan.ts";
import { loadWeights } from "../src/loading/weights.ts";
import type { Tensor } from "../src/tensor.ts";

export const CONFIG = '{"model_type":"bert"}';
export const SINGLE = "model.safetensors";
export const INDEX = "model.safetensors.index.json";

/** Keeps what is written, and insists that it is written once, in order and inside the tensor. */
export function recorder() {
  return {
    weight: (rows: number, columns: number, format: WeightFormat = "f32"): Tensor => ({
      rows,
      columns,
      storage: {
        values:
          format === "int8"
            ? new Int8Array(rows * columns)
            : new Float32Array(rows * columns).fill(Number.NaN),
        filled: 0,
      },
    }),
    writeScales(tensor: Tensor, at: number, scales: Float32Array) {
      expect([at, scales.length]).toEqual([0, tensor.rows]);
      (tensor.storage as { scales: Float32Array }).scales = scales.slice();
    },
    write(tensor: Tensor, at: number, values: Float32Array | Int8Array) {
      const storage = tensor.storage as { values: Float32Array | Int8Array; filled: number };
      expect(values).toBeInstanceOf(storage.values.constructor);
      expect(at).toBe(storage.filled);
      storage.values.set(values, at);
      storage.filled += values.length;
    },
  };
}

export function scalesOf(tensor: Tensor | undefined): Float32Array {
  return (tensor!.storage as { scales: Float32Array }).scales;
}

export function valuesOf(tensor: Tensor | undefined): Float32Array {
  return (tensor!.storage as { values: Float32Array }).values;
}

/** Weights of a plan under their own names; a vector is planned as (1, n). */
export function planOf(shapes: Readonly<Record<string, readonly number[]>>): PlannedWeight[] {
  return Object.entries(shapes).map(([name, shape]) => {
    const columns = shape.at(-1) ?? 1;
    const rows = shape.reduce((product, size) => product * size, 1) / (columns || 1);
    return { name, tensor: name, rows, columns, shape };
  });
}

export function load(source: ByteSource, plan: readonly PlannedWeight[]) {
  return loadWeights({ source, configText: CONFIG }, plan, recorder());
}

export function loadFile(bytes: Uint8Array, plan: readonly PlannedWeight[]) {
  return load(memorySource("memory", { [SINGLE]: bytes }), plan);
}

/** The error of `loading`, which must be a CheckpointError with this culprit, named in its message too. */
export async function failure(loading: Promise<unknown>, culprit: string): Promise<string> {
  const error = await loading.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as CheckpointError).culprit).toBe(culprit);
  expect((error as CheckpointError).message).toContain(culprit);
  return (error as CheckpointError).message;
}

export function ramp(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i) * 3);
}

export function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}
