// Where the bytes of a checkpoint come from: the only input and output that loading knows.
// Knows no file format, no platform binding and no file system (see ../node.ts for that one).
import { byteReader } from "./byte-reader.ts";
import { CheckpointError, FileMissing } from "./checkpoint-error.ts";

export interface ByteSource {
  /** Named in messages: a folder, an address. */
  readonly name: string;
  /** Each call streams the file from its start. Throws `FileMissing`. */
  open(path: string): Promise<ReadableStream<Uint8Array>>;
}

// Small enough for backpressure to mean something, large enough that the calls per chunk do not count.
const MEMORY_CHUNK = 256 * 1024;

/** Files held in memory; they are streamed as views, so do not write to them while they are read. */
export function memorySource(
  name: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): ByteSource {
  return {
    name,
    async open(path) {
      const file = Object.hasOwn(files, path) ? files[path] : undefined;
      if (file === undefined) throw new FileMissing(path, name);
      const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
      let at = 0;
      return new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            if (at >= bytes.length) return controller.close();
            controller.enqueue(bytes.subarray(at, at + MEMORY_CHUNK));
            at += MEMORY_CHUNK;
          },
        },
        { highWaterMark: 0 },
      );
    },
  };
}

/**
 * Files behind HTTP: `env.ASSETS.fetch` in a Worker, `fetch` in a page. 404 and 410 are `FileMissing`, and so is an
 * HTML page: hosts set up for a single-page app answer 200 with the page for every file that they do not have.
 */
export function fetchSource(
  name: string,
  fetcher: (path: string) => Promise<Response>,
): ByteSource {
  return {
    name,
    async open(path) {
      let response: Response;
      try {
        response = await fetcher(path);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new CheckpointError(path, `${path}: cannot be fetched from ${name}: ${reason}`, {
          cause,
        });
      }
      const html = response.headers.get("content-type")?.startsWith("text/html") ?? false;
      if (response.ok && !html) return response.body ?? new Blob([]).stream();
      // An unread body would hold its connection.
      await response.body?.cancel();
      if (response.status === 404 || response.status === 410 || response.ok) {
        throw new FileMissing(path, name);
      }
      throw new CheckpointError(path, `${path}: ${name} answered with status ${response.status}`);
    },
  };
}

/** A whole file as text. Throws `FileMissing`, or `CheckpointError` where it is not UTF-8. */
export async function readText(source: ByteSource, path: string): Promise<string> {
  const reader = byteReader(path, await source.open(path));
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const parts: string[] = [];
  try {
    for (;;) {
      const bytes = await reader.take(Number.MAX_SAFE_INTEGER);
      parts.push(decodePart(decoder, bytes, path, source.name));
      if (bytes === undefined) return parts.join("");
    }
  } finally {
    await reader.close();
  }
}

/** undefined where `reading` finds no such file; every other error goes on. */
export async function ifPresent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof FileMissing) return undefined;
    throw error;
  }
}

function decodePart(
  decoder: TextDecoder,
  bytes: Uint8Array | undefined,
  path: string,
  source: string,
): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch (cause) {
    throw new CheckpointError(path, `${path}: not UTF-8 in ${source}`, { cause });
  }
}
