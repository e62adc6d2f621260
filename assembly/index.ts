// Everything the host can call. Pointers are byte addresses, strides count floats; argument order is out, inputs,
// sizes. src/backend/kernels.ts repeats these signatures.
export { activate, activatePullback } from "./activation";
export { attention, attentionPullback } from "./attention";
export { add, clear, copy, multiply, stabilise } from "./elementwise";
export { gemm, gemmScratchBytes } from "./gemm";
export { gemmInt8, gemmInt8ScratchBytes } from "./int8-gemm";
export { norm, normPullback } from "./norm";
export { lookup, lookupInt8, relevance, selectPullback } from "./rows";

/** First byte behind the constant tables; below it the host must not write. */
export function tableEnd(): usize {
  return __heap_base;
}
