// From state dicts to the files of a safetensors checkpoint: which tensors are written, as what, and where.
// Moves no bytes itself and knows no file system; what a model needs comes from its family as a plan.
import { type ByteSource, ifPresent } from "./byte-source.ts";
import { CheckpointError, WeightsMismatch } from "./checkpoint-error.ts";
import { isRecord, readJson } from "./json.ts";
import { numberFormats } from "./number-formats.ts";
import { printable } from "./pickle.ts";
import { aliases, type PlannedWeight, resolvePlan } from "./plan.ts";
import type { StateDict, StateTensor } from "./pytorch.ts";
import { type LaidTensor, type Layout, layOut, type WritableTensor } from "./safetensors-writer.ts";

export const BIN_FILE = "pytorch_model.bin";
export const BIN_INDEX_FILE = "pytorch_model.bin.index.json";

/** The largest file that Cloudflare serves as an asset: 25 MiB. */
export const ASSET_BYTES = 25 * 1024 * 1024;

export interface BinFiles {
  readonly files: readonly string[];
  /** Tensor -> file that holds it; absent where there is no index. */
  readonly placement?: ReadonlyMap<string, string>;
}

/** Files to write, and one line each for what is not as it was in the source. */
export interface Conversion extends Layout<WritableTensor> {
  readonly notes: readonly string[];
}

interface Found extends StateTensor {
  readonly dict: StateDict;
}

/** The index wins where both are present. Throws `CheckpointError` where the index is not one. */
export async function findBinFiles(source: ByteSource): Promise<BinFiles> {
  const index = await ifPresent(readJson(source, BIN_INDEX_FILE));
  if (index === undefined) return { files: [BIN_FILE] };
  const map = index["weight_map"];
  if (!isRecord(map) || Object.keys(map).length === 0) {
    throw new CheckpointError(BIN_INDEX_FILE, `${BIN_INDEX_FILE}: no weight_map in ${source.name}`);
  }
  const placement = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    // A name only: an index must not reach outside its own folder.
    if (typeof file !== "string" || !/^[^/\\]+\.bin$/.test(file)) {
      const found = JSON.stringify(file);
      throw new CheckpointError(
        tensor,
        `${BIN_INDEX_FILE}: ${printable(tensor)} is not in a .bin file of the same folder: ${found}`,
      );
    }
    placement.set(tensor, file);
  }
  return { files: [...new Set(placement.values())].toSorted(), placement };
}

/**
 * Throws `WeightsMissing`, `WeightsMismatch` or another `CheckpointError` where the state dicts do not hold what
 * `plan` needs; `where` names them. Every other tensor of floating-point numbers is taken along.
 */
export function planConversion(
  dicts: readonly StateDict[],
  plan: readonly PlannedWeight[],
  { where, limitBytes = ASSET_BYTES }: { where: string; limitBytes?: number },
): Conversion {
  const found = collect(dicts);
  const numbers = new Map([...found].filter(([, { dtype }]) => isWritten(dtype)));
  const needed = new Map(
    [...resolvePlan(plan, found, where)].flatMap(([name, users]) =>
      users.map((planned) => [planned, found.get(name)!] as const),
    ),
  );
  checkNeeded(needed);
  const { kept, ties } = dropTies([...numbers.values()], needed);
  // Larger elements first, so that every tensor is aligned to its elements.
  const tensors = kept.map(converted).toSorted((a, b) => elementBytes(b) - elementBytes(a));
  const layout = layOut(tensors, { limitBytes });
  const skipped = [...found.values()].filter(({ name }) => !numbers.has(name));
  const doubles = kept.filter(({ dtype }) => dtype === "F64");
  return {
    ...layout,
    notes: [
      ...note("skipped, no floating-point numbers", skipped.map(described)),
      ...note(
        "skipped, no tensor",
        dicts.flatMap(({ others }) => others.map(printable)),
      ),
      ...note("skipped, the same storage as another", ties),
      ...note("written as F32", doubles.map(described)),
      ...tooLarge(layout, limitBytes),
    ],
  };
}

/** Throws unless the tensors that `dict` holds are those that the index places there. */
export function checkBinPlacement({ placement }: BinFiles, { file, tensors }: StateDict): void {
  for (const [tensor, holder] of placement ?? []) {
    if (holder === file && !tensors.has(tensor)) {
      const message = `weights: ${printable(tensor)} not in ${file}, where ${BIN_INDEX_FILE} places it`;
      throw new CheckpointError(tensor, message);
    }
  }
}

function collect(dicts: readonly StateDict[]): ReadonlyMap<string, Found> {
  const found = new Map<string, Found>();
  for (const dict of dicts) {
    for (const [name, tensor] of dict.tensors) {
      const other = found.get(name);
      if (other !== undefined) {
        const files = `${other.dict.file} and in ${dict.file}`;
        throw new CheckpointError(name, `weights: ${printable(name)} stands in ${files}`);
      }
      found.set(name, { ...tensor, dict });
    }
  }
  return found;
}

function checkNeeded(needed: ReadonlyMap<PlannedWeight, Found>): void {
  for (const [{ shape }, { name, dtype, shape: held, dict }] of needed) {
    if (!isWritten(dtype)) {
      const message = `pytorch: unsupported dtype ${dtype} in ${name} of ${dict.file}`;
      throw new CheckpointError(name, message);
    }
    if (shape.length !== held.length || shape.some((size, axis) => size !== held[axis])) {
      throw new WeightsMismatch(name, dict.file, shape, held);
    }
  }
}

/**
 * Of tensors that are the same memory (tied embeddings) one is enough, if every planned weight that they serve finds
 * that one under a name of its own. transformers ties its copies again when it loads.
 */
function dropTies(tensors: readonly Found[], needed: ReadonlyMap<PlannedWeight, Found>) {
  const names = new Set(tensors.map(({ name }) => name));
  const dropped = new Map<string, string>();
  for (const group of Map.groupBy(tensors, memoryOf).values()) {
    if (group.length === 1) continue;
    const users = [...needed].filter(([, { name }]) => group.some((each) => each.name === name));
    const serves = ({ name: candidate }: Found) =>
      users.every(([planned]) => {
        const isLeft = (name: string) =>
          name === candidate || (names.has(name) && group.every((each) => each.name !== name));
        return aliases(planned).find(isLeft) === candidate;
      });
    const one = group.find(serves);
    const kept = one === undefined ? users.map(([, { name }]) => name) : [one.name];
    for (const { name } of group) if (!kept.includes(name)) dropped.set(name, kept[0]!);
  }
  return {
    kept: tensors.filter(({ name }) => !dropped.has(name)),
    ties: [...dropped].map(([name, kept]) => `${printable(name)} (${printable(kept)})`),
  };
}

function memoryOf({ dict, storage, offset, shape, strides }: Found): string {
  return JSON.stringify([dict.file, storage, offset, shape, strides]);
}

function converted(found: Found): WritableTensor {
  const { name, dtype, shape, elements, dict } = found;
  const pieces = () => dict.pieces(found);
  if (dtype === "F64") {
    return { name, dtype: "F32", shape, bytes: 4 * elements, pieces: () => narrowed(pieces()) };
  }
  return { name, dtype, shape, bytes: numberFormats.get(dtype)!.bytes * elements, pieces };
}

async function* narrowed(pieces: AsyncGenerator<Uint8Array<ArrayBuffer>, void>) {
  for await (const { buffer, byteOffset, byteLength } of pieces) {
    const values = new Float64Array(buffer, byteOffset, byteLength / 8);
    yield new Uint8Array(Float32Array.from(values).buffer);
  }
}

function isWritten(dtype: string): boolean {
  return numberFormats.has(dtype) || dtype === "F64";
}

function elementBytes({ dtype }: LaidTensor): number {
  return numberFormats.get(dtype)!.bytes;
}

function described({ name, dtype }: Found): string {
  return `${printable(name)} (${dtype})`;
}

/** A note for every file above the limit. */
export function tooLarge({ files }: Layout<LaidTensor>, limitBytes: number): string[] {
  return note(
    `larger than ${mebibytes(limitBytes)}, which is all that a Cloudflare asset may have`,
    files
      .filter(({ bytes }) => bytes > limitBytes)
      .map(({ file, bytes, tensors: [only] }) => {
        return `${file} (${mebibytes(bytes)}: ${printable(only!.name)} cannot be split)`;
      }),
  );
}

export function note(what: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const rest = items.length > 5 ? ` and ${items.length - 5} more` : "";
  return [`${what}: ${items.slice(0, 5).join(", ")}${rest}`];
}

function mebibytes(bytes: number): string {
  return `${Number((bytes / 1024 / 1024).toFixed(1))} MiB`;
}
