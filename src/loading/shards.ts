// Which files hold a checkpoint's weights: one model.safetensors, or the shards that an index lists.
// Knows file names and the index, not what is inside a weight file.
import { ifPresent, type ByteSource } from "./byte-source.ts";
import { CheckpointError, FileMissing } from "./checkpoint-error.ts";
import { isRecord, readJson } from "./json.ts";

export const SINGLE_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";

export interface Shards {
  /** Weight files, sorted by name. */
  readonly files: readonly string[];
  /** Tensor -> file that holds it; absent where there is no index. */
  readonly placement?: ReadonlyMap<string, string>;
}

/** The index wins where both are present. Throws `CheckpointError` where the index is not one. */
export async function findShards(source: ByteSource): Promise<Shards> {
  const index = await ifPresent(readJson(source, INDEX_FILE));
  if (index === undefined) return { files: [SINGLE_FILE] };
  const map = index["weight_map"];
  if (!isRecord(map) || Object.keys(map).length === 0) {
    throw new CheckpointError(INDEX_FILE, `${INDEX_FILE}: no weight_map in ${source.name}`);
  }
  const placement = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    // A name only: an index must not reach outside its own folder.
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new CheckpointError(
        tensor,
        `${INDEX_FILE}: ${tensor} is not in a .safetensors file of the same folder: ${JSON.stringify(file)}`,
      );
    }
    placement.set(tensor, file);
  }
  return { files: [...new Set(placement.values())].toSorted(), placement };
}

/** Stream of one of `shards.files`; an absent one is reported with what asked for it. */
export async function openShard(
  source: ByteSource,
  shards: Shards,
  file: string,
): Promise<ReadableStream<Uint8Array>> {
  try {
    return await source.open(file);
  } catch (cause) {
    if (!(cause instanceof FileMissing)) throw cause;
    if (shards.placement === undefined) {
      throw new CheckpointError(
        file,
        `weights: neither ${INDEX_FILE} nor ${SINGLE_FILE} found in ${source.name}`,
        { cause },
      );
    }
    const tensors = [...shards.placement].filter(([, holder]) => holder === file);
    throw new CheckpointError(
      file,
      `weights: ${file} not found in ${source.name}; ${INDEX_FILE} places ${tensors.length} tensors there, the first is ${tensors[0]?.[0]}`,
      { cause },
    );
  }
}

/** Throws unless the tensors that `file` holds are those that the index places there. */
export function checkPlacement(
  shards: Shards,
  file: string,
  tensors: ReadonlyMap<string, unknown>,
): void {
  if (shards.placement === undefined) return;
  for (const [tensor, holder] of shards.placement) {
    if (holder === file && !tensors.has(tensor)) {
      throw new CheckpointError(
        tensor,
        `weights: ${tensor} not in ${file}, where ${INDEX_FILE} places it`,
      );
    }
  }
  for (const tensor of tensors.keys()) {
    const holder = shards.placement.get(tensor);
    if (holder !== undefined && holder !== file) {
      throw new CheckpointError(
        tensor,
        `weights: ${tensor} in ${file}, but ${INDEX_FILE} places it in ${holder}`,
      );
    }
  }
}
