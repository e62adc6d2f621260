// What a safetensors header says, and whether it can be true. Knows the format and no data.
// Format: 8 bytes little-endian length, that much JSON {name: {dtype, shape, data_offsets}}, then the data.
import { CheckpointError, shapeText } from "./checkpoint-error.ts";
import { isRecord } from "./json.ts";

export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elements: number;
  /** First byte, and the byte after the last, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

// The limit of the reference implementation (safetensors, src/tensor.rs, MAX_HEADER_SIZE).
const HEADER_LIMIT = 100_000_000;

// Sizes serve to check offsets; a dtype that is not listed is only trusted where its tensor is skipped.
const DTYPE_BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
};

/** Length of the header's JSON from the first 8 bytes of `file`. */
export function headerLength(file: string, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const length = view.getBigUint64(0, true);
  if (length > HEADER_LIMIT) {
    // A git-lfs pointer and an HTML page are the usual impostors: their first letters tell.
    const start = JSON.stringify(String.fromCharCode(...bytes.subarray(0, 8)));
    throw new CheckpointError(
      file,
      `safetensors: ${file} begins with ${start}, a header of ${length} bytes; at most ${HEADER_LIMIT} allowed`,
    );
  }
  return Number(length);
}

/** Tensors in the order of their data, which they fill without a gap. */
export function parseHeader(file: string, bytes: Uint8Array): readonly TensorEntry[] {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(file, `safetensors: header of ${file} is not JSON: ${reason}`, {
      cause,
    });
  }
  if (!isRecord(header)) {
    throw new CheckpointError(file, `safetensors: header of ${file} is not a JSON object`);
  }
  refuseDuplicates(file, text);
  const entries = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, value]) => parseEntry(file, name, value))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  let before = "the header";
  for (const entry of entries) {
    if (entry.begin !== end) {
      const fault = entry.begin < end ? "overlaps" : "leaves a hole after";
      throw new CheckpointError(
        entry.name,
        `safetensors: ${entry.name} ${fault} ${before} in ${file}: data expected to begin at ${end}, found ${entry.begin}`,
      );
    }
    end = entry.end;
    before = entry.name;
  }
  return entries;
}

function parseEntry(file: string, name: string, value: unknown): TensorEntry {
  const refuse = (fault: string) =>
    new CheckpointError(name, `safetensors: ${name} in ${file} ${fault}`);
  if (!isRecord(value)) throw refuse(`is not described by a JSON object: ${JSON.stringify(value)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw refuse(`has no dtype: ${JSON.stringify(dtype)}`);
  if (!isSizes(shape)) throw refuse(`has no shape: ${JSON.stringify(shape)}`);
  const [begin, end] = isSizes(offsets) && offsets.length === 2 ? offsets : [];
  if (begin === undefined || end === undefined || begin > end) {
    throw refuse(`has no data_offsets: ${JSON.stringify(offsets)}`);
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const bits = Object.hasOwn(DTYPE_BITS, dtype) ? DTYPE_BITS[dtype] : undefined;
  if (bits !== undefined && elements * bits !== (end - begin) * 8) {
    throw refuse(
      `has ${end - begin} bytes, ${dtype} ${shapeText(shape)} needs ${(elements * bits) / 8}`,
    );
  }
  return { name, dtype, shape, elements, begin, end };
}

/** JSON.parse keeps the last of two equal keys without a word; the format forbids them. */
function refuseDuplicates(file: string, json: string): void {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}]/g)) {
    if (token === "{") depth++;
    else if (token === "}") depth--;
    else if (depth === 1 && token.endsWith(":")) {
      const name: string = JSON.parse(token.slice(0, -1));
      if (seen.has(name)) {
        throw new CheckpointError(name, `safetensors: ${name} stands twice in ${file}`);
      }
      seen.add(name);
    }
  }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
