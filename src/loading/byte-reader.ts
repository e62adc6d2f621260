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
  const reader = stream.getReader();
  let chunk = new Uint8Array(0);
  let at = 0;
  let position = 0;
  let ended = false;

  async function pull(): Promise<void> {
    let result;
    try {
      result = await reader.read();
    } catch (cause) {
      ended = true;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CheckpointError(file, `${file}: broke off after ${position} bytes: ${reason}`, {
        cause,
      });
    }
    if (result.done) {
      ended = true;
      chunk = new Uint8Array(0);
    } else {
      chunk = result.value as Uint8Array<ArrayBuffer>;
      await onChunk(chunk);
    }
    at = 0;
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
