// Reads the machine code that `node --print-wasm-code` prints (x86-64, Intel syntax) and finds the loops in which the
// products spend their time. Knows nothing of kernels: a hot loop is one that mostly multiplies and adds vectors.

export interface Instruction {
  /** Bytes from the start of its function. */
  readonly offset: number;
  readonly text: string;
}

export interface WasmFunction {
  /** As V8 calls it, `wasm-function[16]`. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

export interface HotLoop {
  readonly name: string;
  readonly instructions: readonly Instruction[];
  /** Vector multiply-adds in the body: vfmadd, or vmulps and vaddps in pairs. */
  readonly products: number;
  /** Registers that the products are added up in. */
  readonly accumulators: number;
  /** Instructions that move a vector register to or from the stack. */
  readonly spills: readonly Instruction[];
}

// `0x982e6b09b80     0  55                   push rbp`: address, offset, bytes, instruction.
const LINE = /^0x[0-9a-f]+\s+([0-9a-f]+)\s+[0-9a-f]+\s+(\S.*)$/;
const TARGET = /^j[a-z]+ .*<\+0x([0-9a-f]+)>/;
const ON_STACK = /\[r[bs]p[^\]]*\]/;
const SUM = /^(?:vfn?madd\d+ps|vaddps) (xmm\d+)/;
const VECTOR = /\b[xyz]mm\d+/;

/** A loop with fewer products is element-wise work, not a tile. */
const LEAST_PRODUCTS = 8;
/** Least share of a tile's instructions, spills apart, that multiply and add. Loops that copy stay far below. */
const LEAST_SHARE = 0.2;

export function parseFunctions(printed: string): WasmFunction[] {
  const functions: { name: string; instructions: Instruction[] }[] = [];
  for (const line of printed.split("\n")) {
    if (line.startsWith("name: ")) functions.push({ name: line.slice(6).trim(), instructions: [] });
    const [, offset, text] = LINE.exec(line) ?? [];
    if (offset === undefined || text === undefined) continue;
    functions.at(-1)?.instructions.push({ offset: Number.parseInt(offset, 16), text: text.trim() });
  }
  return functions;
}

/**
 * Innermost loops, as [first, last] instruction. What V8 puts behind the function's end (stack guards, traps) also jumps
 * backwards, but over a `ret`: that is no loop.
 */
export function innermostLoops({ instructions }: WasmFunction): [first: number, last: number][] {
  const indexOf = new Map(instructions.map(({ offset }, index) => [offset, index]));
  const loops: [number, number][] = [];
  instructions.forEach(({ text }, last) => {
    const target = TARGET.exec(text)?.[1];
    const first = target === undefined ? undefined : indexOf.get(Number.parseInt(target, 16));
    if (first === undefined || first > last) return;
    if (!instructions.slice(first, last).some((each) => each.text.startsWith("ret"))) {
      loops.push([first, last]);
    }
  });
  return loops.filter(
    ([first, last]) =>
      !loops.some(([a, b]) => a >= first && b <= last && (a !== first || b !== last)),
  );
}

/** The innermost loops that are mostly vector multiply-adds. */
export function hotLoops(functions: readonly WasmFunction[]): HotLoop[] {
  return functions.flatMap((each) =>
    innermostLoops(each).flatMap(([first, last]) => {
      const instructions = each.instructions.slice(first, last + 1);
      const count = (pattern: RegExp) =>
        instructions.filter(({ text }) => pattern.test(text)).length;
      const fused = count(/^vfn?madd\d+ps/);
      const separate = Math.min(count(/^vmulps/), count(/^vaddps/));
      const arithmetic = fused + 2 * separate;
      const spills = instructions.filter(({ text }) => ON_STACK.test(text) && VECTOR.test(text));
      // Spills make a loop longer: they must not hide it.
      const sums = instructions.map(({ text }) => SUM.exec(text)?.[1]);
      const accumulators = new Set(sums.filter((register) => register !== undefined)).size;
      const isHot =
        fused + separate >= LEAST_PRODUCTS &&
        arithmetic >= LEAST_SHARE * (instructions.length - spills.length);
      const products = fused + separate;
      return isHot ? [{ name: each.name, instructions, products, accumulators, spills }] : [];
    }),
  );
}
