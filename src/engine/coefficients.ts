// The coefficients under way in a backward pass: one tensor (P*R, C) per node that has received any, summed as they
// arrive. Sums are shared, not copied: a residual connection hands the same tensor to both its terms.
import type { Backend } from "../backend/backend.ts";
import type { Tensor } from "../tensor.ts";

export class Coefficients {
  readonly #backend: Backend;
  readonly #held = new Map<number, Tensor>();
  readonly #holders = new Map<Tensor, number>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The coefficient of node `id` so far; it leaves the ledger and is the caller's to `release`. */
  take(id: number): Tensor | undefined {
    const tensor = this.#held.get(id);
    this.#held.delete(id);
    return tensor;
  }

  /** Adds `tensor` to the coefficient of node `id`. It may be one that others hold too. */
  give(id: number, tensor: Tensor): void {
    const held = this.take(id);
    if (held === undefined) return this.#hold(id, tensor);
    // The one of more passes stays, and the other is added to its first rows.
    const [more, fewer] = held.rows >= tensor.rows ? [held, tensor] : [tensor, held];
    if (more === held) this.#held.set(id, held);
    else this.#hold(id, tensor);
    this.accumulate(id, fewer.rows, fewer.columns, (out, start) => {
      if (start === undefined) throw new Error(`coefficients: node ${id} holds nothing`);
      this.#backend.add(out, start, fewer);
    });
    if (fewer === held) this.release(held);
    else this.#free(tensor);
  }

  /**
   * Lets `write` put a new share of node `id` into `out`, on top of `start` where there is one already. A share of fewer
   * rows than the node has is one of its first passes; the others send nothing.
   */
  accumulate(
    id: number,
    rows: number,
    columns: number,
    write: (out: Tensor, start: Tensor | undefined) => void,
  ): void {
    const held = this.#held.get(id);
    const own = held !== undefined && this.#holders.get(held) === 1;
    if (held !== undefined && (held.rows > rows || (own && held.rows === rows))) {
      const start = own ? held : this.#copy(id, held);
      const part = start.rows === rows ? start : this.#backend.view(start, 0, rows);
      write(part, part);
      return;
    }
    const out = this.#backend.allocate(rows, columns);
    this.#held.delete(id);
    this.#hold(id, out);
    const whole = held?.rows === rows ? held : undefined;
    write(out, whole);
    if (held === undefined) return;
    if (whole !== undefined) return this.release(whole);
    const part = this.#backend.view(out, 0, held.rows);
    this.#backend.add(part, part, held);
    this.release(held);
  }

  /** Ends the caller's hold on a tensor of `take`. */
  release(tensor: Tensor): void {
    const holders = (this.#holders.get(tensor) ?? 1) - 1;
    if (holders > 0) this.#holders.set(tensor, holders);
    else this.#holders.delete(tensor);
    this.#free(tensor);
  }

  /** Frees whatever is still held, after an error or at the end. */
  releaseAll(): void {
    for (const id of this.#held.keys()) {
      const tensor = this.take(id);
      if (tensor !== undefined) this.release(tensor);
    }
  }

  /** Replaces what node `id` shares with others by a copy of its own. */
  #copy(id: number, shared: Tensor): Tensor {
    const rows = this.#backend.integers(Array.from({ length: shared.rows }, (_, row) => row));
    const copy = this.#backend.allocate(shared.rows, shared.columns);
    this.#backend.select(copy, shared, rows);
    this.#backend.free(rows);
    this.#held.delete(id);
    this.#hold(id, copy);
    this.release(shared);
    return copy;
  }

  #hold(id: number, tensor: Tensor): void {
    this.#held.set(id, tensor);
    this.#holders.set(tensor, (this.#holders.get(tensor) ?? 0) + 1);
  }

  #free(tensor: Tensor): void {
    if (!this.#holders.has(tensor)) this.#backend.free(tensor);
  }
}
