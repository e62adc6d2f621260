// Tensors as addresses in one growing memory: the half of the WASM backend that hands memory out and moves numbers
// between host and kernels. It knows no operation.
import { Arena } from "./arena.ts";
import type { MemoryUse, WeightFormat } from "./backend.ts";
import { GEMM_SCRATCH_BYTES } from "./kernels.ts";
import type { Address } from "./kernels.ts";
import { FIRST_ADDRESS } from "./machine.ts";
import type { Machine } from "./machine.ts";
import type { Tensor } from "../tensor.ts";

/** Where a tensor lies. Views share the block of their tensor. */
interface Place {
  readonly address: Address;
  readonly block: Block;
  readonly isView: boolean;
  /** Where the scales of an int8 weight's rows lie; undefined for everything else. */
  readonly scales?: Address;
}

/** Addresses of an int8 weight. */
export interface Int8Weight {
  readonly values: Address;
  readonly scales: Address;
}

interface Block {
  readonly arena: Arena;
  readonly isWeight: boolean;
  live: boolean;
}

export class WasmStorage {
  readonly machine: Machine;
  /** What every product needs, reserved once. */
  readonly gemmScratch: Address;
  readonly #arena: Arena;
  #weightBytes = 0;

  constructor(machine: Machine) {
    this.machine = machine;
    const { limit, grow } = machine;
    this.#arena = new Arena({ start: FIRST_ADDRESS, limit, grow });
    this.gemmScratch = this.#arena.reserve(GEMM_SCRATCH_BYTES);
  }

  allocate(rows: number, columns: number): Tensor {
    return this.#tensor(this.#arena.allocate(rows * columns * 4), false, rows, columns);
  }

  free(tensor: Tensor): void {
    const { address, block, isView } = this.#place(tensor);
    if (isView || block.isWeight) throw new Error(`free: a ${isView ? "view" : "weight"} stays`);
    this.#arena.free(address);
    block.live = false;
  }

  weight(rows: number, columns: number, format: WeightFormat = "f32"): Tensor {
    const size = rows * columns;
    if (format === "f32") return this.#weight(size * 4, rows, columns);
    // Scales behind the bytes, where a float may stand.
    const scalesAt = Math.ceil(size / 4) * 4;
    return this.#weight(scalesAt + rows * 4, rows, columns, scalesAt);
  }

  write(weight: Tensor, at: number, values: Float32Array | Int8Array): void {
    const size = weight.rows * weight.columns;
    if (at < 0 || at + values.length > size) {
      throw new Error(`write: past the end, ${values.length} values at ${at} of ${size}`);
    }
    if (values instanceof Float32Array) {
      this.machine.writeFloats(this.at(weight) + at * 4, values);
    } else {
      this.machine.writeBytes(this.#int8("write", weight).values + at, values);
    }
  }

  writeScales(weight: Tensor, at: number, scales: Float32Array): void {
    if (at < 0 || at + scales.length > weight.rows) {
      throw new Error(`writeScales: ${scales.length} scales at ${at} of ${weight.rows} rows`);
    }
    this.machine.writeFloats(this.#int8("writeScales", weight).scales + at * 4, scales);
  }

  floats(values: ArrayLike<number>, rows: number, columns: number): Tensor {
    if (values.length !== rows * columns) {
      throw new Error(`floats: shape (${rows}, ${columns}) does not hold ${values.length} values`);
    }
    const tensor = this.allocate(rows, columns);
    this.machine.writeFloats(this.at(tensor), values);
    return tensor;
  }

  integers(values: ArrayLike<number>): Tensor {
    const tensor = this.allocate(1, values.length);
    this.machine.writeIntegers(this.at(tensor), values);
    return tensor;
  }

  view(tensor: Tensor, first: number, count: number): Tensor {
    if (first < 0 || count < 0 || first + count > tensor.rows) {
      throw new Error(`view: ${tensor.rows} rows do not hold ${count} from ${first} on`);
    }
    const { address, block, scales } = this.#place(tensor);
    const before = first * tensor.columns;
    const storage: Place =
      scales === undefined
        ? { address: address + before * 4, block, isView: true }
        : { address: address + before, block, isView: true, scales: scales + first * 4 };
    return { rows: count, columns: tensor.columns, storage };
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    const int8 = this.int8(tensor);
    if (int8 !== undefined) return this.#readInt8(int8, tensor);
    return this.machine.readFloats(this.at(tensor), tensor.rows * tensor.columns);
  }

  memory(): MemoryUse {
    const { live, peak } = this.#arena;
    return { weights: this.#weightBytes, live, peak, total: this.machine.bytes() };
  }

  resetPeak(): void {
    this.#arena.resetPeak();
  }

  /** Address of a live tensor of this backend that is no int8 weight. */
  protected at(tensor: Tensor): Address {
    const { address, scales } = this.#place(tensor);
    if (scales !== undefined) {
      const shape = `(${tensor.rows}, ${tensor.columns})`;
      throw new Error(`tensor: expected floats, got an int8 weight, shape ${shape}`);
    }
    return address;
  }

  /** The same, 0 for none. */
  protected atOrNone(tensor: Tensor | undefined): Address {
    return tensor === undefined ? 0 : this.at(tensor);
  }

  /** Where a tensor lies if it is an int8 weight. */
  protected int8(tensor: Tensor): Int8Weight | undefined {
    const { address, scales } = this.#place(tensor);
    return scales === undefined ? undefined : { values: address, scales };
  }

  #int8(what: string, tensor: Tensor): Int8Weight {
    const int8 = this.int8(tensor);
    if (int8 === undefined) throw new Error(`${what}: not an int8 weight`);
    return int8;
  }

  #readInt8({ values, scales }: Int8Weight, { rows, columns }: Tensor): Float32Array {
    const integers = this.machine.readBytes(values, rows * columns);
    const factors = this.machine.readFloats(scales, rows);
    return Float32Array.from(integers, (integer, i) => {
      return integer * factors[Math.floor(i / columns)]!;
    });
  }

  #weight(bytes: number, rows: number, columns: number, scalesAt?: number): Tensor {
    const before = this.#arena.reserved;
    const address = this.#arena.reserve(bytes);
    this.#weightBytes += this.#arena.reserved - before;
    return this.#tensor(address, true, rows, columns, scalesAt);
  }

  #tensor(
    address: Address,
    isWeight: boolean,
    rows: number,
    columns: number,
    scalesAt?: number,
  ): Tensor {
    const block: Block = { arena: this.#arena, isWeight, live: true };
    const scales = scalesAt === undefined ? {} : { scales: address + scalesAt };
    const storage: Place = { address, block, isView: false, ...scales };
    return { rows, columns, storage };
  }

  #place(tensor: Tensor): Place {
    const place = tensor.storage as Place | undefined;
    if (place?.block?.arena !== this.#arena) throw new Error("tensor: made by another backend");
    if (!place.block.live) {
      throw new Error(`tensor: freed before use, shape (${tensor.rows}, ${tensor.columns})`);
    }
    return place;
  }
}
