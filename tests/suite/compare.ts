// What the backend suite's parts share: inputs that are the same everywhere, tensors that are freed after each case, the
// largest error of each operation. Knows no operation and nothing of the platform.
import { expect } from "vitest";
import type { Backend } from "../../src/backend/backend.ts";
import type { Tensor } from "../../src/tensor.ts";

export interface BackendUnderTest {
  readonly name: string;
  make(options?: { readonly limitBytes?: number }): Backend | Promise<Backend>;
}

export type Numbers = Float32Array | Float64Array;

/** Runs operations on a backend and gives back, by name, what they wrote. */
export type Case = (scratch: Scratch) => Promise<Readonly<Record<string, Numbers>>>;

export interface Scratch {
  readonly backend: Backend;
  /** (rows, columns) of these values. */
  floats(values: ArrayLike<number>, rows: number, columns: number): Tensor;
  integers(values: ArrayLike<number>): Tensor;
  /** (rows, columns) of NaN. */
  empty(rows: number, columns: number): Tensor;
}

/** Runs `body`, checks that nothing was written beside its tensors, and frees them. */
export async function withScratch<Result>(
  backend: Backend,
  body: (scratch: Scratch) => Promise<Result>,
): Promise<Result> {
  const made: Tensor[] = [];
  const keep = (tensor: Tensor): Tensor => {
    made.push(tensor);
    return tensor;
  };
  const guarded: { readonly whole: Tensor; readonly guard: number }[] = [];
  // Every float tensor is a view into NaN: what reads past an end shows in the result, what writes past one in the guard,
  // and addresses are as badly aligned as rows make them.
  const surround = (
    values: ArrayLike<number> | undefined,
    rows: number,
    columns: number,
  ): Tensor => {
    const guardRows = Math.ceil(GUARD / columns);
    const all = new Float64Array((rows + 2 * guardRows) * columns).fill(NaN);
    if (values) all.set(values, guardRows * columns);
    const whole = keep(backend.floats(all, rows + 2 * guardRows, columns));
    guarded.push({ whole, guard: guardRows * columns });
    return backend.view(whole, guardRows, rows);
  };
  try {
    const result = await body({
      backend,
      floats: surround,
      integers: (values) => keep(backend.integers(values)),
      empty: (rows, columns) => surround(undefined, rows, columns),
    });
    for (const { whole, guard } of guarded) {
      const all = await backend.read(whole);
      const clean =
        all.subarray(0, guard).every(Number.isNaN) &&
        all.subarray(all.length - guard).every(Number.isNaN);
      expect(clean, `nothing written beside the tensor in (${whole.rows}, ${whole.columns})`).toBe(
        true,
      );
    }
    return result;
  } finally {
    for (const tensor of made.toReversed()) backend.free(tensor);
  }
}

/** Numbers at least before and after each tensor: more than the widest vector or tile of any kernel. */
const GUARD = 32;

const pools = new Map<number, Float32Array>();

/** Normally distributed numbers, float32 so that every backend starts from the same. Fewer are the first of more. */
export function normals(seed: number): (count: number, factor?: number) => Float32Array {
  return (count, factor = 1) => {
    let pool = pools.get(seed);
    if (pool === undefined || pool.length < count) {
      pool = generate(seed, Math.max(2 * count, 2 ** 12));
      pools.set(seed, pool);
    }
    return pool.slice(0, count).map((number) => factor * number);
  };
}

function generate(seed: number, count: number): Float32Array {
  let state = seed;
  const uniform = (): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float32Array.from({ length: count }, normal);
}

/** max |got - want| / max |want|; infinite where a number is not finite, or where zeros were wanted and not got. */
export function largestError(got: Numbers, want: Numbers): number {
  if (got.length !== want.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < want.length; i++) {
    const gap = Math.abs(got[i]! - want[i]!);
    if (!Number.isFinite(gap)) return Infinity;
    difference = Math.max(difference, gap);
    size = Math.max(size, Math.abs(want[i]!));
  }
  return difference === 0 ? 0 : difference / size;
}

export interface ErrorTable {
  /** Keeps the error if it is the operation's largest in its column. */
  record(operation: string, column: string, error: number, where?: string): void;
  print(title: string): void;
}

export function createErrorTable(columns: readonly string[]): ErrorTable {
  const rows = new Map<string, { errors: Map<string, number>; count: number; where: string }>();
  return {
    record(operation, column, error, where = "") {
      const row = rows.get(operation) ?? { errors: new Map(), count: 0, where };
      if (error > Math.max(...row.errors.values())) row.where = where;
      row.errors.set(column, Math.max(error, row.errors.get(column) ?? 0));
      row.count++;
      rows.set(operation, row);
    },
    print(title) {
      const width = Math.max(...[...rows.keys()].map((operation) => operation.length));
      const lines = [...rows].map(([operation, { errors, count, where }]) => {
        const cells = columns.map((column) => (errors.get(column) ?? NaN).toExponential(1));
        const padded = cells.map((cell, i) => cell.padStart(columns[i]!.length));
        const cases = String(count / columns.length).padStart(5);
        return `${operation.padEnd(width)}  ${padded.join("  ")}  ${cases}  ${where}`.trimEnd();
      });
      const head = `${"".padEnd(width)}  ${columns.join("  ")}  cases  worst`;
      console.log([`largest errors, ${title}`, head, ...lines].join("\n"));
    },
  };
}

/** Compares every backend under test with the oracle and keeps the errors. */
export interface Judge {
  /**
   * Fails where an output of `run` differs by more than `tolerance` of its largest number, or memory stays taken.
   * The oracle runs once for all backends.
   */
  compare(operation: string, where: string, run: Case, tolerance: number): Promise<void>;
}

export function createJudge(
  backends: readonly Backend[],
  oracle: Backend,
  errors: ErrorTable,
): Judge {
  return {
    async compare(operation, where, run, tolerance) {
      const want = await withScratch(oracle, run);
      for (const backend of backends) {
        const { live } = backend.memory();
        const got = await withScratch(backend, run);
        expect(backend.memory().live, `${operation}, ${where}: live bytes`).toBe(live);
        expect(Object.keys(got)).toEqual(Object.keys(want));
        for (const name of Object.keys(want)) {
          const error = largestError(got[name]!, want[name]!);
          const label = Object.keys(want).length > 1 ? `${operation} ${name}` : operation;
          errors.record(label, backend.name, error, where);
          const what = `${label} on ${backend.name}, ${where}: error relative to the largest`;
          expect.soft(error, what).toBeLessThanOrEqual(tolerance);
        }
      }
    },
  };
}

/** Fails unless both hold the same bits; says where they first differ. */
export function expectSameBits(got: Numbers, want: Numbers, where: string): void {
  expect(got.length, where).toBe(want.length);
  const at = want.findIndex((number, i) => !Object.is(number, got[i]));
  if (at >= 0) {
    expect.fail(`${where}: element ${at} of ${want.length} is ${got[at]}, expected ${want[at]}`);
  }
}
