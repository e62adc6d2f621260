// The compiled kernels as typed functions and the choice between their two builds. It knows addresses and numbers,
// no tensors and no memory. The signatures repeat those of assembly/index.ts.
import type { Activation } from "./backend.ts";

/** Byte address in the memory that host and kernels share; 0 stands for "absent". */
export type Address = number;

/** Strides count floats, sizes and counts elements. Kernels with ids answer -1, or which id was out of range. */
export interface Kernels {
  tableEnd(): Address;
  gemmScratchBytes(): number;
  gemm(
    out: Address,
    outStride: number,
    a: Address,
    aStride: number,
    transposeA: boolean,
    b: Address,
    bStride: number,
    transposeB: boolean,
    start: Address,
    startStride: number,
    M: number,
    N: number,
    K: number,
    scale: number,
    scratch: Address,
  ): void;
  gemmInt8ScratchBytes(): number;
  gemmInt8(
    out: Address,
    outStride: number,
    a: Address,
    aStride: number,
    b: Address,
    bStride: number,
    bScales: Address,
    transposeB: boolean,
    start: Address,
    startStride: number,
    M: number,
    N: number,
    K: number,
    scale: number,
    scratch: Address,
  ): void;
  attention(
    out: Address,
    weights: Address,
    weightsStride: number,
    q: Address,
    k: Address,
    v: Address,
    hidden: Address,
    visible: number,
    queries: number,
    keys: number,
    heads: number,
    C: number,
    scale: number,
    scratch: Address,
  ): void;
  attentionPullback(
    outQ: Address,
    outK: Address,
    outV: Address,
    c: Address,
    q: Address,
    k: Address,
    v: Address,
    weights: Address,
    visible: number,
    queries: number,
    keys: number,
    heads: number,
    C: number,
    weightsShare: number,
    valuesShare: number,
    queryFactor: number,
    keyFactor: number,
    scores: Address,
    scratch: Address,
  ): void;
  norm(
    out: Address,
    statistics: Address,
    x: Address,
    weight: Address,
    bias: Address,
    R: number,
    C: number,
    centred: boolean,
    epsilon: number,
  ): void;
  normPullback(
    out: Address,
    c: Address,
    x: Address,
    weight: Address,
    statistics: Address,
    R: number,
    C: number,
    centred: boolean,
    share: number,
  ): void;
  activate(out: Address, x: Address, count: number, activation: number): void;
  activatePullback(
    out: Address,
    c: Address,
    x: Address,
    count: number,
    activation: number,
    useRatio: boolean,
  ): void;
  add(out: Address, a: Address, b: Address, count: number): void;
  multiply(out: Address, a: Address, b: Address, count: number, factor: number): void;
  stabilise(out: Address, c: Address, z: Address, count: number, epsilon: number): void;
  copy(out: Address, source: Address, bytes: number): void;
  clear(out: Address, bytes: number): void;
  lookup(
    out: Address,
    table: Address,
    ids: Address,
    scale: Address,
    R: number,
    C: number,
    tableRows: number,
  ): number;
  lookupInt8(
    out: Address,
    table: Address,
    tableScales: Address,
    ids: Address,
    scale: Address,
    R: number,
    C: number,
    tableRows: number,
  ): number;
  selectPullback(
    out: Address,
    c: Address,
    index: Address,
    P: number,
    N: number,
    R: number,
    C: number,
  ): number;
  relevance(out: Address, c: Address, h: Address, R: number, C: number): void;
}

/** Scratch of every product, whatever its size: what `gemmScratchBytes` answers; int8 products need less. */
export const GEMM_SCRATCH_BYTES = 897_216;

/** The numbers of assembly/activation.ts. */
export const ACTIVATION_NUMBERS: Readonly<Record<Activation, number>> = {
  gelu: 0,
  gelu_tanh: 1,
  silu: 2,
  relu: 3,
  tanh: 4,
};

// The smallest module with one f32x4.relaxed_madd: () -> v128, three splats of 0, the product, end.
const RELAXED_SIMD_PROBE = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03,
  0x02, 0x01, 0x00, 0x0a, 0x13, 0x01, 0x11, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f,
  0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x85, 0x02, 0x0b,
]);

/** Whether this engine takes relaxed SIMD. Validating bytes is allowed in Workers, compiling them is not. */
export function supportsRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_SIMD_PROBE);
}

/** One thing per build: a module, a path or a URL of it. */
export interface KernelBuilds<T> {
  readonly relaxed: T;
  readonly plain: T;
}

/** The build to use here, and the backend's name with it. An engine can only compile the builds it supports. */
export function chooseKernels<T>(
  builds: KernelBuilds<T>,
  relaxed: boolean = supportsRelaxedSimd(),
): { readonly chosen: T; readonly name: string } {
  return relaxed
    ? { chosen: builds.relaxed, name: "wasm-relaxed-simd" }
    : { chosen: builds.plain, name: "wasm-simd" };
}
