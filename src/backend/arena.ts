// A first-fit free list over a range of addresses. It hands out numbers and touches no memory: what lies there is the
// owner's business.
import { OutOfMemory } from "./backend.ts";

/** Every block starts and ends on a cache line. */
const ALIGNMENT = 64;

function roundUp(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
}

interface Gap {
  readonly start: number;
  readonly size: number;
}

export interface ArenaOptions {
  /** First address handed out. */
  readonly start?: number;
  /** The address that no block may pass. */
  readonly limit?: number;
  /** Makes every address below `end` usable, or throws. Called before a block passes the end so far. */
  readonly grow?: (end: number) => void;
}

export class Arena {
  readonly #limit: number;
  readonly #grow: (end: number) => void;
  readonly #sizes = new Map<number, number>();
  /** By address; never two that touch, never one that touches `#end`. */
  #gaps: Gap[] = [];
  #end: number;
  #live = 0;
  #peak = 0;
  #reserved = 0;

  constructor({ start = 0, limit = Number.MAX_SAFE_INTEGER, grow = () => {} }: ArenaOptions = {}) {
    this.#end = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    this.#limit = limit;
    this.#grow = grow;
  }

  /** Bytes of live blocks, without those reserved. */
  get live(): number {
    return this.#live;
  }

  /** Largest `live` since `resetPeak`. */
  get peak(): number {
    return this.#peak;
  }

  /** Bytes of blocks that are never freed. */
  get reserved(): number {
    return this.#reserved;
  }

  /** Address behind the last block. */
  get end(): number {
    return this.#end;
  }

  /** Address of a block of at least `bytes` bytes. Throws `OutOfMemory`, changing nothing, past the limit. */
  allocate(bytes: number): number {
    const size = roundUp(bytes);
    const address = this.#takeGap(size) ?? this.#extend(size);
    this.#sizes.set(address, size);
    this.#live += size;
    this.#peak = Math.max(this.#peak, this.#live);
    return address;
  }

  /** As `allocate`, for a block that stays. */
  reserve(bytes: number): number {
    const size = roundUp(bytes);
    const address = this.#takeGap(size) ?? this.#extend(size);
    this.#reserved += size;
    return address;
  }

  /** Gives a block back. Throws when none starts at `address`, so also when it is freed twice. */
  free(address: number): void {
    const size = this.#sizes.get(address);
    if (size === undefined) throw new Error(`arena: no block at address ${address}`);
    this.#sizes.delete(address);
    this.#live -= size;
    this.#insertGap(address, size);
  }

  resetPeak(): void {
    this.#peak = this.#live;
  }

  #takeGap(size: number): number | undefined {
    const index = this.#gaps.findIndex((gap) => gap.size >= size);
    const gap = this.#gaps[index];
    if (gap === undefined) return undefined;
    const rest = { start: gap.start + size, size: gap.size - size };
    this.#gaps.splice(index, 1, ...(rest.size > 0 ? [rest] : []));
    return gap.start;
  }

  #extend(size: number): number {
    const address = this.#end;
    if (address + size > this.#limit) throw new OutOfMemory(address + size, this.#limit);
    this.#grow(address + size);
    this.#end = address + size;
    return address;
  }

  #insertGap(address: number, bytes: number): void {
    const found = this.#gaps.findIndex((gap) => gap.start > address);
    const next = found < 0 ? this.#gaps.length : found;
    const before = this.#gaps[next - 1];
    const after = this.#gaps[next];
    const joinsBefore = before !== undefined && before.start + before.size === address;
    const joinsAfter = after !== undefined && address + bytes === after.start;
    const start = joinsBefore ? before.start : address;
    const stop = joinsAfter ? after.start + after.size : address + bytes;
    const first = joinsBefore ? next - 1 : next;
    const replaced = Number(joinsBefore) + Number(joinsAfter);
    if (stop === this.#end) {
      this.#gaps.splice(first, replaced);
      this.#end = start;
    } else {
      this.#gaps.splice(first, replaced, { start, size: stop - start });
    }
  }
}
