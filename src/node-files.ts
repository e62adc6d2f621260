// A checkpoint folder on disk as a byte source. For Node only; knows no file format.
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ByteSource } from "./loading/byte-source.ts";
import { CheckpointError, FileMissing } from "./loading/checkpoint-error.ts";

/** Files below `path`, streamed. Throws `FileMissing`, or `CheckpointError` where a file cannot be opened. */
export function folderSource(path: string): ByteSource {
  return {
    name: path,
    async open(file) {
      let handle;
      try {
        handle = await open(join(path, file));
      } catch (cause) {
        const { code, message } = cause as NodeJS.ErrnoException;
        if (code === "ENOENT" || code === "ENOTDIR") throw new FileMissing(file, path);
        throw new CheckpointError(file, `${file}: cannot be opened in ${path}: ${message}`, {
          cause,
        });
      }
      const stream = handle.createReadStream({ highWaterMark: 256 * 1024 });
      return Readable.toWeb(stream) as ReadableStream<Uint8Array>;
    },
  };
}
