// The int8 form of a random encoder, made in memory by the code behind `npm run quantize`.
import { type ByteSource, memorySource } from "../src/loading/byte-source.ts";
import { planQuantisation, type SourceTensor } from "../src/loading/quantisation.ts";
import { quantisableWeights } from "../src/model/graph.ts";
import { modelOf } from "../src/model/registry.ts";
import type { RandomBert } from "./random-bert.ts";

const WEIGHTS = "model.safetensors";

/** For `createExplainer`, as `checkpointOf` is. */
export async function int8CheckpointOf({ config, tensors }: RandomBert): Promise<ByteSource> {
  const { graph, weights } = modelOf(config);
  const sources = [...tensors].map(([name, { shape, values }]): [string, SourceTensor] => [
    name,
    {
      name,
      dtype: "F32",
      shape,
      elements: values.length,
      begin: 0,
      end: values.byteLength,
      file: WEIGHTS,
      async *pieces() {
        yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      },
    },
  ]);
  const { files } = planQuantisation(new Map(sources), weights, quantisableWeights(graph), {
    where: WEIGHTS,
    limitBytes: Infinity,
  });
  const [only] = files;
  if (only === undefined) throw new Error("int8: nothing was laid out");
  const file = new Uint8Array(only.bytes);
  file.set(only.header);
  let at = only.header.length;
  for (const tensor of only.tensors) {
    for await (const piece of tensor.pieces()) {
      file.set(piece, at);
      at += piece.length;
    }
  }
  return memorySource("random int8 weights", {
    "config.json": JSON.stringify(config),
    [WEIGHTS]: file,
  });
}
