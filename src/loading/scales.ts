// Int8 weights in a checkpoint: a matrix X of dtype I8 beside X_scale, one number per row of X. Which tensors these
// are, and whether they can be true. Knows no backend.
import { CheckpointError, shapeText, WeightsMismatch } from "./checkpoint-error.ts";
import type { PlannedWeight } from "./plan.ts";
import type { Sink } from "./safetensors.ts";
import type { TensorEntry } from "./safetensors-header.ts";

export const INT8_DTYPE = "I8";

/** Name of the scales of a matrix. */
export function scaleName(weight: string): string {
  return `${weight}_scale`;
}

type Names = { has(name: string): boolean };
type Wanted = ReadonlyMap<string, readonly PlannedWeight[]>;
type Entries = ReadonlyMap<string, TensorEntry>;

/** Scales as they come, before or after their weight. */
export interface ScaleCollector {
  /** Names of the scales in this file that are to be read; `names` are those of the whole checkpoint. */
  choose(file: string, wanted: Wanted, tensors: Entries, names: Names): Iterable<string>;
  begin(entry: TensorEntry): Sink;
  /** The scales of `weight`, one for each of its rows, all positive. */
  of(weight: string): Float32Array;
}

/** Every method throws `CheckpointError`, naming the tensor, where a weight or its scales cannot be true. */
export function scaleCollector(): ScaleCollector {
  const held = new Map<string, { readonly file: string; values: Float32Array }>();
  return {
    choose(file, wanted, tensors, names) {
      const chosen: string[] = [];
      for (const [name, users] of wanted) {
        const entry = tensors.get(name);
        const isInt8 = entry?.dtype === INT8_DTYPE;
        if (isInt8) checkWeight(file, entry, users, names);
        const scales = tensors.get(scaleName(name));
        // In another file the weight may be int8, which only that file will tell.
        if (scales === undefined || (entry !== undefined && !isInt8)) continue;
        checkShape(file, scales, users[0]!.rows);
        held.set(scales.name, { file, values: new Float32Array(scales.elements) });
        chosen.push(scales.name);
      }
      return chosen;
    },
    begin({ name }) {
      const { values } = held.get(name)!;
      return (at, piece) => values.set(piece, at);
    },
    of(weight) {
      const name = scaleName(weight);
      const { file, values } = held.get(name)!;
      const index = values.findIndex((scale) => scale <= 0);
      if (index >= 0) {
        const found = `element ${index}: ${values[index]}`;
        throw new CheckpointError(name, `weights: ${name} in ${file} is not positive at ${found}`);
      }
      return values;
    },
  };
}

function checkWeight(
  file: string,
  { name, shape }: TensorEntry,
  users: readonly PlannedWeight[],
  names: Names,
): void {
  const refuse = (fault: string) =>
    new CheckpointError(name, `weights: ${name} in ${file} is ${INT8_DTYPE} ${fault}`);
  if (shape.length !== 2 || users.some(({ rows }) => rows !== shape[0])) {
    throw refuse(`and no matrix with a scale per row: ${shapeText(shape)}`);
  }
  if (!names.has(scaleName(name))) throw refuse(`without ${scaleName(name)}`);
  // Where compressed-tensors keeps what is to be taken off the integers.
  const zeroPoint = `${name}_zero_point`;
  if (names.has(zeroPoint))
    throw refuse(`around a zero point, which is not supported: ${zeroPoint}`);
}

function checkShape(file: string, { name, dtype, shape }: TensorEntry, rows: number): void {
  if (dtype === INT8_DTYPE) {
    throw new CheckpointError(name, `weights: ${name} in ${file} is of integers: ${dtype}`);
  }
  const isColumn = shape.length === 1 || (shape.length === 2 && shape[1] === 1);
  if (!isColumn || shape[0] !== rows) throw new WeightsMismatch(name, file, [rows], shape);
}
