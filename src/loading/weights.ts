// Streams the weights that a plan asks for into backend memory and computes the checkpoint's revision.
// The plan comes from the model family; nothing here knows a family.
import type { Backend, WeightFormat } from "../backend/backend.ts";
import type { Tensor } from "../tensor.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { WeightsMismatch } from "./checkpoint-error.ts";
import { checkPlan, type PlannedWeight, resolvePlan } from "./plan.ts";
import { readSafetensors } from "./safetensors.ts";
import type { TensorEntry } from "./safetensors-header.ts";
import { checkPlacement, findShards, openShard } from "./shards.ts";
import { revisionHash } from "./revision.ts";
import { INT8_DTYPE, scaleCollector } from "./scales.ts";

export interface LoadProgress {
  /** Weight file being read. */
  readonly file: string;
  /** Bytes read of all weight files so far. */
  readonly bytes: number;
  /** Planned weights that have been reached so far, and in all. */
  readonly weights: number;
  readonly weightsInAll: number;
}

export interface LoadedWeights {
  /** Canonical name -> weight, in the order of the plan. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Canonical name -> what the weight is held as. */
  readonly formats: ReadonlyMap<string, WeightFormat>;
  /** 16 hex digits: hash of every byte of the weight files and of config.json. See revision.ts. */
  readonly revision: string;
}

/**
 * Reads each weight file once, from front to back, with no more than a chunk of it in memory. Planned weights that
 * resolve to the same tensor (tied embeddings) share one `Tensor`.
 *
 * Throws `WeightsMissing`, `WeightsMismatch` or another `CheckpointError`, and `OutOfMemory` of the backend. Weights
 * allocated before that stay in the backend, half filled: drop the backend with them.
 */
export async function loadWeights(
  { source, configText }: Pick<Checkpoint, "source" | "configText">,
  plan: readonly PlannedWeight[],
  backend: Pick<Backend, "weight" | "write" | "writeScales">,
  { onProgress = () => {} }: { onProgress?: (progress: LoadProgress) => void } = {},
): Promise<LoadedWeights> {
  checkPlan(plan);
  const shards = await findShards(source);
  const hash = revisionHash();
  const scales = scaleCollector();
  const loaded = new Map<PlannedWeight, Tensor>();
  const int8 = new Map<string, Tensor>();
  // Names are known from the index, or from the header of the only file.
  let wanted = shards.placement && resolvePlan(plan, shards.placement, source.name);
  let bytes = 0;
  for (const file of shards.files) {
    const report = () =>
      onProgress({ file, bytes, weights: loaded.size, weightsInAll: plan.length });
    await readSafetensors(file, await openShard(source, shards, file), {
      async onChunk(chunk) {
        await hash.add(chunk);
        bytes += chunk.length;
        report();
      },
      choose(tensors) {
        checkPlacement(shards, file, tensors);
        wanted ??= resolvePlan(plan, tensors, `${file} of ${source.name}`);
        const names = shards.placement ?? tensors;
        return new Set([
          ...chooseWanted(file, wanted, tensors),
          ...scales.choose(file, wanted, tensors, names),
        ]);
      },
      begin(entry) {
        const users = wanted!.get(entry.name);
        if (users === undefined) return scales.begin(entry);
        const format = entry.dtype === INT8_DTYPE ? "int8" : "f32";
        const tensor = backend.weight(users[0]!.rows, users[0]!.columns, format);
        if (format === "int8") int8.set(entry.name, tensor);
        for (const planned of users) loaded.set(planned, tensor);
        return (at, values) => backend.write(tensor, at, values);
      },
    });
    await hash.endFile();
    report();
  }
  for (const [name, tensor] of int8) backend.writeScales(tensor, 0, scales.of(name));
  const int8Tensors = new Set(int8.values());
  const formatOf = (tensor: Tensor) => (int8Tensors.has(tensor) ? "int8" : "f32");
  await hash.add(new TextEncoder().encode(configText));
  await hash.endFile();
  return {
    weights: new Map(plan.map((planned) => [planned.name, loaded.get(planned)!])),
    formats: new Map(plan.map((planned) => [planned.name, formatOf(loaded.get(planned)!)])),
    revision: await hash.finish(),
  };
}

/** Names of the wanted tensors in this file. Throws `WeightsMismatch`. */
function chooseWanted(
  file: string,
  wanted: ReadonlyMap<string, readonly PlannedWeight[]>,
  tensors: ReadonlyMap<string, TensorEntry>,
): ReadonlySet<string> {
  const chosen = new Set<string>();
  for (const [name, users] of wanted) {
    const entry = tensors.get(name);
    if (entry === undefined) continue;
    for (const { shape } of users) {
      if (shape.length !== entry.shape.length || shape.some((size, i) => size !== entry.shape[i])) {
        throw new WeightsMismatch(name, file, shape, entry.shape);
      }
    }
    const [first, ...others] = users;
    const other = others.find((planned) => planned.rows !== first!.rows);
    if (other !== undefined) {
      throw new Error(`plan: ${first!.name} and ${other.name} share ${name} with different rows`);
    }
    chosen.add(name);
  }
  return chosen;
}
