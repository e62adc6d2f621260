// A checkpoint folder: its config and tokenizer files, and where its weights will come from.
// Reads no weights and understands no field of any config.
import { ifPresent, readText, type ByteSource } from "./byte-source.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import { parseJson, readJson } from "./json.ts";

export interface Checkpoint {
  readonly source: ByteSource;
  readonly config: Readonly<Record<string, unknown>>;
  /** config.json as it stands, part of the revision. */
  readonly configText: string;
  /** Absent for a model that is given token ids only. */
  readonly tokenizerJson: Readonly<Record<string, unknown>> | undefined;
  readonly tokenizerConfig: Readonly<Record<string, unknown>> | undefined;
}

/** Throws `CheckpointError` where config.json is absent, or where a file is there and is not a JSON object. */
export async function openCheckpoint(source: ByteSource): Promise<Checkpoint> {
  const configText = await ifPresent(readText(source, "config.json"));
  if (configText === undefined) {
    throw new CheckpointError(
      "config.json",
      `config.json: not found in ${source.name}, which is therefore no checkpoint folder`,
    );
  }
  return {
    source,
    config: parseJson(configText, "config.json", source.name),
    configText,
    tokenizerJson: await ifPresent(readJson(source, "tokenizer.json")),
    tokenizerConfig: await ifPresent(readJson(source, "tokenizer_config.json")),
  };
}
