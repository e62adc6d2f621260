// Storage of the reference backend: blocks of float64 or int32 numbers, counted byte for byte and guarded against
// use after free. It knows no operation.
import type { Tensor } from "../tensor.ts";
import { OutOfMemory, type MemoryUse, type WeightFormat } from "./backend.ts";

interface Block {
  readonly values: Float64Array | Int32Array;
  readonly isWeight: boolean;
  /** Of an int8 weight: what was written. `values` are their exact products. */
  readonly int8?: { readonly integers: Float64Array; readonly scales: Float64Array };
}

/** What `Tensor.storage` holds here: a stretch of a block. */
interface Place {
  readonly block: Block;
  readonly start: number;
  readonly isView: boolean;
}

export type ReferenceStorage = ReturnType<typeof createReferenceStorage>;

export function createReferenceStorage(limitBytes: number) {
  const blocks = new Set<Block>();
  const use = { weights: 0, live: 0, peak: 0, layouts: 0 };
  const total = () => use.weights + use.live + use.layouts;

  function reserve(bytes: number): void {
    if (total() + bytes > limitBytes) throw new OutOfMemory(total() + bytes, limitBytes);
  }

  function place(what: string, tensor: Tensor): Place {
    const found = tensor.storage as Place;
    if (!blocks.has(found.block)) {
      throw new Error(
        `${what}: the tensor was freed, or another backend made it: (${tensor.rows}, ${tensor.columns})`,
      );
    }
    return found;
  }

  function create(
    rows: number,
    columns: number,
    isWeight: boolean,
    integers: boolean,
    format: WeightFormat = "f32",
  ): Tensor {
    if (!(Number.isInteger(rows) && Number.isInteger(columns) && rows >= 0 && columns >= 0)) {
      throw new Error(`tensor: shape is not whole numbers: (${rows}, ${columns})`);
    }
    const size = rows * columns;
    const isInt8 = format === "int8";
    const bytes = size * (integers ? 4 : 8) + (isInt8 ? (size + rows) * 8 : 0);
    reserve(bytes);
    // NaN, so that whoever reads what nobody wrote sees it.
    const blank = (count: number) => new Float64Array(count).fill(NaN);
    const block: Block = {
      values: integers ? new Int32Array(size) : blank(size),
      isWeight,
      ...(isInt8 && { int8: { integers: blank(size), scales: blank(rows) } }),
    };
    blocks.add(block);
    if (isWeight) use.weights += bytes;
    else use.live += bytes;
    use.peak = Math.max(use.peak, use.live);
    return { rows, columns, storage: { block, start: 0, isView: false } satisfies Place };
  }

  function free(tensor: Tensor): void {
    const { block, isView } = place("free", tensor);
    if (isView) throw new Error(`free: a view is not freed: (${tensor.rows}, ${tensor.columns})`);
    if (block.isWeight) {
      throw new Error(`free: a weight stays: (${tensor.rows}, ${tensor.columns})`);
    }
    blocks.delete(block);
    use.live -= block.values.byteLength;
  }

  function view(tensor: Tensor, first: number, count: number): Tensor {
    const { block, start } = place("view", tensor);
    if (!(Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 0)) {
      throw new Error(`view: rows are not whole numbers: ${first}, ${count}`);
    }
    if (first + count > tensor.rows) {
      throw new Error(`view: rows ${first} to ${first + count} of ${tensor.rows}`);
    }
    const inner: Place = { block, start: start + first * tensor.columns, isView: true };
    return { rows: count, columns: tensor.columns, storage: inner };
  }

  /** The numbers of a float tensor or of an int8 weight, shared, to read. */
  function weights(what: string, tensor: Tensor): Float64Array {
    const { block, start } = place(what, tensor);
    if (!(block.values instanceof Float64Array)) throw new Error(`${what}: expected floats`);
    return block.values.subarray(start, start + tensor.rows * tensor.columns);
  }

  /** The same of a tensor that is no int8 weight. */
  function floats(what: string, tensor: Tensor): Float64Array {
    if (isInt8(tensor)) throw new Error(`${what}: expected floats, got an int8 weight`);
    return weights(what, tensor);
  }

  function isInt8(tensor: Tensor): boolean {
    return place("tensor", tensor).block.int8 !== undefined;
  }

  function integers(what: string, tensor: Tensor): Int32Array {
    const { block, start } = place(what, tensor);
    if (!(block.values instanceof Int32Array)) throw new Error(`${what}: expected integers`);
    return block.values.subarray(start, start + tensor.rows * tensor.columns);
  }

  /**
   * The numbers of a temporary tensor, to write. It shares none with `inputs`; one of `inPlace` may be `out` itself,
   * but not overlap it otherwise.
   */
  function output(
    what: string,
    out: Tensor,
    inputs: readonly (Tensor | undefined)[],
    inPlace: readonly (Tensor | undefined)[] = [],
  ): Float64Array {
    const { block, start } = place(what, out);
    if (block.isWeight) throw new Error(`${what}: a weight is written by write only`);
    const end = start + out.rows * out.columns;
    for (const input of [...inputs, ...inPlace]) {
      if (input === undefined) continue;
      const other = place(what, input);
      if (inPlace.includes(input) && other.block === block && other.start === start) continue;
      const otherEnd = other.start + input.rows * input.columns;
      if (other.block === block && other.start < end && start < otherEnd) {
        throw new Error(`${what}: the output overlaps an input`);
      }
    }
    return floats(what, out);
  }

  function write(tensor: Tensor, at: number, values: Float32Array | Int8Array): void {
    const { block, start } = place("write", tensor);
    if (!block.isWeight) throw new Error("write: not a weight");
    const size = tensor.rows * tensor.columns;
    if (!(Number.isInteger(at) && at >= 0 && at + values.length <= size)) {
      throw new Error(`write: elements ${at} to ${at + values.length} of ${size}`);
    }
    if (values instanceof Float32Array) return floats("write", tensor).set(values, at);
    if (block.int8 === undefined) throw new Error("write: not an int8 weight");
    const first = start + at;
    block.int8.integers.set(values, first);
    const { columns } = tensor;
    multiply(block, columns, first / columns, (first + values.length) / columns);
  }

  function writeScales(tensor: Tensor, at: number, scales: Float32Array): void {
    const { block, start } = place("writeScales", tensor);
    if (block.int8 === undefined) throw new Error("writeScales: not an int8 weight");
    if (!(Number.isInteger(at) && at >= 0 && at + scales.length <= tensor.rows)) {
      throw new Error(`writeScales: rows ${at} to ${at + scales.length} of ${tensor.rows}`);
    }
    const first = start / tensor.columns + at;
    block.int8.scales.set(scales, first);
    multiply(block, tensor.columns, first, first + scales.length);
  }

  /** The numbers of the rows from `first` to before `end`, or parts of rows, of an int8 weight: exact in float64. */
  function multiply({ int8, values }: Block, columns: number, first: number, end: number): void {
    if (int8 === undefined) return;
    const last = Math.ceil(end) * columns;
    for (let i = Math.floor(first) * columns; i < last; i++) {
      values[i] = int8.integers[i]! * int8.scales[Math.floor(i / columns)]!;
    }
  }

  function memory(): MemoryUse {
    return { weights: use.weights, live: use.live, peak: use.peak, total: total() };
  }

  return {
    create,
    free,
    view,
    floats,
    weights,
    integers,
    output,
    write,
    writeScales,
    isInt8,
    memory,
    resetPeak: () => void (use.peak = use.live),
    countLayout(bytes: number): void {
      reserve(Math.max(bytes, 0));
      use.layouts += bytes;
    },
  };
}
