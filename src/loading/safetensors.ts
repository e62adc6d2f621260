// Reads one safetensors file from a stream: the wanted tensors in pieces, float32 or int8, the rest skipped.
// Holds one chunk of the stream and two small staging buffers; knows no model and no backend.
import { byteReader, type ByteReader } from "./byte-reader.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import { firstNotFinite, storedFormats } from "./number-formats.ts";
import { headerLength, parseHeader, type TensorEntry } from "./safetensors-header.ts";

/** Receives a tensor's elements from `at` on, in order. `values` are only good during the call, and not to write to. */
export type Sink = (at: number, values: Float32Array | Int8Array) => void;

export interface SafetensorsVisitor {
  /** Called once, before any data, with all tensors of the file: the names of those to read. */
  choose(tensors: ReadonlyMap<string, TensorEntry>): ReadonlySet<string>;
  /** Called when a chosen tensor's turn comes, in the order of the file. */
  begin(tensor: TensorEntry): Sink;
  /** Sees every chunk of the file, header included. */
  onChunk?(chunk: Uint8Array): Promise<void>;
}

// Bytes that are copied together where a chunk cannot be read in place, and numbers that are converted together.
const STAGE_BYTES = 64 * 1024;
const SCRATCH_NUMBERS = 16 * 1024;

/**
 * Reads `stream` to its end. Throws `CheckpointError` naming the tensor or `file` where the file is torn, too long or
 * contradicts itself, or where a chosen tensor is not F32, F16, BF16 or I8 or holds a NaN or an infinity. Sinks may have
 * received data by then.
 */
export async function readSafetensors(
  file: string,
  stream: ReadableStream<Uint8Array>,
  visitor: SafetensorsVisitor,
): Promise<void> {
  const reader = byteReader(file, stream, {
    onChunk: async (chunk) => visitor.onChunk?.(chunk),
  });
  try {
    const length = headerLength(file, await takeHeader(file, reader, 8, 8));
    const entries = parseHeader(file, await takeHeader(file, reader, length, 8 + length));
    const chosen = visitor.choose(new Map(entries.map((entry) => [entry.name, entry])));
    for (const { name, dtype } of entries) {
      if (chosen.has(name) && !storedFormats.has(dtype)) {
        throw new CheckpointError(name, `safetensors: unsupported dtype ${dtype} in ${name}`);
      }
    }
    const total = 8 + length + (entries.at(-1)?.end ?? 0);
    const stage = new Uint8Array(STAGE_BYTES);
    const scratch = new Float32Array(SCRATCH_NUMBERS);
    for (const entry of entries) {
      const consume = chosen.has(entry.name)
        ? decoder(file, entry, visitor.begin(entry), stage, scratch)
        : () => {};
      await takeTensor(file, reader, entry, total, consume);
    }
    if ((await reader.take(1)) !== undefined) {
      throw new CheckpointError(
        file,
        `safetensors: ${file} goes on after its last tensor: ${total} bytes expected`,
      );
    }
  } finally {
    await reader.close();
  }
}

/** Exactly `count` bytes. Memory grows with what arrives, not with what a damaged length promises. */
async function takeHeader(
  file: string,
  reader: ByteReader,
  count: number,
  least: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let held = 0;
  while (held < count) {
    const bytes = await reader.take(count - held);
    if (bytes === undefined) {
      throw new CheckpointError(
        file,
        `safetensors: ${file} ends after ${reader.position} of at least ${least} bytes, inside its header`,
      );
    }
    parts.push(bytes.slice());
    held += bytes.length;
  }
  const all = new Uint8Array(count);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function takeTensor(
  file: string,
  reader: ByteReader,
  entry: TensorEntry,
  total: number,
  consume: (bytes: Uint8Array) => void,
): Promise<void> {
  for (let left = entry.end - entry.begin; left > 0;) {
    const bytes = await reader.take(left);
    if (bytes === undefined) {
      throw new CheckpointError(
        entry.name,
        `safetensors: ${file} ends after ${reader.position} of ${total} bytes, inside ${entry.name}`,
      );
    }
    consume(bytes);
    left -= bytes.length;
  }
}

/** Takes a tensor's bytes in pieces of any size and hands its numbers to `sink`. */
function decoder(
  file: string,
  entry: TensorEntry,
  sink: Sink,
  stage: Uint8Array<ArrayBuffer>,
  scratch: Float32Array,
): (bytes: Uint8Array) => void {
  const format = storedFormats.get(entry.dtype)!;
  const size = format.bytes;
  let element = 0;
  // Bytes at the front of `stage` that wait for the rest of their number.
  let held = 0;

  function emit(buffer: ArrayBufferLike, start: number, numbers: number): void {
    for (let done = 0; done < numbers;) {
      const at = start + done * size;
      const count = Math.min(numbers - done, SCRATCH_NUMBERS);
      const values = format.decode(buffer, at, count, scratch);
      if (values === undefined) {
        const { index, value } = firstNotFinite(format, buffer, at, count);
        throw new CheckpointError(
          entry.name,
          `safetensors: ${entry.name} in ${file} is not finite at element ${element + index}: ${value}`,
        );
      }
      sink(element, values);
      element += count;
      done += count;
    }
  }

  return (bytes) => {
    let at = 0;
    while (at < bytes.length) {
      const left = bytes.length - at;
      const address = bytes.byteOffset + at;
      if (held === 0 && left >= size && address % size === 0) {
        const numbers = Math.floor(left / size);
        emit(bytes.buffer, address, numbers);
        at += numbers * size;
      } else {
        const count = Math.min(left, stage.length - held);
        stage.set(bytes.subarray(at, at + count), held);
        at += count;
        held += count;
        const numbers = Math.floor(held / size);
        emit(stage.buffer, 0, numbers);
        stage.copyWithin(0, numbers * size, held);
        held -= numbers * size;
      }
    }
  };
}
