// Every operation inside workerd, which compiles bounds checks that Node does not have.
import plain from "../../build/kernels.simd.wasm";
import relaxed from "../../build/kernels.relaxed-simd.wasm";
import { createWasmBackend } from "../../src/backend/wasm.ts";
import { backendSuite } from "../backend-suite.ts";

const builds = { "wasm-simd": plain, "wasm-relaxed-simd": relaxed };

backendSuite(
  Object.entries(builds).map(([name, module]) => ({
    name,
    make: (options: { limitBytes?: number } = {}) =>
      createWasmBackend(module, { name, ...options }),
  })),
);
