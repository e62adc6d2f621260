// Operations on rows and elements of one backend against the oracle, over odd sizes and numbers of passes.
import { describe, test } from "vitest";
import type { Activation, Slope } from "../../src/backend/backend.ts";
import { normals, type Judge } from "./compare.ts";
import { rowCounts } from "./linear.ts";

export const channelCounts = [1, 3, 12, 48, 100, 256];
export const activationNames: readonly Activation[] = ["gelu", "gelu_tanh", "silu", "relu", "tanh"];
const passCounts = [1, 2, 5];

/** Numbers where approximations of exp, tanh and erf break first. */
const extremes = [
  -1e30, -1e4, -100, -88.8, -87.2, -30, -10, -9.1, -6, -5.5, -4, -3, -2, -1.3, -0.9, -0.5, -0.1,
  -1e-4, -1e-8, -1e-30, -0, 0, 1e-38, 1e-20, 1e-6, 1e-3, 0.3, 0.7, 1, 1.7, 2.5, 3.5, 4.7, 5.9, 8.9,
  9.2, 20, 60, 88.8, 1e3, 1e4,
];

export function rowTests({ compare }: Judge): void {
  describe.each(channelCounts)("C = %i", (C) => {
    test("lookup, select and back", async () => {
      for (const R of rowCounts) {
        const where = `R ${R}, C ${C}`;
        const index = Array.from({ length: R }, (_, r) => (r * 7) % 19);
        for (const scaled of [false, true]) {
          await compare(
            "lookup",
            `${where}${scaled ? ", scaled" : ""}`,
            async ({ backend, floats, integers, empty }) => {
              const out = empty(R, C);
              const scale = scaled ? floats(normals(1)(R), R, 1) : undefined;
              backend.lookup(out, floats(normals(2)(19 * C), 19, C), integers(index), scale);
              return { out: await backend.read(out) };
            },
            scaled ? 1e-7 : 0,
          );
        }
        const N = Math.ceil(R / 2);
        const rows = Array.from({ length: N }, (_, n) => R - 1 - 2 * n);
        await compare(
          "select",
          where,
          async ({ backend, floats, integers, empty }) => {
            const out = empty(N, C);
            backend.select(out, floats(normals(3)(R * C), R, C), integers(rows));
            return { out: await backend.read(out) };
          },
          0,
        );
        for (const P of passCounts) {
          await compare(
            "selectPullback",
            `${where}, P ${P}`,
            async ({ backend, floats, integers, empty }) => {
              const out = empty(P * R, C);
              const c = floats(normals(4)(P * N * C), P * N, C);
              backend.selectPullback(out, c, integers(rows), P);
              return { out: await backend.read(out) };
            },
            0,
          );
        }
      }
    });

    test("add, multiply and back", async () => {
      for (const R of rowCounts) {
        const where = `R ${R}, C ${C}`;
        const [x, y] = [normals(1)(R * C), normals(2)(R * C)];
        await compare(
          "add",
          where,
          async ({ backend, floats, empty }) => {
            const [a, b, out] = [floats(x, R, C), floats(y, R, C), empty(R, C)];
            backend.add(out, a, b);
            backend.add(a, a, b);
            backend.add(b, out, b);
            return {
              apart: await backend.read(out),
              "into a": await backend.read(a),
              "into b": await backend.read(b),
            };
          },
          2e-7,
        );
        await compare(
          "multiply",
          where,
          async ({ backend, floats, empty }) => {
            const out = empty(R, C);
            backend.multiply(out, floats(x, R, C), floats(y, R, C));
            return { out: await backend.read(out) };
          },
          2e-7,
        );
        for (const P of passCounts) {
          const shares = [1, 0.5, 0, -2, 0.25].slice(0, P);
          const c = normals(3)(P * R * C);
          await compare(
            "multiplyPullback",
            `${where}, P ${P}`,
            async ({ backend, floats, empty }) => {
              const out = empty(P * R, C);
              backend.multiplyPullback(out, floats(c, P * R, C), floats(x, R, C), shares);
              return { out: await backend.read(out) };
            },
            2e-7,
          );
          const z = x.map((number, i) => (i % 7 === 3 ? 0 : i % 7 === 5 ? -0 : number));
          await compare(
            "stabilise",
            `${where}, P ${P}`,
            async ({ backend, floats, empty }) => {
              const out = empty(P * R, C);
              const epsilons = [0.25, 0, 1e-6, 1e-2, 3].slice(0, P);
              backend.stabilise(out, floats(c, P * R, C), floats(z, R, C), epsilons);
              return { out: await backend.read(out) };
            },
            5e-7,
          );
          await compare(
            "relevance",
            `${where}, P ${P}`,
            async ({ backend, floats, empty }) => {
              const out = empty(P * R, 1);
              backend.relevance(out, floats(c, P * R, C), floats(x, R, C));
              return { out: await backend.read(out) };
            },
            1e-6,
          );
        }
      }
    });

    test.each([true, false])("norm and back, centred %s", async (centred) => {
      for (const R of rowCounts) {
        for (const offset of [0, 30]) {
          const where = `R ${R}, C ${C}, ${centred ? "centred" : "not centred"}, offset ${offset}`;
          // An offset of 30 standard deviations costs float32 five bits of x itself.
          const tolerance = offset === 0 ? 2e-6 : 5e-5;
          const x = normals(1)(R * C).map((number) => number + offset);
          for (const biased of [true, false]) {
            await compare(
              "norm",
              where,
              async ({ backend, floats, empty }) => {
                const [out, statistics] = [empty(R, C), empty(R, 2)];
                const weight = floats(normals(2)(C), 1, C);
                const bias = biased ? floats(normals(3)(C), 1, C) : undefined;
                const options = { centred, epsilon: 1e-5 };
                backend.norm(out, statistics, floats(x, R, C), weight, bias, options);
                return { out: await backend.read(out), statistics: await backend.read(statistics) };
              },
              tolerance,
            );
          }
          for (const P of passCounts) {
            await compare(
              "normPullback",
              `${where}, P ${P}`,
              async ({ backend, floats, empty }) => {
                const [y, statistics, out] = [empty(R, C), empty(R, 2), empty(P * R, C)];
                const [input, weight] = [floats(x, R, C), floats(normals(2)(C), 1, C)];
                const options = { centred, epsilon: 1e-5 };
                backend.norm(y, statistics, input, weight, undefined, options);
                const c = floats(normals(4)(P * R * C), P * R, C);
                // A single channel over its own rms hardly varies, so its gradient alone would be all rounding.
                const shares = [C === 1 ? 0.5 : 1, 0, 0.5, 0, 1].slice(0, P);
                backend.normPullback(out, c, input, weight, statistics, shares, options);
                return { out: await backend.read(out) };
              },
              tolerance,
            );
          }
        }
      }
    });

    test.each(activationNames)("%s and back", async (activation) => {
      for (const R of rowCounts) {
        const x = normals(1)(R * C, 3);
        x[0] = 0.5; // so that no tail is judged by its own size
        await compareActivation(activation, x, R, C, 1e-6);
      }
    });
  });

  test.each(activationNames)("%s where it bends and where it ends", async (activation) => {
    // Beside a 1, so that the error is relative to at least that: tails are not judged by their own size.
    for (const x of extremes)
      await compareActivation(activation, Float32Array.of(x, 1), 1, 2, 2e-6);
  });

  async function compareActivation(
    activation: Activation,
    x: Float32Array,
    R: number,
    C: number,
    tolerance: number,
  ): Promise<void> {
    await compare(
      `activate ${activation}`,
      R * C === 2 ? `x ${x[0]}` : `R ${R}, C ${C}`,
      async ({ backend, floats, empty }) => {
        const out = empty(R, C);
        backend.activate(out, floats(x, R, C), activation);
        return { out: await backend.read(out) };
      },
      tolerance,
    );
    for (const P of passCounts) {
      const slopes: readonly Slope[] = ["derivative", "ratio", "ratio", "derivative", "ratio"];
      await compare(
        `activatePullback ${activation}`,
        R * C === 2 ? `x ${x[0]}, P ${P}` : `R ${R}, C ${C}, P ${P}`,
        async ({ backend, floats, empty }) => {
          const out = empty(P * R, C);
          const c = floats(normals(2)(P * R * C), P * R, C);
          backend.activatePullback(out, c, floats(x, R, C), activation, slopes.slice(0, P));
          return { out: await backend.read(out) };
        },
        tolerance,
      );
    }
  }
}
