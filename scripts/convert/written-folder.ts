// A checkpoint folder on disk, written whole or not at all: by way of a folder beside it that takes its name at the end.
// Knows no command line, prints nothing, and does not care where the tensors come from.
import { type FileHandle, lstat, mkdir, open, readdir, realpath } from "node:fs/promises";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { openCheckpoint } from "../../src/loading/checkpoint.ts";
import { ASSET_BYTES, type Conversion } from "../../src/loading/conversion.ts";
import type { PlannedWeight } from "../../src/loading/plan.ts";
import { INDEX_FILE } from "../../src/loading/shards.ts";
import { loadWeights } from "../../src/loading/weights.ts";
import { folderSource } from "../../src/node.ts";

export interface WriteOptions {
  /** Replaces a folder that was written like this earlier. */
  readonly force?: boolean;
  /** Largest weight file. */
  readonly limitBytes?: number;
  /** Bytes of weights written so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the work with the signal's reason, and without a trace. */
  readonly signal?: AbortSignal;
}

export interface Written {
  readonly tensors: number;
  /** Of all weight files. */
  readonly bytes: number;
  readonly files: readonly string[];
  /** Files taken over as they are. */
  readonly copied: readonly string[];
  readonly notes: readonly string[];
  /** What answers will name as the model's revision. */
  readonly revision: string;
}

const COPIED = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "vocab.txt",
  "special_tokens_map.json",
];

/**
 * Writes what `prepare` gives, and the files beside the weights of `from`, to `to`; reads it back against `plan` before
 * it takes its name. Throws what `prepare` throws, `CheckpointError` for a result that does not load, and `Error` for a
 * `to` that cannot be written, before anything is read; `to` is then as it was.
 */
export async function writeFolder(
  from: string,
  to: string,
  plan: readonly PlannedWeight[],
  prepare: (limitBytes: number) => Promise<Conversion>,
  options: WriteOptions,
): Promise<Written> {
  const { force = false, limitBytes = ASSET_BYTES, signal } = options;
  const target = resolve(to);
  await checkTarget(await realpath(from), target, force);
  const conversion = await prepare(limitBytes);
  await mkdir(dirname(target), { recursive: true });
  await removeAbandoned(target);
  const partial = `${target}.partial-${process.pid}`;
  try {
    await mkdir(partial);
    const copied = await copyFiles(from, partial);
    await writeWeights(partial, conversion, options);
    // Read back as the explainer will: torn writes and numbers that are not finite show here.
    const write = () => signal?.throwIfAborted();
    const { revision } = await loadWeights(
      await openCheckpoint({ ...folderSource(partial), name: to }),
      plan,
      { weight: blank, write, writeScales: write },
    );
    signal?.throwIfAborted();
    await replace(target, partial);
    const { files, notes } = conversion;
    return {
      tensors: files.reduce((sum, { tensors }) => sum + tensors.length, 0),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      files: files.map(({ file }) => file),
      copied,
      notes,
      revision,
    };
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

const blank = (rows: number, columns: number) => ({ rows, columns, storage: undefined });

/** Throws unless `target` is free, empty, or, with `force`, holds nothing but what is written here. */
async function checkTarget(from: string, target: string, force: boolean): Promise<void> {
  const status = await lstat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (status === undefined) return;
  if (!status.isDirectory()) throw new Error(`${target}: is there and is no folder`);
  const real = await realpath(target);
  if (`${from}${sep}`.startsWith(`${real}${sep}`)) {
    throw new Error(`${target}: holds the folder that is to be read`);
  }
  const entries = await readdir(target);
  if (entries.length === 0) return;
  if (!force) throw new Error(`${target}: is there already; --force replaces it`);
  const foreign = entries.find((entry) => !COPIED.includes(entry) && !isWeightFile(entry));
  if (foreign !== undefined) {
    throw new Error(`${target}: not replaced, since ${foreign} in it would be lost`);
  }
}

export function isWeightFile(name: string): boolean {
  return name === INDEX_FILE || /^model(-\d{5}-of-\d{5})?\.safetensors$/.test(name);
}

/** Folders that a process left behind which was killed before it could tidy up. */
async function removeAbandoned(target: string): Promise<void> {
  const prefix = `${basename(target)}.partial-`;
  for (const entry of await readdir(dirname(target))) {
    if (!entry.startsWith(prefix) || !/^\d+$/.test(entry.slice(prefix.length))) continue;
    if (isRunning(Number(entry.slice(prefix.length)))) continue;
    await rm(join(dirname(target), entry), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    // Signal 0 only asks whether the process is there.
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function copyFiles(from: string, to: string): Promise<string[]> {
  const copied: string[] = [];
  const entries = await readdir(from);
  for (const file of COPIED.filter((each) => entries.includes(each))) {
    // Read and written, since copyFile would hand on a read-only mode.
    await writeFile(join(to, file), await readFile(join(from, file)));
    copied.push(file);
  }
  return copied;
}

async function writeWeights(
  folder: string,
  { files, index }: Conversion,
  { onProgress = () => {}, signal }: WriteOptions,
): Promise<void> {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const { file, header, tensors } of files) {
    const handle = await open(join(folder, file), "wx");
    const write = async (bytes: Uint8Array) => {
      signal?.throwIfAborted();
      await writeAll(handle, bytes);
      done += bytes.length;
      onProgress(done, total);
    };
    try {
      await write(header);
      for (const tensor of tensors) for await (const piece of tensor.pieces()) await write(piece);
    } finally {
      await handle.close();
    }
  }
  if (index !== undefined) await writeFile(join(folder, INDEX_FILE), index);
}

/** One call may write less than it was given. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await handle.write(bytes, at)).bytesWritten;
  }
}

/** An old folder goes only once the new one stands in its place. */
async function replace(target: string, partial: string): Promise<void> {
  const old = `${partial}-old`;
  const had = await rename(target, old).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  try {
    await rename(partial, target);
  } catch (error) {
    if (had) await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}
