// Converts a folder with a pytorch_model.bin into one with safetensors. Knows no command line and prints nothing.
import { openAsBlob } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../src/loading/checkpoint-error.ts";
import { openCheckpoint } from "../../src/loading/checkpoint.ts";
import {
  BIN_INDEX_FILE,
  type BinFiles,
  checkBinPlacement,
  findBinFiles,
  planConversion,
} from "../../src/loading/conversion.ts";
import { openStateDict } from "../../src/loading/pytorch.ts";
import { modelOf } from "../../src/model/registry.ts";
import { folderSource } from "../../src/node.ts";
import { isWeightFile, writeFolder, type WriteOptions, type Written } from "./written-folder.ts";

export interface Converted extends Written {
  readonly family: string;
}

/** Reads `from`, checks it against its family, and writes `to`. Throws `ConfigError`, and as `writeFolder`. */
export async function convertFolder(
  from: string,
  to: string,
  options: WriteOptions = {},
): Promise<Converted> {
  const source = folderSource(from);
  const checkpoint = await openCheckpoint(source);
  const { config, weights: plan } = modelOf(checkpoint.config);
  const prepare = async (limitBytes: number) => {
    const bins = await findBinFiles(source);
    const dicts = [];
    for (const file of bins.files) {
      const dict = await openStateDict(file, await openBin(from, file, bins));
      checkBinPlacement(bins, dict);
      dicts.push(dict);
    }
    return planConversion(dicts, plan, { where: from, limitBytes });
  };
  const written = await writeFolder(from, to, plan, prepare, options);
  return { family: config.family, ...written };
}

async function openBin(folder: string, file: string, { placement }: BinFiles): Promise<Blob> {
  try {
    return await openAsBlob(join(folder, file));
  } catch (cause) {
    // The error does not say why.
    const entries = await readdir(folder);
    const refuse = (culprit: string, fault: string) =>
      new CheckpointError(culprit, fault, { cause });
    if (entries.includes(file)) throw refuse(file, `${file}: cannot be opened in ${folder}`);
    if (placement !== undefined) {
      throw refuse(file, `weights: ${file} not found in ${folder}, ${BIN_INDEX_FILE} names it`);
    }
    const done = entries.find(isWeightFile);
    if (done !== undefined) throw refuse(done, `${done}: already in ${folder}; nothing to convert`);
    throw refuse(file, `weights: neither ${BIN_INDEX_FILE} nor ${file} found in ${folder}`);
  }
}
