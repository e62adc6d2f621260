// onnxruntime-web on one thread, in Node and in workerd, as a function from ids to logits.
import * as ort from "onnxruntime-web/wasm";

export const ortName = `ORT-web ${ort.env.versions.web}`;

ort.env.wasm.numThreads = 1;

export interface OrtModel {
  /** Logits of one sequence. */
  run(ids: readonly number[]): Promise<Float32Array>;
  release(): Promise<void>;
}

/** `model` as onnx.ts writes it. */
export async function openOrt(model: Uint8Array): Promise<OrtModel> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  const [output = ""] = session.outputNames;
  return {
    async run(ids) {
      const feed = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
      const { [output]: logits } = await session.run({ ids: feed });
      return logits?.data as Float32Array;
    },
    release: () => session.release(),
  };
}

/**
 * Gives ORT its kernels where the host compiles no bytes, as workerd: ORT cannot be handed a compiled module, so its call
 * of `WebAssembly.instantiate` is told apart by a view of the empty binary and answered with `module`.
 */
export function useCompiledOrt(module: WebAssembly.Module): void {
  const empty = new ArrayBuffer(0);
  const instantiate = WebAssembly.instantiate as (...given: unknown[]) => Promise<unknown>;
  const patched = async (source: unknown, imports: unknown) =>
    source instanceof Uint8Array && source.buffer === empty
      ? { module, instance: await instantiate(module, imports) }
      : instantiate(source, imports);
  WebAssembly.instantiate = patched as typeof WebAssembly.instantiate;
  ort.env.wasm.wasmBinary = empty;
}
