// The backends that Node's tests run on: the reference, and both builds of the kernels. A missing build is an error, not a
// skip; a host without relaxed SIMD leaves that build out and says so.
import { existsSync, readFileSync } from "node:fs";
import { createReferenceBackend } from "../src/backend/reference.ts";
import { createWasmBackend, supportsRelaxedSimd } from "../src/backend/wasm.ts";
import type { BackendUnderTest } from "./suite/compare.ts";

function wasmBackend(name: string, build: string): BackendUnderTest {
  const path = new URL(`../build/${build}`, import.meta.url);
  if (!existsSync(path)) throw new Error(`kernels: not built: ${path.pathname}`);
  const module = new WebAssembly.Module(readFileSync(path));
  return { name, make: (options) => createWasmBackend(module, { name, ...options }) };
}

const relaxed = supportsRelaxedSimd();
if (!relaxed) console.warn("wasm-relaxed-simd is not tested: this host has no relaxed SIMD");

export const backends: readonly BackendUnderTest[] = [
  { name: "reference", make: createReferenceBackend },
  wasmBackend("wasm-simd", "kernels.simd.wasm"),
  ...(relaxed ? [wasmBackend("wasm-relaxed-simd", "kernels.relaxed-simd.wasm")] : []),
];
