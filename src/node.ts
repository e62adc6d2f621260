// The Node edge: checkpoint folders on disk, kernels from build/, a backend by name.
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Backend } from "./backend/backend.ts";
import { createReferenceBackend } from "./backend/reference.ts";
import { createWasmBackend, supportsRelaxedSimd } from "./backend/wasm.ts";
import type { ByteSource } from "./loading/byte-source.ts";
import { CheckpointError, FileMissing } from "./loading/checkpoint-error.ts";

/** Files below `path`, streamed. Throws `FileMissing`, or `CheckpointError` where a file cannot be opened. */
export function folderSource(path: string): ByteSource {
  return {
    name: path,
    async open(file) {
      const handle = await open(join(path, file)).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code === "ENOENT" || cause.code === "ENOTDIR") throw new FileMissing(file, path);
        const message = `${file}: cannot be opened in ${path}: ${cause.message}`;
        throw new CheckpointError(file, message, { cause });
      });
      const stream = handle.createReadStream({ highWaterMark: 256 * 1024 });
      return Readable.toWeb(stream) as ReadableStream<Uint8Array>;
    },
  };
}

export const backendNames = ["wasm", "wasm-simd", "wasm-relaxed-simd", "reference"] as const;
export type BackendName = (typeof backendNames)[number];

/** "wasm" takes the relaxed-SIMD build where the engine has it. Throws where build/ has no kernels yet. */
export async function createBackend(name: BackendName): Promise<Backend> {
  if (name === "reference") return createReferenceBackend();
  const build =
    name === "wasm" ? (supportsRelaxedSimd() ? "wasm-relaxed-simd" : "wasm-simd") : name;
  return createWasmBackend(await compileKernels(build), { name: build });
}

async function compileKernels(
  build: "wasm-simd" | "wasm-relaxed-simd",
): Promise<WebAssembly.Module> {
  const file = build.replace("wasm", "kernels").replace("-", ".");
  const path = fileURLToPath(new URL(`../build/${file}.wasm`, import.meta.url));
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new Error(`kernels: ${path} is not there; npm run build makes it`, { cause });
  });
  return WebAssembly.compile(bytes);
}
