// The parser behind `npm run check:spills`, on printed code of a tile of 18 accumulators, which no 15 registers hold, and
// of tile4, which fits. Captured from Node 24.21, x86-64, --wasm-enforce-bounds-checks.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { hotLoops, innermostLoops, parseFunctions } from "../scripts/spills/disassembly.ts";

const captured = (build: string) =>
  parseFunctions(
    readFileSync(new URL(`./disassembly/tile6x12-and-tile4.${build}.txt`, import.meta.url), "utf8"),
  );

test.each(["relaxed-simd", "simd"])(
  "%s: the spilling tile is told from the fitting one",
  (build) => {
    const loops = hotLoops(captured(build));
    expect(loops.map(({ name }) => name)).toEqual(["wasm-function[1]", "wasm-function[0]"]);
    const [tile6x12, tile4] = loops;
    expect(tile6x12?.spills.length).toBeGreaterThanOrEqual(18 - 15);
    for (const { text } of tile6x12?.spills ?? []) {
      expect(text).toMatch(/^vmovups (\[rbp-0x[0-9a-f]+\],xmm\d+|xmm\d+,\[rbp-0x[0-9a-f]+\])$/);
    }
    expect(tile4?.accumulators).toBe(8);
    expect(tile4?.spills, "the spills of the stack guard lie outside the loop").toEqual([]);
  },
);

const listing = (...lines: readonly string[]) =>
  parseFunctions(
    ["name: wasm-function[7]", "kind: wasm function", ...lines]
      .map((line, index) => (index < 2 ? line : `0x1${index - 2}     ${index - 2}  c4  ${line}`))
      .join("\n"),
  );
const products = Array.from({ length: 8 }, (_, sum) => `vfmadd231ps xmm${sum},xmm9,xmm10`);

test.each([
  ["stored to the stack", "vmovups [rbp-0x50],xmm0", 1],
  ["loaded from the stack", "vmovups xmm0,[rsp+0x10]", 1],
  ["an operand on the stack", "vfmadd231ps xmm0,xmm9,[rbp-0x50]", 1],
  ["a vector from the heap", "vmovdqu xmm9,[r12+rax*1+0x10]", 0],
  ["an address on the stack", "REX.W movq r11,[rbp-0x150]", 0],
])("%s: %s gives %i spills", (_, line, spills) => {
  const [loop, ...others] = hotLoops(listing(line, ...products, "jc 0x10  <+0x0>"));
  expect(others).toEqual([]);
  expect(loop?.spills.map(({ text }) => text)).toEqual(spills === 1 ? [line] : []);
});

test("a jump back over the function's end is no loop, a loop around another is not innermost", () => {
  const [tail] = listing("ret", ...products, "jmp 0x10  <+0x0>");
  expect(tail && innermostLoops(tail)).toEqual([]);
  const [nested] = listing("nop", "nop", "jc 0x11  <+0x1>", "jc 0x10  <+0x0>");
  expect(nested && innermostLoops(nested)).toEqual([[1, 2]]);
});

test("a loop that mostly loads is no tile", () => {
  const others = Array.from({ length: 40 }, () => "vmovdqu xmm9,[r12+rax*1]");
  expect(hotLoops(listing(...products, ...others, "jc 0x10  <+0x0>"))).toEqual([]);
});
