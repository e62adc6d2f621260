// Writes ONNX graphs: nodes and initializers in the order they are named, then the bytes of a model. Knows no model.
// The schema is the one that onnxruntime-web carries; that it needs no code generation lets it run in workerd too.
import schema from "../node_modules/onnxruntime-web/lib/onnxjs/ort-schema/protobuf/onnx.js";
import type { onnx } from "../node_modules/onnxruntime-web/lib/onnxjs/ort-schema/protobuf/onnx.js";

/** TensorProto.DataType of the schema. */
export const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;

/** AttributeProto.AttributeType of the schema. */
const attributeTypes = { f: 1, i: 2, ints: 7 };

const IR_VERSION = 9;
const OPSET = 20;

type Attributes = Readonly<Record<string, { f: number } | { i: number } | { ints: number[] }>>;
type Shape = readonly number[];

export interface OnnxGraph {
  /** Adds a node; gives the name of its first output, the others are called `name`.1, `name`.2 … */
  op(opType: string, input: readonly string[], attributes?: Attributes, outputs?: number): string;
  /** Each adds an initializer and gives its name. Values are not copied before `encode`. */
  floats(name: string, shape: Shape, values: Float32Array<ArrayBuffer>): string;
  bytes(name: string, shape: Shape, values: Int8Array<ArrayBuffer>): string;
  integers(name: string, values: readonly number[]): string;
  /** From `ids`, int64 (1, T), to `output`, float (1, columns). */
  encode(output: string, columns: number): Uint8Array;
}

export function onnxGraph(): OnnxGraph {
  const node: onnx.INodeProto[] = [];
  const initializer: onnx.ITensorProto[] = [];
  const add = (name: string, dataType: number, shape: Shape, values: ArrayBufferView) => {
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    initializer.push({ name, dims: [...shape], dataType, rawData });
    return name;
  };
  return {
    op(opType, input, attributes = {}, outputs = 1) {
      const name = `${opType}_${node.length}`;
      const output = Array.from({ length: outputs }, (_, i) => (i === 0 ? name : `${name}.${i}`));
      const attribute = Object.entries(attributes).map(([key, value]) => {
        const [field = "i"] = Object.keys(value) as (keyof typeof attributeTypes)[];
        return { name: key, type: attributeTypes[field], ...value };
      });
      node.push({ opType, name, input: [...input], output, attribute });
      return name;
    },
    floats: (name, shape, values) => add(name, FLOAT, shape, values),
    bytes: (name, shape, values) => add(name, INT8, shape, values),
    integers: (name, values) =>
      add(name, INT64, [values.length], BigInt64Array.from(values, BigInt)),
    encode(output, columns) {
      const value = (name: string, elemType: number, dim: onnx.TensorShapeProto.IDimension[]) => ({
        name,
        type: { tensorType: { elemType, shape: { dim } } },
      });
      return schema.onnx.ModelProto.encode({
        irVersion: IR_VERSION,
        opsetImport: [{ domain: "", version: OPSET }],
        graph: {
          name: "graph",
          node,
          initializer,
          input: [value("ids", INT64, [{ dimValue: 1 }, { dimParam: "T" }])],
          output: [value(output, FLOAT, [{ dimValue: 1 }, { dimValue: columns }])],
        },
      }).finish();
    },
  };
}
