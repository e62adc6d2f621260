// What the WASM backend computes on: kernels and the bytes they share with the host. The real machine is an instance
// and its memory; the dry one has addresses and no bytes, and computes nothing.
import { OutOfMemory } from "./backend.ts";
import { GEMM_SCRATCH_BYTES } from "./kernels.ts";
import type { Address, Kernels } from "./kernels.ts";

const PAGE = 65_536;
/** Memory grows by at least this much, to grow seldom. */
const GROWTH = 16 * PAGE;
const MOST_BYTES = 65_536 * PAGE;

/** The first page belongs to the kernels' constant tables. */
export const FIRST_ADDRESS = PAGE;

export interface Machine {
  readonly kernels: Kernels;
  /** Highest address that may ever be used. */
  readonly limit: Address;
  /** Bytes held now. */
  bytes(): number;
  /** Makes every address below `end` usable. Throws `OutOfMemory` when the host refuses. */
  grow(end: Address): void;
  writeFloats(at: Address, values: ArrayLike<number>): void;
  writeIntegers(at: Address, values: ArrayLike<number>): void;
  writeBytes(at: Address, values: Int8Array): void;
  readFloats(at: Address, count: number): Float32Array;
  readBytes(at: Address, count: number): Int8Array;
}

/** Pages rounded down: memory comes in whole ones, and all of it counts against the limit. */
export function wholePages(limitBytes: number): number {
  return Math.floor(Math.min(limitBytes, MOST_BYTES) / PAGE) * PAGE;
}

function nextSize(now: number, end: Address, limit: Address): number {
  const needed = Math.ceil(end / PAGE) * PAGE;
  return needed <= now ? now : Math.min(limit, Math.max(needed, now + GROWTH));
}

export function wasmMachine(module: WebAssembly.Module, limitBytes: number): Machine {
  const limit = wholePages(limitBytes);
  const bound = limit < MOST_BYTES ? { maximum: Math.max(1, limit / PAGE) } : {};
  const memory = new WebAssembly.Memory({ initial: 1, ...bound });
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = instance.exports as unknown as Kernels;
  if (kernels.tableEnd() > FIRST_ADDRESS) {
    throw new Error(`kernels: constant tables end at ${kernels.tableEnd()}, past the first page`);
  }
  const scratch = Math.max(kernels.gemmScratchBytes(), kernels.gemmInt8ScratchBytes());
  if (scratch !== GEMM_SCRATCH_BYTES) {
    throw new Error(`kernels: built for another scratch size, ${scratch} bytes`);
  }
  // Views are made anew each time: growing the memory detaches those that exist.
  return {
    kernels,
    limit,
    bytes: () => memory.buffer.byteLength,
    grow(end) {
      const now = memory.buffer.byteLength;
      const pages = (nextSize(now, end, limit) - now) / PAGE;
      if (pages === 0) return;
      try {
        memory.grow(pages);
      } catch (cause) {
        if (cause instanceof RangeError) throw new OutOfMemory(end, now);
        throw cause;
      }
    },
    writeFloats: (at, values) => new Float32Array(memory.buffer, at, values.length).set(values),
    writeIntegers: (at, values) => new Int32Array(memory.buffer, at, values.length).set(values),
    writeBytes: (at, values) => new Int8Array(memory.buffer, at, values.length).set(values),
    readFloats: (at, count) => new Float32Array(memory.buffer, at, count).slice(),
    readBytes: (at, count) => new Int8Array(memory.buffer, at, count).slice(),
  };
}

function nothing(): void {}
/** What kernels with ids answer when all ids are in range. */
function noOffender(): number {
  return -1;
}

const DRY_KERNELS: Kernels = {
  tableEnd: () => 0,
  gemmScratchBytes: () => GEMM_SCRATCH_BYTES,
  gemmInt8ScratchBytes: () => 0,
  gemm: nothing,
  gemmInt8: nothing,
  attention: nothing,
  attentionPullback: nothing,
  norm: nothing,
  normPullback: nothing,
  activate: nothing,
  activatePullback: nothing,
  add: nothing,
  multiply: nothing,
  stabilise: nothing,
  copy: nothing,
  clear: nothing,
  lookup: noOffender,
  lookupInt8: noOffender,
  selectPullback: noOffender,
  relevance: nothing,
};

/** A machine that only counts: its `bytes` are the pages that the same calls need at least; it reads zeros. */
export function dryMachine(limitBytes: number): Machine {
  let held = PAGE;
  return {
    kernels: DRY_KERNELS,
    limit: wholePages(limitBytes),
    bytes: () => held,
    grow(end) {
      held = Math.max(held, Math.ceil(end / PAGE) * PAGE);
    },
    writeFloats: nothing,
    writeIntegers: nothing,
    writeBytes: nothing,
    readFloats: (_at, count) => new Float32Array(count),
    readBytes: (_at, count) => new Int8Array(count),
  };
}
