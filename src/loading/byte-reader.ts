// A stream cut to measure: views of at most so many bytes, without copying. Knows no file format.
import { CheckpointError } from "./checkpoint-error.ts";

export interface ByteReader {
  /** Bytes given out so far. */
  readonly position: number;
  /**
   * The next 1 to `limit` bytes, as a view of the stream's own chunk: read it before the next call, never write
   * to it. undefined at the end of the stream.
   */
  take(limit: number): Promise<Uint8Array | undefined>;
  /** Ends the stream, so that a file or connection behind it is let go. Safe at any time, once or more. */
  close(): Promise<void>;
}

/**
 * `onChunk` sees every chunk once and whole, before its first byte is given out.
 * A stream that fails raises `CheckpointError` naming `file`.
 */
export function byteReader(
  file: string,
  stream: ReadableStream<Uint8Array>,
  { onChunk = async () => {} }: { onChunk?: (chunk: Uint8Array) => Promise<void> } = {},
): ByteReader {
  const reader = chunkReader(stream);
  let chunk: Uint8Array = new Uint8Array(0);
  let at = 0;
  let position = 0;
  let ended = false;

  async function pull(): Promise<void> {
    try {
      const next = await reader.read();
      ended = next === undefined;
      chunk = next ?? new Uint8Array(0);
    } catch (cause) {
      ended = true;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(file, `${file}: broke off after ${position} bytes: ${reason}`, {
        cause,
      });
    }
    at = 0;
    if (!ended) await onChunk(chunk);
  }

  return {
    get position() {
      return position;
    },
    async take(limit) {
      while (at === chunk.length && !ended) await pull();
      if (at === chunk.length) return undefined;
      const view = chunk.subarray(at, at + limit);
      at += view.length;
      position += view.length;
      return view;
    },
    async close() {
      if (ended) return;
      ended = true;
      await reader.cancel();
    },
  };
}

interface ChunkReader {
  /** The next chunk, good until the next call; undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
  cancel(): Promise<void>;
}

// workerd hands out 4 KiB at a time unless it is given a buffer to fill: 3,400 reads for 14 MB.
const BUFFER_BYTES = 256 * 1024;

/** Reads into one buffer, used again and again, where the stream is one of bytes; else takes chunks as they come. */
function chunkReader(stream: ReadableStream<Uint8Array>): ChunkReader {
  let byob: ReadableStreamBYOBReader;
  try {
    byob = stream.getReader({ mode: "byob" });
  } catch (error) {
    // The one way to learn that a stream is not one of bytes; a locked stream fails again below.
    if (!(error instanceof TypeError)) throw error;
    const reader = stream.getReader();
    return {
      read: async () => (await reader.read()).value,
      cancel: () => reader.cancel(),
    };
  }
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  return {
    async read() {
      const { done, value } = await byob.read(new Uint8Array(buffer));
      if (done || value === undefined) return undefined;
      buffer = value.buffer;
      return value;
    },
    cancel: () => byob.cancel(),
  };
}
