// A BERT classifier as an ONNX model over the weights of random-bert.ts, in the operators that an exporter would use.
import { FLOAT, type OnnxGraph, onnxGraph } from "./onnx-graph.ts";
import type { RandomBert, RandomTensor } from "./random-bert.ts";

export interface OnnxOptions {
  /** Crops the last block to the row that the head reads, as our graph does. No exporter does this. */
  readonly cropped?: boolean;
  /** Linear layers as onnxruntime's dynamic quantisation writes them: int8 weights, uint8 activations, one scale each. */
  readonly quantized?: boolean;
}

/** Bytes of a model from `ids`, int64 (1, T), to `logits`, float (1, labels). Positions count from 0, types are 0. */
export function onnxOf(
  bert: RandomBert,
  { cropped = false, quantized = false }: OnnxOptions = {},
): Uint8Array {
  const { layers, channels, heads, tensors, config } = bert;
  const graph = onnxGraph();
  const { op, floats, integers } = graph;
  // In a quantised model the matrices are written where they are used.
  for (const [name, { shape, values }] of tensors) {
    const matrix = shape.length === 2 && !name.includes("embeddings");
    if (!(quantized && matrix)) floats(name, shape, values);
  }
  const first = integers("first", [0]);
  const second = integers("second", [1]);
  const flat = integers("flat", [-1]);
  const byHead = integers("by head", [0, heads, channels / heads]);
  const byToken = integers("by token", [0, channels]);
  const scale = floats("scale", [], Float32Array.of(1 / Math.sqrt(channels / heads)));

  const linear = quantized ? byteLinear(graph, tensors) : floatLinear(graph);
  const norm = (x: string, name: string) =>
    op("LayerNormalization", [x, `${name}.weight`, `${name}.bias`], {
      axis: { i: -1 },
      epsilon: { f: config.layer_norm_eps },
    });
  const split = (x: string, perm: number[]) =>
    op("Transpose", [op("Reshape", [x, byHead])], { perm: { ints: perm } });

  const embedding = (kind: string) => `bert.embeddings.${kind}_embeddings.weight`;
  const ids = op("Reshape", ["ids", flat]);
  const positions = op("Slice", [embedding("position"), first, op("Shape", [ids]), first]);
  const types = op("Slice", [embedding("token_type"), first, second, first]);
  const words = op("Gather", [embedding("word"), ids]);
  const embedded = op("Add", [op("Add", [words, positions]), types]);
  let h = norm(embedded, "bert.embeddings.LayerNorm");
  for (let layer = 0; layer < layers; layer++) {
    const block = `bert.encoder.layer.${layer}`;
    const self = `${block}.attention.self`;
    const queries = cropped && layer === layers - 1 ? op("Gather", [h, first]) : h;
    const q = split(linear(queries, `${self}.query`), [1, 0, 2]);
    const k = split(linear(h, `${self}.key`), [1, 2, 0]);
    const v = split(linear(h, `${self}.value`), [1, 0, 2]);
    const weights = op("Softmax", [op("Mul", [op("MatMul", [q, k]), scale])], { axis: { i: -1 } });
    const context = op("Transpose", [op("MatMul", [weights, v])], { perm: { ints: [1, 0, 2] } });
    const joined = op("Reshape", [context, byToken]);
    const attended = linear(joined, `${block}.attention.output.dense`);
    h = norm(op("Add", [queries, attended]), `${block}.attention.output.LayerNorm`);
    const widened = op("Gelu", [linear(h, `${block}.intermediate.dense`)]);
    const narrowed = linear(widened, `${block}.output.dense`);
    h = norm(op("Add", [h, narrowed]), `${block}.output.LayerNorm`);
  }
  const read = cropped ? h : op("Gather", [h, first]);
  const logits = linear(op("Tanh", [linear(read, "bert.pooler.dense")]), "classifier");

  return graph.encode(logits, tensors.get("classifier.bias")?.shape[0] ?? 0);
}

/** Adds x W^T + b of the layer `name`. */
type Linear = (x: string, name: string) => string;

/** (T, C) rather than (1, T, C) everywhere, because Gemm adds the bias by itself and takes the weight as it is stored. */
function floatLinear({ op }: OnnxGraph): Linear {
  return (x, name) => op("Gemm", [x, `${name}.weight`, `${name}.bias`], { transB: { i: 1 } });
}

function byteLinear(graph: OnnxGraph, tensors: ReadonlyMap<string, RandomTensor>): Linear {
  const { op, floats, bytes } = graph;
  // Queries, keys and values share their input.
  const roundings = new Map<string, string>();
  return (x, name) => {
    const { shape, values, step } = quantizedTransposed(tensors.get(`${name}.weight`));
    const rounded = roundings.get(x) ?? op("DynamicQuantizeLinear", [x], {}, 3);
    roundings.set(x, rounded);
    const [stepOfX, zeroOfX] = [`${rounded}.1`, `${rounded}.2`];
    const weight = bytes(`${name}.bytes`, shape, values);
    const product = op("MatMulInteger", [rounded, weight, zeroOfX]);
    const both = op("Mul", [stepOfX, floats(`${name}.step`, [], Float32Array.of(step))]);
    const scaled = op("Mul", [op("Cast", [product], { to: { i: FLOAT } }), both]);
    return op("Add", [scaled, `${name}.bias`]);
  };
}

/** W (N, K) as int8 (K, N), and what one step is worth: symmetric, the same for all. */
function quantizedTransposed(weight: RandomTensor | undefined) {
  if (weight === undefined) throw new Error("onnx: no such weight");
  const [N = 0, K = 0] = weight.shape;
  const step = weight.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
  const values = new Int8Array(N * K);
  for (let n = 0; n < N; n++) {
    for (let k = 0; k < K; k++) {
      values[k * N + n] = Math.round((weight.values[n * K + k] ?? 0) / step);
    }
  }
  return { shape: [K, N], values, step };
}
