// BERT with a classification head (BertForSequenceClassification): config fields, checkpoint names, formula.
import { z } from "zod";
import { activationOf, readFields, readLabels, requireValues, size } from "./config-fields.ts";
import {
  attention,
  type Draft,
  draft,
  embedding,
  feedForward,
  layerNorm,
  linear,
} from "./blocks.ts";
import { ConfigError, type Family, type Model, type ModelConfig } from "./family.ts";
import type { Node } from "./graph.ts";
import type { Sequence, TokenInput } from "./sequence.ts";

const fields = z.looseObject({
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  intermediate_size: size,
  vocab_size: size,
  max_position_embeddings: size,
  type_vocab_size: size.default(2),
  hidden_act: z.string().default("gelu"),
  layer_norm_eps: z.number().positive().default(1e-12),
  id2label: z.record(z.string(), z.string()).optional(),
  num_labels: size.optional(),
});

function configure(json: Readonly<Record<string, unknown>>): ModelConfig {
  const config = readFields(fields, json);
  requireValues(json, {
    position_embedding_type: ["absolute"],
    is_decoder: [false],
    add_cross_attention: [false],
    problem_type: ["single_label_classification"],
  });
  if (config.hidden_size % config.num_attention_heads !== 0) {
    const sizes = `${config.hidden_size}, not a multiple of num_attention_heads ${config.num_attention_heads}`;
    throw new ConfigError("hidden_size", `is ${sizes}`);
  }
  return {
    family: "bert",
    layers: config.num_hidden_layers,
    channels: config.hidden_size,
    heads: config.num_attention_heads,
    inner: config.intermediate_size,
    vocabulary: config.vocab_size,
    maximumTokens: config.max_position_embeddings,
    tokenTypes: config.type_vocab_size,
    labels: readLabels(json),
    activation: activationOf("hidden_act", config.hidden_act),
    normEpsilon: config.layer_norm_eps,
  };
}

/** Canonical name of a block's part -> its name in a Hugging Face checkpoint. */
const parts: Readonly<Record<string, string>> = {
  "embeddings.word": "embeddings.word_embeddings",
  "embeddings.position": "embeddings.position_embeddings",
  "embeddings.type": "embeddings.token_type_embeddings",
  "embeddings.norm": "embeddings.LayerNorm",
  "attention.query": "attention.self.query",
  "attention.key": "attention.self.key",
  "attention.value": "attention.self.value",
  "attention.output": "attention.output.dense",
  "attention.norm": "attention.output.LayerNorm",
  "feedforward.inner": "intermediate.dense",
  "feedforward.outer": "output.dense",
  "feedforward.norm": "output.LayerNorm",
  pooler: "pooler.dense",
  classifier: "classifier",
};

/** Checkpoints converted from TensorFlow call a norm's weight and bias gamma and beta. */
const legacySuffix: Readonly<Record<string, string>> = { weight: "gamma", bias: "beta" };

function checkpointNames(canonical: string, suffix: string): string[] {
  const [, layer, rest] = /^(?:layer\.(\d+)\.)?(.*)$/.exec(canonical) ?? [];
  const part = parts[rest ?? ""];
  if (part === undefined) throw new Error(`bert: no checkpoint name for ${canonical}`);
  const place = layer === undefined ? part : `encoder.layer.${layer}.${part}`;
  const path = part === "classifier" ? place : `bert.${place}`;
  const names = [`${path}.${suffix}`];
  if (part.endsWith("LayerNorm")) names.push(`${path}.${legacySuffix[suffix]}`);
  return names;
}

/** One post-norm block; only the rows of `queries` are computed, keys and values come from all `tokens`. */
function block(to: Draft, tokens: Node, queries: Node, layer: number, config: ModelConfig): Node {
  const name = `layer.${layer}`;
  const { graph } = to;
  const attended = attention(to, queries, tokens, `${name}.attention`, config);
  const h = layerNorm(
    to,
    graph.add(queries, attended),
    `${name}.attention.norm`,
    config.normEpsilon,
  );
  const f = feedForward(to, h, `${name}.feedforward`, config);
  return layerNorm(to, graph.add(h, f), `${name}.feedforward.norm`, config.normEpsilon);
}

function build(config: ModelConfig): Model {
  const to = draft(checkpointNames);
  const { graph } = to;
  const columns = config.channels;
  const table = (name: string, source: "ids" | "positions" | "types", entries: number) =>
    embedding(to, `embeddings.${name}`, source, { entries, columns });

  const word = graph.name("word", table("word", "ids", config.vocabulary));
  const position = table("position", "positions", config.maximumTokens);
  const type = table("type", "types", config.tokenTypes);
  const sum = graph.name("emb", graph.add(graph.add(word, position), type));
  let h = graph.name("hidden.0", layerNorm(to, sum, "embeddings.norm", config.normEpsilon));
  for (let layer = 0; layer < config.layers; layer++) {
    graph.layer(layer);
    // Only the read row of the last block reaches the head, so only that row is computed.
    const queries = layer === config.layers - 1 ? graph.select(h) : h;
    h = graph.name(`hidden.${layer + 1}`, block(to, h, queries, layer, config));
  }
  graph.layer(config.layers);
  const pooled = graph.activation(linear(to, h, "pooler", columns), "tanh");
  const logits = linear(to, pooled, "classifier", config.labels.length);
  return { config, graph: graph.build(logits), weights: to.weights, sequence };
}

/** Positions count from 0; the head reads the first token, [CLS]. */
function sequence(tokens: TokenInput): Sequence {
  return { ...tokens, positions: tokens.ids.map((_, token) => token), read: 0 };
}

export const bert: Family = {
  name: "bert",
  modelType: "bert",
  architectures: ["BertForSequenceClassification"],
  configure,
  build,
};
