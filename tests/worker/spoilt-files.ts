// Ways in which the files of a model can be wrong, and what an answer has to name for each.
import type { Files } from "./service.ts";

const WEIGHTS = "model.safetensors";
const tensor = "bert.encoder.layer.1.attention.self.query.weight";
const decoder = new TextDecoder();

export const weightsOf = (files: Files): Uint8Array => files[WEIGHTS] as Uint8Array;

/** Header of the weights, and where the data begins. */
export function headerOf(files: Files): { readonly json: string; readonly data: number } {
  const bytes = weightsOf(files);
  const data = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  return { json: decoder.decode(bytes.subarray(8, data)), data };
}

type Spoil = (files: Files) => Files;

const without =
  (name: string): Spoil =>
  (files) =>
    Object.fromEntries(Object.entries(files).filter(([each]) => each !== name));

const replaced =
  (name: string, change: (files: Files) => Uint8Array | string): Spoil =>
  (files) => ({ ...files, [name]: change(files) });

const configured = (fields: Record<string, unknown>): Spoil =>
  replaced("config.json", (files) =>
    JSON.stringify({
      ...JSON.parse(decoder.decode(files["config.json"] as Uint8Array)),
      ...fields,
    }),
  );

/** The header keeps its length, so that everything else still fits. */
const renamed = replaced(WEIGHTS, (files) => {
  const bytes = weightsOf(files).slice();
  const json = headerOf(files).json.replace(tensor, tensor.replace("query", "qwery"));
  bytes.set(new TextEncoder().encode(json), 8);
  return bytes;
});

/** The index places every tensor in a file that is not there. */
const shardMissing: Spoil = (files) => {
  const tensors = Object.keys(JSON.parse(headerOf(files).json)).filter((name) => name[0] !== "_");
  const map = Object.fromEntries(tensors.map((name) => [name, "part-2.safetensors"]));
  return { ...files, [`${WEIGHTS}.index.json`]: JSON.stringify({ weight_map: map }) };
};

export const spoilt: readonly (readonly [what: string, spoil: Spoil, says: string])[] = [
  ["no folder", () => ({}), "config.json"],
  ["no weights", without(WEIGHTS), WEIGHTS],
  ["torn weights", replaced(WEIGHTS, (files) => weightsOf(files).subarray(0, 200_000)), WEIGHTS],
  ["empty weights", replaced(WEIGHTS, () => ""), WEIGHTS],
  ["a page instead of weights", replaced(WEIGHTS, () => "<html>"), WEIGHTS],
  ["a tensor missing", renamed, tensor],
  ["a shard missing", shardMissing, "part-2.safetensors"],
  ["another shape", configured({ intermediate_size: 64 }), "intermediate"],
  ["another family", configured({ model_type: "t5" }), "model_type"],
  ["a field missing", configured({ hidden_size: undefined }), "hidden_size"],
  ["config.json torn", replaced("config.json", () => '{"model_type"'), "config.json"],
  ["tokenizer.json torn", replaced("tokenizer.json", () => "{"), "tokenizer.json"],
];
