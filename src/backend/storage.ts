// Tensors as addresses in one growing memory: the half of the WASM backend that hands memory out and moves numbers
// between host and kernels. It knows no operation.
import { Arena } from "./arena.ts";
import type { MemoryUse } from "./backend.ts";
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

  weight(rows: number, columns: number): Tensor {
    const before = this.#arena.reserved;
    const address = this.#arena.reserve(rows * columns * 4);
    this.#weightBytes += this.#arena.reserved - before;
    return this.#tensor(address, true, rows, columns);
  }

  write(weight: Tensor, at: number, values: Float32Array): void {
    const size = weight.rows * weight.columns;
    if (at < 0 || at + values.length > size) {
      throw new Error(`write: past the end, ${values.length} values at ${at} of ${size}`);
    }
    this.machine.writeFloats(this.at(weight) + at * 4, values);
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
    const { address, block } = this.#place(tensor);
    const storage: Place = { address: address + first * tensor.columns * 4, block, isView: true };
    return { rows: count, columns: tensor.columns, storage };
  }

  async read(tensor: Tensor): Promise<Float32Array> {
    return this.machine.readFloats(this.at(tensor), tensor.rows * tensor.columns);
  }

  memory(): MemoryUse {
    const { live, peak } = this.#arena;
    return { weights: this.#weightBytes, live, peak, total: this.machine.bytes() };
  }

  resetPeak(): void {
    this.#arena.resetPeak();
  }

  /** Address of a live tensor of this backend. */
  protected at(tensor: Tensor): Address {
    return this.#place(tensor).address;
  }

  /** The same, 0 for none. */
  protected atOrNone(tensor: Tensor | undefined): Address {
    return tensor === undefined ? 0 : this.at(tensor);
  }

  #tensor(address: Address, isWeight: boolean, rows: number, columns: number): Tensor {
    const block: Block = { arena: this.#arena, isWeight, live: true };
    const storage: Place = { address, block, isView: false };
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
