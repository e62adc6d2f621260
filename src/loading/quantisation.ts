// From a checkpoint's tensors to int8: which become integers with a scale per row, which stay as they are, and how far the
// integers are from what they stand for. Moves no bytes itself and knows no file system.
import { CheckpointError, WeightsMismatch } from "./checkpoint-error.ts";
import { type Conversion, note, tooLarge } from "./conversion.ts";
import { firstNotFinite, numberFormats } from "./number-formats.ts";
import { printable } from "./pickle.ts";
import { type PlannedWeight, resolvePlan } from "./plan.ts";
import type { TensorEntry } from "./safetensors-header.ts";
import { layOut, type WritableTensor } from "./safetensors-writer.ts";
import { INT8_DTYPE, scaleName } from "./scales.ts";

export interface SourceTensor extends TensorEntry {
  readonly file: string;
  /** Its bytes, in pieces of any size; each call starts anew. */
  pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void>;
}

/** Of the integers times their scales, against the weights they stand for. */
export interface QuantisationError {
  readonly tensor: string;
  /** Root mean square of the differences, relative to that of the weights. */
  readonly rms: number;
  /** Largest difference, relative to the largest weight. */
  readonly largest: number;
}

export interface Quantisation extends Conversion {
  /** One per quantised tensor that has been written so far. */
  readonly errors: readonly QuantisationError[];
}

/** Below it a float32 loses digits. */
const SMALLEST_SCALE = 2 ** -126;

/** Integers of a row, and what 1 of them stands for, a float32: the largest weight becomes 127 or -127. */
export function quantiseRow(row: Float32Array): { integers: Int8Array; scale: number } {
  let largest = 0;
  for (const value of row) largest = Math.max(largest, Math.abs(value));
  const scale = largest === 0 ? 1 : Math.max(Math.fround(largest / 127), SMALLEST_SCALE);
  return { integers: Int8Array.from(row, (value) => roundHalfEven(value / scale)), scale };
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Files with every tensor that `plan` needs; those that serve a planned weight in `quantised` as int8. Throws
 * `WeightsMissing`, `WeightsMismatch` or another `CheckpointError`, which the pieces throw too.
 */
export function planQuantisation(
  tensors: ReadonlyMap<string, SourceTensor>,
  plan: readonly PlannedWeight[],
  quantised: ReadonlySet<string>,
  { where, limitBytes }: { where: string; limitBytes: number },
): Quantisation {
  const errors: QuantisationError[] = [];
  const wanted = resolvePlan(plan, tensors, where);
  const written = [...wanted].flatMap(([name, users]) => {
    const tensor = tensors.get(name)!;
    checkTensor(tensor, users);
    return users.some((planned) => quantised.has(planned.name))
      ? int8Pair(tensor, (error) => errors.push(error))
      : [kept(tensor)];
  });
  // Larger elements first, so that every tensor is aligned to its elements.
  const layout = layOut(
    written.toSorted((a, b) => elementBytes(b) - elementBytes(a)),
    { limitBytes },
  );
  const left = [...tensors.keys()].filter((name) => !wanted.has(name)).map(printable);
  return {
    ...layout,
    errors,
    notes: [...note("left out, not needed by the model", left), ...tooLarge(layout, limitBytes)],
  };
}

function checkTensor(
  { name, dtype, file, shape: held }: SourceTensor,
  users: readonly PlannedWeight[],
): void {
  if (dtype === INT8_DTYPE) {
    throw new CheckpointError(name, `weights: ${name} in ${file} is quantised already: ${dtype}`);
  }
  if (!numberFormats.has(dtype)) {
    throw new CheckpointError(name, `safetensors: unsupported dtype ${dtype} in ${name}`);
  }
  for (const { shape } of users) {
    if (shape.length !== held.length || shape.some((size, axis) => size !== held[axis])) {
      throw new WeightsMismatch(name, file, shape, held);
    }
  }
}

function kept({ name, dtype, shape, begin, end, pieces }: SourceTensor): WritableTensor {
  return { name, dtype, shape, bytes: end - begin, pieces };
}

/** The scales and the integers of a matrix: it is read twice, and never held. */
function int8Pair(
  tensor: SourceTensor,
  onError: (error: QuantisationError) => void,
): WritableTensor[] {
  const { name, shape, elements } = tensor;
  const rows = shape[0]!;
  async function* scales() {
    const all = new Float32Array(rows);
    let at = 0;
    for await (const row of rowsOf(tensor)) all[at++] = quantiseRow(row).scale;
    yield new Uint8Array(all.buffer);
  }
  async function* integers() {
    const sums = { squares: 0, differences: 0, largest: 0, largestDifference: 0 };
    for await (const row of rowsOf(tensor)) {
      const { integers, scale } = quantiseRow(row);
      row.forEach((value, i) => {
        const difference = Math.abs(value - integers[i]! * scale);
        sums.squares += value ** 2;
        sums.differences += difference ** 2;
        sums.largest = Math.max(sums.largest, Math.abs(value));
        sums.largestDifference = Math.max(sums.largestDifference, difference);
      });
      yield new Uint8Array(integers.buffer as ArrayBuffer);
    }
    // A matrix of zeros is kept exactly.
    onError({
      tensor: name,
      rms: Math.sqrt(sums.differences / (sums.squares || 1)),
      largest: sums.largestDifference / (sums.largest || 1),
    });
  }
  return [
    { name: scaleName(name), dtype: "F32", shape: [rows], bytes: 4 * rows, pieces: scales },
    { name, dtype: INT8_DTYPE, shape, bytes: elements, pieces: integers },
  ];
}

/** The rows of a matrix as float32; each is only good until the next. */
async function* rowsOf(tensor: SourceTensor): AsyncGenerator<Float32Array, void> {
  const { name, file, dtype, shape } = tensor;
  const columns = shape[1]!;
  const format = numberFormats.get(dtype)!;
  const bytes = new Uint8Array(columns * format.bytes);
  const scratch = new Float32Array(columns);
  let held = 0;
  let rows = 0;
  for await (const piece of tensor.pieces()) {
    for (let at = 0; at < piece.length;) {
      const count = Math.min(piece.length - at, bytes.length - held);
      bytes.set(piece.subarray(at, at + count), held);
      at += count;
      held += count;
      if (held < bytes.length) continue;
      const values = format.decode(bytes.buffer, 0, columns, scratch) as Float32Array | undefined;
      if (values === undefined) {
        const { index, value } = firstNotFinite(format, bytes.buffer, 0, columns);
        const where = `element ${rows * columns + index}: ${value}`;
        throw new CheckpointError(
          name,
          `safetensors: ${name} in ${file} is not finite at ${where}`,
        );
      }
      yield values;
      held = 0;
      rows++;
    }
  }
}

function elementBytes({ dtype }: WritableTensor): number {
  return numberFormats.get(dtype)?.bytes ?? 1;
}
