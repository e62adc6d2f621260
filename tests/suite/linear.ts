// Matrix products of one backend against the oracle, over odd sizes, transposes and epilogues.
import { describe, test } from "vitest";
import type { MatmulOptions } from "../../src/backend/backend.ts";
import { normals, type Judge, type Scratch } from "./compare.ts";

export const rowCounts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 37, 130];

// (N, K)
const widths = [
  [1, 1],
  [3, 12],
  [12, 3],
  [7, 5],
  [48, 100],
  [100, 48],
  [256, 12],
  [5, 256],
  [48, 1024],
] as const;

type Epilogue = (scratch: Scratch, M: number, N: number) => MatmulOptions;
const epilogues: Readonly<Record<string, Epilogue>> = {
  plain: () => ({}),
  scale: () => ({ scale: -0.375 }),
  bias: ({ floats }, _, N) => ({ bias: floats(normals(11)(N), 1, N) }),
  "bias and scale": ({ floats }, _, N) => ({ bias: floats(normals(12)(N), 1, N), scale: 3 }),
  start: ({ floats }, M, N) => ({ start: floats(normals(13)(M * N), M, N) }),
  "start and scale": ({ floats }, M, N) => ({
    start: floats(normals(14)(M * N), M, N),
    scale: 0.5,
  }),
  "start in place": () => ({ scale: 2 }),
};

export function linearTests({ compare }: Judge): void {
  describe.each(widths)("matmul to N = %i over K = %i", (N, K) => {
    test.each([
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ])("transposeA %s, transposeB %s", async (transposeA, transposeB) => {
      for (const [m, M] of rowCounts.entries()) {
        // Seven epilogues over fifteen row counts, shifted from one width to the next.
        const names = Object.keys(epilogues);
        const name = names[(m + N + 2 * Number(transposeA) + Number(transposeB)) % names.length]!;
        const where = `M ${M}, N ${N}, K ${K}, ${transposeA ? "A^T" : "A"} ${transposeB ? "B^T" : "B"}, ${name}`;
        await compare(
          "matmul",
          where,
          async (scratch) => {
            const { backend, floats, empty } = scratch;
            const a = floats(normals(1)(M * K), transposeA ? K : M, transposeA ? M : K);
            const b = floats(normals(2)(N * K), transposeB ? N : K, transposeB ? K : N);
            const epilogue = epilogues[name]!(scratch, M, N);
            const inPlace = name === "start in place";
            const out = inPlace ? floats(normals(3)(M * N), M, N) : empty(M, N);
            const start = inPlace ? { start: out } : {};
            backend.matmul(out, a, b, { transposeA, transposeB, ...epilogue, ...start });
            return { out: await backend.read(out) };
          },
          5e-6,
        );
      }
    });
  });

  test("matmul reads weights and views, and writes a view", async () => {
    const [M, N, K] = [5, 12, 48];
    await compare(
      "matmul",
      "views",
      async ({ backend, floats, empty }) => {
        const weight = backend.weight(3 * N, K);
        backend.write(weight, 0, normals(1)(2 * N * K));
        backend.write(weight, 2 * N * K, normals(2)(N * K));
        const rows = floats(normals(3)(3 * M * K), 3 * M, K);
        const all = floats(new Float32Array(2 * M * N), 2 * M, N);
        const part = backend.view(weight, N, N);
        backend.matmul(backend.view(all, M, M), backend.view(rows, 2 * M, M), part, {
          transposeB: true,
        });
        const out = empty(2 * M, 3 * N);
        backend.matmul(out, backend.view(rows, 0, 2 * M), weight, { transposeB: true });
        return { part: await backend.read(all), whole: await backend.read(out) };
      },
      5e-6,
    );
  });
}
