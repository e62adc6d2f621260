// A BERT classifier as an ONNX model (opset 20) over the weights of random-bert.ts, in the operators an exporter would use.
// The schema is the one that onnxruntime-web carries; that it needs no code generation lets it run in workerd too.
import schema from "../node_modules/onnxruntime-web/lib/onnxjs/ort-schema/protobuf/onnx.js";
import type { onnx } from "../node_modules/onnxruntime-web/lib/onnxjs/ort-schema/protobuf/onnx.js";
import type { RandomBert, RandomTensor } from "./random-bert.ts";

// Values of the schema's enums: TensorProto.DataType and AttributeProto.AttributeType.
const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;
const attributeTypes = { f: 1, i: 2, ints: 7 };

const IR_VERSION = 9;
const OPSET = 20;

export interface OnnxOptions {
  /** Crops the last block to the row that the head reads, as our graph does. No exporter does this. */
  readonly cropped?: boolean;
  /** Linear layers as onnxruntime's dynamic quantisation writes them: int8 weights, uint8 activations, one scale each. */
  readonly quantized?: boolean;
}

type Attributes = Readonly<Record<string, { f: number } | { i: number } | { ints: number[] }>>;

/** Bytes of a model from `ids`, int64 (1, T), to `logits`, float (1, labels). Positions count from 0, types are 0. */
export function onnxOf(
  bert: RandomBert,
  { cropped = false, quantized = false }: OnnxOptions = {},
): Uint8Array {
  const { layers, channels, heads, tensors, config } = bert;
  const node: onnx.INodeProto[] = [];
  const initializer: onnx.ITensorProto[] = [];

  const op = (opType: string, input: string[], attributes: Attributes = {}, outputs = 1) => {
    const output = `${opType}_${node.length}`;
    const more = Array.from({ length: outputs - 1 }, (_, i) => `${output}.${i + 1}`);
    const attribute = Object.entries(attributes).map(([name, value]) => {
      const [key] = Object.keys(value) as (keyof typeof attributeTypes)[];
      return { name, type: attributeTypes[key ?? "i"], ...value };
    });
    node.push({ opType, name: output, input, output: [output, ...more], attribute });
    return output;
  };
  const floats = (name: string, dims: readonly number[], values: Float32Array<ArrayBuffer>) => {
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    initializer.push({ name, dims: [...dims], dataType: FLOAT, rawData });
    return name;
  };
  const integers = (name: string, values: number[]) => {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    initializer.push({ name, dims: [values.length], dataType: INT64, rawData });
    return name;
  };

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

  // (T, C) rather than (1, T, C), because Gemm adds the bias by itself and takes the weight as it is stored.
  const exact = (x: string, name: string) =>
    op("Gemm", [x, `${name}.weight`, `${name}.bias`], { transB: { i: 1 } });
  const bytesOf = new Map<string, string>();
  const byBytes = (x: string, name: string) => {
    const weight = quantizedTransposed(tensors.get(`${name}.weight`));
    initializer.push({ name: `${name}.bytes`, dataType: INT8, ...weight.tensor });
    const rounded = bytesOf.get(x) ?? op("DynamicQuantizeLinear", [x], {}, 3);
    bytesOf.set(x, rounded);
    const [scaleOfX, zeroOfX] = [`${rounded}.1`, `${rounded}.2`];
    const product = op("MatMulInteger", [rounded, `${name}.bytes`, zeroOfX]);
    const step = op("Mul", [scaleOfX, floats(`${name}.scale`, [], Float32Array.of(weight.scale))]);
    const scaled = op("Mul", [op("Cast", [product], { to: { i: FLOAT } }), step]);
    return op("Add", [scaled, `${name}.bias`]);
  };
  const linear = quantized ? byBytes : exact;
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

  const value = (name: string, elemType: number, dim: onnx.TensorShapeProto.IDimension[]) => ({
    name,
    type: { tensorType: { elemType, shape: { dim } } },
  });
  const labels = tensors.get("classifier.bias")?.shape[0] ?? 0;
  return schema.onnx.ModelProto.encode({
    irVersion: IR_VERSION,
    opsetImport: [{ domain: "", version: OPSET }],
    graph: {
      name: "bert",
      node,
      initializer,
      input: [value("ids", INT64, [{ dimValue: 1 }, { dimParam: "T" }])],
      output: [value(logits, FLOAT, [{ dimValue: 1 }, { dimValue: labels }])],
    },
  }).finish();
}

/** W (N, K) as int8 (K, N) and what one step is worth; symmetric, one scale for all. */
function quantizedTransposed(weight: RandomTensor | undefined) {
  if (weight === undefined) throw new Error("onnx: no such weight");
  const { shape, values } = weight;
  const [N = 0, K = 0] = shape;
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
  const rawData = new Uint8Array(N * K);
  for (let n = 0; n < N; n++) {
    for (let k = 0; k < K; k++) rawData[k * N + n] = Math.round((values[n * K + k] ?? 0) / scale);
  }
  return { tensor: { dims: [K, N], rawData }, scale };
}
