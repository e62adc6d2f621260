// npm run check:spills: no accumulator of the products may be spilled. Disassembles both kernel builds with the V8 of this
// Node and fails when a hot loop moves a vector register to or from the stack: that costs a third of the speed, and
// nothing else would notice.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { hotLoops, parseFunctions } from "./spills/disassembly.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Accumulators of tile5 and tile4. V8 may print a tile more than once, where it inlines it twice. */
const TILES = [10, 8];
// Optimized code at once, as the first call finds it. workerd checks bounds in code, which takes registers too.
const PRINT = ["--print-wasm-code", "--no-liftoff", "--no-wasm-tier-up"];
const RUNTIMES = { node: [], workerd: ["--wasm-enforce-bounds-checks"] };

function check(build: string, runtime: keyof typeof RUNTIMES): boolean {
  const path = here(`../build/${build}.wasm`);
  if (!existsSync(path)) throw new Error(`check:spills: no ${path}; npm run build makes it`);
  const flags = [...PRINT, ...RUNTIMES[runtime]];
  const printed = execFileSync(process.execPath, [...flags, here("spills/one-product.ts"), path], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const loops = hotLoops(parseFunctions(printed));
  const where = `${build}, ${runtime}`;
  for (const { name, instructions, products, accumulators, spills } of loops) {
    const size = `${products} products on ${accumulators} accumulators`;
    const length = `${instructions.length} instructions, ${spills.length} spills`;
    console.log(`${where}: ${name}, ${size}, ${length}`);
    for (const { offset, text } of spills) console.error(`  +0x${offset.toString(16)} ${text}`);
  }
  const missing = TILES.filter((tile) => !loops.some(({ accumulators }) => accumulators === tile));
  for (const tile of missing) console.error(`${where}: no loop on ${tile} accumulators found`);
  return missing.length === 0 && loops.every(({ spills }) => spills.length === 0);
}

if (process.arch === "x64") {
  const results = ["kernels.relaxed-simd", "kernels.simd"].flatMap((build) =>
    (["node", "workerd"] as const).map((runtime) => check(build, runtime)),
  );
  if (results.includes(false)) process.exitCode = 1;
} else {
  console.warn(
    `check:spills: NOT CHECKED: reads x86-64 code only, this machine is ${process.arch}`,
  );
}
