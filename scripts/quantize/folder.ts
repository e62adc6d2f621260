// Writes a checkpoint folder again with int8 weights. Knows no command line and prints nothing.
import { openAsBlob } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../../src/loading/checkpoint-error.ts";
import { openCheckpoint } from "../../src/loading/checkpoint.ts";
import {
  planQuantisation,
  type Quantisation,
  type QuantisationError,
  type SourceTensor,
} from "../../src/loading/quantisation.ts";
import { headerLength, parseHeader } from "../../src/loading/safetensors-header.ts";
import { checkPlacement, findShards, openShard, type Shards } from "../../src/loading/shards.ts";
import { quantisableWeights } from "../../src/model/graph.ts";
import { modelOf } from "../../src/model/registry.ts";
import { folderSource } from "../../src/node.ts";
import { writeFolder, type WriteOptions, type Written } from "../convert/written-folder.ts";

export interface Quantised extends Written {
  readonly family: string;
  /** Of all weight files of the source. */
  readonly bytesBefore: number;
  /** One per quantised tensor. */
  readonly errors: readonly QuantisationError[];
}

/**
 * Reads `from`, quantises the linear weights and the word embedding, and writes `to`. Throws `ConfigError`, and as
 * `writeFolder`.
 */
export async function quantizeFolder(
  from: string,
  to: string,
  options: WriteOptions = {},
): Promise<Quantised> {
  const source = folderSource(from);
  const checkpoint = await openCheckpoint(source);
  const { config, graph, weights: plan } = modelOf(checkpoint.config);
  let bytesBefore = 0;
  let quantisation: Quantisation | undefined;
  const prepare = async (limitBytes: number) => {
    const shards = await findShards(source);
    const tensors = new Map<string, SourceTensor>();
    for (const file of shards.files) {
      // A file that is not there is reported as the explainer would.
      await (await openShard(source, shards, file)).cancel();
      const blob = await openAsBlob(join(from, file));
      bytesBefore += blob.size;
      for (const tensor of await tensorsOf(file, blob, shards)) tensors.set(tensor.name, tensor);
    }
    const names = quantisableWeights(graph);
    quantisation = planQuantisation(tensors, plan, names, { where: from, limitBytes });
    return quantisation;
  };
  const written = await writeFolder(from, to, plan, prepare, options);
  return { family: config.family, ...written, bytesBefore, errors: quantisation!.errors };
}

async function tensorsOf(file: string, blob: Blob, shards: Shards): Promise<SourceTensor[]> {
  const bytes = async (begin: number, end: number) => {
    if (end > blob.size) {
      const message = `safetensors: ${file} ends after ${blob.size} of at least ${end} bytes`;
      throw new CheckpointError(file, message);
    }
    return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
  };
  const data = 8 + headerLength(file, await bytes(0, 8));
  const entries = parseHeader(file, await bytes(8, data));
  checkPlacement(shards, file, new Map(entries.map((entry) => [entry.name, entry])));
  const total = data + (entries.at(-1)?.end ?? 0);
  if (total !== blob.size) {
    const message = `safetensors: ${file} has ${blob.size} bytes, ${total} expected`;
    throw new CheckpointError(file, message);
  }
  return entries.map((entry) => ({
    ...entry,
    file,
    async *pieces() {
      yield* blob.slice(data + entry.begin, data + entry.end).stream();
    },
  }));
}
