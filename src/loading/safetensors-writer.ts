// Lays tensors out as safetensors: headers, and files of limited size with the index that lists them.
// Writes no data and knows no file system. Format: see safetensors-header.ts.
import { CheckpointError } from "./checkpoint-error.ts";
import { SINGLE_FILE } from "./shards.ts";

export interface LaidTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface WritableTensor extends LaidTensor {
  /** The bytes to write, in pieces. */
  pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void>;
}

export interface LaidFile<T extends LaidTensor> {
  readonly file: string;
  /** Everything before the first tensor's data. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** Their data follow the header in this order, without a gap. */
  readonly tensors: readonly T[];
  /** Of the whole file. */
  readonly bytes: number;
}

export interface Layout<T extends LaidTensor> {
  readonly files: readonly LaidFile<T>[];
  /** Text of model.safetensors.index.json; undefined where one file holds everything. */
  readonly index: string | undefined;
}

// transformers refuses files that do not say which framework they are for.
const METADATA = '"__metadata__":{"format":"pt"}';
const ALIGNMENT = 8;

/**
 * Tensors in the order given, in as few files of at most `limitBytes` as that order allows. A tensor cannot be split:
 * one that is larger has a file for itself, above the limit. Throws `CheckpointError` for a name that no file can hold.
 */
export function layOut<T extends LaidTensor>(
  tensors: readonly T[],
  { limitBytes = Infinity }: { limitBytes?: number } = {},
): Layout<T> {
  const groups: T[][] = [[]];
  let text = METADATA.length;
  let data = 0;
  for (const tensor of tensors) {
    if (tensor.name === "__metadata__") {
      throw new CheckpointError(tensor.name, `safetensors: no tensor may be called ${tensor.name}`);
    }
    const added = byteLength(entryText(tensor, data));
    const whole = headerBytes(text + added) + data + tensor.bytes;
    if (whole > limitBytes && groups.at(-1)!.length > 0) {
      groups.push([]);
      text = METADATA.length;
      data = 0;
    }
    groups.at(-1)!.push(tensor);
    text += byteLength(entryText(tensor, data));
    data += tensor.bytes;
  }
  const files = groups.map((group, index) => layFile(fileName(index, groups.length), group));
  return { files, index: files.length === 1 ? undefined : indexText(files) };
}

function layFile<T extends LaidTensor>(file: string, tensors: readonly T[]): LaidFile<T> {
  let text = METADATA;
  let data = 0;
  for (const tensor of tensors) {
    text += entryText(tensor, data);
    data += tensor.bytes;
  }
  const header = new Uint8Array(headerBytes(byteLength(text))).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(new TextEncoder().encode(`{${text}}`), 8);
  return { file, header, tensors, bytes: header.length + data };
}

/** With the comma before it. */
function entryText({ name, dtype, shape, bytes }: LaidTensor, begin: number): string {
  const entry = JSON.stringify({ dtype, shape, data_offsets: [begin, begin + bytes] });
  return `,${JSON.stringify(name)}:${entry}`;
}

/** The length's 8 bytes, braces, and spaces up to where data are aligned, as the reference implementation does. */
function headerBytes(text: number): number {
  return Math.ceil((8 + 2 + text) / ALIGNMENT) * ALIGNMENT;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** As transformers names them. */
function fileName(index: number, files: number): string {
  if (files === 1) return SINGLE_FILE;
  const count = (value: number) => String(value).padStart(5, "0");
  return SINGLE_FILE.replace(".", `-${count(index + 1)}-of-${count(files)}.`);
}

function indexText<T extends LaidTensor>(files: readonly LaidFile<T>[]): string {
  const placed = files.flatMap(({ file, tensors }) => tensors.map((tensor) => ({ file, tensor })));
  const total = placed.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  // fromEntries, since assigning a tensor called __proto__ would lose it.
  const map = Object.fromEntries(placed.map(({ file, tensor }) => [tensor.name, file]));
  return `${JSON.stringify({ metadata: { total_size: total }, weight_map: map }, null, 2)}\n`;
}
