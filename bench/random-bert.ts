// BERT classifiers with random weights, made in memory: a size is all that matters to a clock. The same seed gives the same bytes.
import { uniformFloat32 } from "pure-rand/distribution/uniformFloat32";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { type ByteSource, memorySource } from "../src/loading/byte-source.ts";
import { aliases } from "../src/loading/plan.ts";
import { layOut } from "../src/loading/safetensors-writer.ts";
import { modelOf } from "../src/model/registry.ts";

export interface BertSize {
  readonly layers: number;
  readonly channels: number;
  readonly heads: number;
  readonly inner: number;
}

export const bertSizes = {
  "bert-4x256": { layers: 4, channels: 256, heads: 4, inner: 1024 },
  "bert-6x384": { layers: 6, channels: 384, heads: 12, inner: 1536 },
  "bert-6x768": { layers: 6, channels: 768, heads: 12, inner: 3072 },
} as const satisfies Record<string, BertSize>;

export type BertName = keyof typeof bertSizes;
export const bertNames = Object.keys(bertSizes) as BertName[];

/** Small: a word table is only looked up, and its size changes no timing. */
export const VOCABULARY = 1000;
const LONGEST = 128;

export interface RandomTensor {
  readonly shape: readonly number[];
  /** A view into `file`. */
  readonly values: Float32Array<ArrayBuffer>;
}

export interface RandomBert extends BertSize {
  readonly config: Readonly<Record<string, unknown>> & { readonly layer_norm_eps: number };
  /** By name in the checkpoint. */
  readonly tensors: ReadonlyMap<string, RandomTensor>;
  /** model.safetensors */
  readonly file: Uint8Array<ArrayBuffer>;
}

export function randomBert(size: BertSize, { seed = 1 } = {}): RandomBert {
  const config = {
    model_type: "bert",
    architectures: ["BertForSequenceClassification"],
    hidden_size: size.channels,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    intermediate_size: size.inner,
    vocab_size: VOCABULARY,
    max_position_embeddings: LONGEST,
    type_vocab_size: 2,
    hidden_act: "gelu",
    layer_norm_eps: 1e-12,
    num_labels: 2,
  };
  const laid = modelOf(config).weights.map((planned) => ({
    name: aliases(planned)[0] ?? "",
    dtype: "F32",
    shape: planned.shape,
    bytes: planned.rows * planned.columns * 4,
  }));
  const [{ header, bytes } = unlaid()] = layOut(laid).files;
  const file = new Uint8Array(bytes);
  file.set(header);
  const generator = xoroshiro128plus(seed);
  const tensors = new Map<string, RandomTensor>();
  let at = header.length;
  for (const { name, shape, bytes: length } of laid) {
    const values = new Float32Array(file.buffer, at, length / 4);
    const { centre, spread } = distribution(name, shape);
    for (let index = 0; index < values.length; index++) {
      values[index] = centre + spread * (2 * uniformFloat32(generator) - 1);
    }
    tensors.set(name, { shape, values });
    at += length;
  }
  return { ...size, config, tensors, file };
}

/** For `createExplainer`. Without a tokenizer: requests give ids. */
export function checkpointOf({ config, file }: RandomBert): ByteSource {
  return memorySource("random weights", {
    "config.json": JSON.stringify(config),
    "model.safetensors": file,
  });
}

/** Ordinary ids, none of them special. */
export function idsOf(tokens: number): number[] {
  return Array.from({ length: tokens }, (_, token) => (100 + 37 * token) % VOCABULARY);
}

/** Products keep a variance of about 1, so that softmax and activations work in their usual range. */
function distribution(name: string, shape: readonly number[]): { centre: number; spread: number } {
  if (name.endsWith("LayerNorm.weight")) return { centre: 1, spread: 0.1 };
  if (name.endsWith(".bias")) return { centre: 0, spread: 0.1 };
  if (name.includes("embeddings.")) return { centre: 0, spread: 1 };
  return { centre: 0, spread: Math.sqrt(3 / (shape[1] ?? 1)) };
}

function unlaid(): never {
  throw new Error("random bert: no file was laid out");
}
