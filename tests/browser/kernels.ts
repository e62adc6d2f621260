// Both builds of the kernels as the page's server sends them. Chromium has relaxed SIMD, so neither may be missing.
import plain from "../../build/kernels.simd.wasm?url";
import relaxed from "../../build/kernels.relaxed-simd.wasm?url";
import { createWasmBackend } from "../../src/backend/wasm.ts";

async function compile(url: string): Promise<WebAssembly.Module> {
  return WebAssembly.compileStreaming(fetch(url));
}

const modules = { "wasm-simd": await compile(plain), "wasm-relaxed-simd": await compile(relaxed) };

export const kernels = Object.entries(modules).map(([name, module]) => ({
  name,
  make: (options: { limitBytes?: number } = {}) => createWasmBackend(module, { name, ...options }),
}));
