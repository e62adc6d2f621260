// Streams the weights that a plan asks for into backend memory and computes the checkpoint's revision.
// The plan comes from the model family; nothing here knows a family.
import type { Backend } from "../backend/backend.ts";
import type { Tensor } from "../tensor.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { WeightsMismatch, WeightsMissing, shapeText } from "./checkpoint-error.ts";
import { readSafetensors } from "./safetensors.ts";
import type { TensorEntry } from "./safetensors-header.ts";
import { checkPlacement, findShards, openShard } from "./shards.ts";
import { revisionHash } from "./revision.ts";

export interface PlannedWeight {
  /** Canonical name: the key in the result. */
  readonly name: string;
  /** Name in the checkpoint, or several: the first that the checkpoint holds is taken. */
  readonly tensor: string | readonly string[];
  /** Shape in the backend; a vector of length n is (1, n). */
  readonly rows: number;
  readonly columns: number;
  /** Shape that the checkpoint must have, e.g. [n] for a vector. */
  readonly shape: readonly number[];
}

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
  backend: Pick<Backend, "weight" | "write">,
  { onProgress = () => {} }: { onProgress?: (progress: LoadProgress) => void } = {},
): Promise<LoadedWeights> {
  checkPlan(plan);
  const shards = await findShards(source);
  const hash = revisionHash();
  const loaded = new Map<PlannedWeight, Tensor>();
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
        return chooseWanted(file, wanted, tensors);
      },
      begin({ name }) {
        const users = wanted!.get(name)!;
        const tensor = backend.weight(users[0]!.rows, users[0]!.columns);
        for (const planned of users) loaded.set(planned, tensor);
        return (at, values) => backend.write(tensor, at, values);
      },
    });
    await hash.endFile();
    report();
  }
  await hash.add(new TextEncoder().encode(configText));
  await hash.endFile();
  return {
    weights: new Map(plan.map((planned) => [planned.name, loaded.get(planned)!])),
    revision: await hash.finish(),
  };
}

/** Checkpoint name -> the planned weights that it serves. Throws `WeightsMissing`. */
function resolvePlan(
  plan: readonly PlannedWeight[],
  tensors: ReadonlyMap<string, unknown>,
  where: string,
): ReadonlyMap<string, readonly PlannedWeight[]> {
  const wanted = new Map<string, PlannedWeight[]>();
  const missing: PlannedWeight[] = [];
  for (const planned of plan) {
    const tensor = aliases(planned).find((name) => tensors.has(name));
    if (tensor === undefined) missing.push(planned);
    else wanted.set(tensor, [...(wanted.get(tensor) ?? []), planned]);
  }
  const first = missing[0];
  if (first !== undefined) {
    const described = missing.map(
      (planned) => `${aliases(planned).join(" or ")} ${shapeText(planned.shape)}`,
    );
    throw new WeightsMissing(aliases(first)[0]!, described, where);
  }
  return wanted;
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

function aliases({ tensor }: PlannedWeight): readonly string[] {
  return typeof tensor === "string" ? [tensor] : tensor;
}

/** A plan that cannot be met is the family's mistake, not the checkpoint's. */
function checkPlan(plan: readonly PlannedWeight[]): void {
  const names = new Set<string>();
  for (const planned of plan) {
    const { name, rows, columns, shape } = planned;
    if (names.has(name)) throw new Error(`plan: ${name} stands twice`);
    names.add(name);
    if (aliases(planned).length === 0) throw new Error(`plan: ${name} has no checkpoint name`);
    if (shape.reduce((product, size) => product * size, 1) !== rows * columns) {
      throw new Error(
        `plan: ${name} with shape ${shapeText(shape)} cannot be (${rows}, ${columns})`,
      );
    }
  }
}
