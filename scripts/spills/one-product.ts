// Run by check-spills.ts under V8's printing flags: instantiates the kernel build of argv[2] and multiplies once, with
// rows for both tiles (33 = 5 fives + 2 fours).
import { readFileSync } from "node:fs";
import { FIRST_ADDRESS, wasmMachine } from "../../src/backend/machine.ts";
import { GEMM_SCRATCH_BYTES } from "../../src/backend/kernels.ts";

const [M, N, K] = [33, 64, 64];
const path = process.argv[2];
if (path === undefined) throw new Error("one-product: no path of a kernel build");
const machine = wasmMachine(new WebAssembly.Module(readFileSync(path)), Infinity);
const a = FIRST_ADDRESS + GEMM_SCRATCH_BYTES;
const b = a + M * K * 4;
const out = b + N * K * 4;
machine.grow(out + M * N * 4);
machine.kernels.gemm(out, N, a, K, false, b, K, true, 0, 0, M, N, K, 1, FIRST_ADDRESS);
