// The reference backend's operations that sum over rows or move whole rows: plain loops in float64 that read like
// the formulas. Knows no attention.
import { assertShape, type Tensor } from "../tensor.ts";
import type { Backend } from "./backend.ts";
import type { ReferenceStorage } from "./reference-storage.ts";

/** Operations that sum over a row or move whole rows. */
export function rowOperations(storage: ReferenceStorage) {
  const { floats, weights, isInt8, output } = storage;
  return {
    lookup(out, table, ids, scale) {
      const { rows: R, columns: C } = out;
      assertShape("lookup table", table, table.rows, C);
      assertShape("lookup ids", ids, 1, R);
      if (scale) assertShape("lookup scale", scale, R, 1);
      const to = output("lookup", out, [table, ids, scale]);
      const rows = indices("lookup", storage, ids, table.rows);
      const from = weights("lookup table", table);
      const factor = scale && floats("lookup scale", scale);
      for (let r = 0; r < R; r++) {
        for (let i = 0; i < C; i++) to[r * C + i] = (factor?.[r] ?? 1) * from[rows[r]! * C + i]!;
      }
    },

    matmul(out, a, b, { transposeA = false, transposeB = false, bias, start, scale = 1 } = {}) {
      const { rows: M, columns: N } = out;
      const K = transposeA ? a.rows : a.columns;
      assertShape("matmul a", a, transposeA ? K : M, transposeA ? M : K);
      assertShape("matmul b", b, transposeB ? N : K, transposeB ? K : N);
      if (bias && start) throw new Error("matmul: bias and start together");
      if (transposeA && isInt8(b)) {
        throw new Error("matmul: an int8 weight is not multiplied by a transposed a");
      }
      if (bias) assertShape("matmul bias", bias, 1, N);
      if (start) assertShape("matmul start", start, M, N);
      const to = output("matmul", out, [a, b, bias], [start]);
      const left = floats("matmul a", a);
      const right = weights("matmul b", b);
      const added = bias ? floats("matmul bias", bias) : start && floats("matmul start", start);
      // Element (m, k) of op(a) and (k, n) of op(b), as steps along each axis.
      const [aRow, aColumn] = transposeA ? [1, M] : [K, 1];
      const [bRow, bColumn] = transposeB ? [1, K] : [N, 1];
      for (let m = 0; m < M; m++) {
        for (let n = 0; n < N; n++) {
          let sum = 0;
          for (let k = 0; k < K; k++) {
            sum += left[m * aRow + k * aColumn]! * right[k * bRow + n * bColumn]!;
          }
          to[m * N + n] = scale * sum + (added?.[bias ? n : m * N + n] ?? 0);
        }
      }
    },

    norm(out, statistics, x, weight, bias, { centred, epsilon }) {
      const { rows: R, columns: C } = x;
      assertShape("norm out", out, R, C);
      assertShape("norm statistics", statistics, R, 2);
      assertShape("norm weight", weight, 1, C);
      if (bias) assertShape("norm bias", bias, 1, C);
      const to = output("norm", out, [statistics, x, weight, bias]);
      const kept = output("norm statistics", statistics, [x, weight, bias]);
      const gain = floats("norm weight", weight);
      const offset = bias && floats("norm bias", bias);
      const from = floats("norm x", x);
      for (let r = 0; r < R; r++) {
        const row = from.subarray(r * C, (r + 1) * C);
        const mean = centred ? average(C, (i) => row[i]!) : 0;
        const inverse = 1 / Math.sqrt(average(C, (i) => (row[i]! - mean) ** 2) + epsilon);
        for (let i = 0; i < C; i++) {
          to[r * C + i] = (row[i]! - mean) * inverse * gain[i]! + (offset?.[i] ?? 0);
        }
        kept[2 * r] = mean;
        kept[2 * r + 1] = inverse;
      }
    },

    /** With g = c weight and xhat = (x - mean) / sigma: (g - mean g - share xhat mean(g xhat)) / sigma. */
    normPullback(out, c, x, weight, statistics, shares, { centred }) {
      const { rows: R, columns: C } = x;
      assertShape("norm pullback out", out, shares.length * R, C);
      assertShape("norm pullback c", c, shares.length * R, C);
      assertShape("norm pullback weight", weight, 1, C);
      assertShape("norm pullback statistics", statistics, R, 2);
      const to = output("norm pullback", out, [c, x, weight, statistics]);
      const from = floats("norm pullback x", x);
      const gain = floats("norm pullback weight", weight);
      const kept = floats("norm pullback statistics", statistics);
      const coefficient = floats("norm pullback c", c);
      shares.forEach((share, pass) => {
        for (let r = 0; r < R; r++) {
          const row = (pass * R + r) * C;
          const inverse = kept[2 * r + 1]!;
          const xhat = (i: number) => (from[r * C + i]! - kept[2 * r]!) * inverse;
          const g = (i: number) => coefficient[row + i]! * gain[i]!;
          const meanG = centred ? average(C, g) : 0;
          const meanGX = average(C, (i) => g(i) * xhat(i));
          for (let i = 0; i < C; i++) {
            to[row + i] = inverse * (g(i) - meanG - share * xhat(i) * meanGX);
          }
        }
      });
    },

    select(out, x, index) {
      const { rows: N, columns: C } = out;
      assertShape("select x", x, x.rows, C);
      assertShape("select index", index, 1, N);
      const to = output("select", out, [x, index]);
      const rows = indices("select", storage, index, x.rows);
      const from = floats("select x", x);
      for (let n = 0; n < N; n++) {
        for (let i = 0; i < C; i++) to[n * C + i] = from[rows[n]! * C + i]!;
      }
    },

    selectPullback(out, c, index, passes) {
      const C = out.columns;
      const R = Math.floor(out.rows / passes);
      const N = index.columns;
      assertShape("select pullback out", out, passes * R, C);
      assertShape("select pullback c", c, passes * N, C);
      assertShape("select pullback index", index, 1, N);
      const to = output("select pullback", out, [c, index]);
      const rows = indices("select pullback", storage, index, R);
      if (new Set(rows).size < N) throw new Error(`select pullback: repeated rows in ${rows}`);
      const from = floats("select pullback c", c);
      to.fill(0);
      for (let pass = 0; pass < passes; pass++) {
        for (let n = 0; n < N; n++) {
          for (let i = 0; i < C; i++) {
            to[(pass * R + rows[n]!) * C + i] = from[(pass * N + n) * C + i]!;
          }
        }
      }
    },

    relevance(out, c, h) {
      const { rows: R, columns: C } = h;
      const passes = Math.floor(c.rows / R);
      assertShape("relevance c", c, passes * R, C);
      assertShape("relevance out", out, passes * R, 1);
      const to = output("relevance", out, [c, h]);
      const coefficient = floats("relevance c", c);
      const values = floats("relevance h", h);
      for (let row = 0; row < passes * R; row++) {
        let sum = 0;
        for (let i = 0; i < C; i++) sum += coefficient[row * C + i]! * values[(row % R) * C + i]!;
        to[row] = sum;
      }
    },
  } satisfies Partial<Backend>;
}

/** Mean of f(0) .. f(count - 1). */
function average(count: number, f: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += f(i);
  return sum / count;
}

/** The row numbers in `tensor` (1, N), each below `rows`. */
function indices(
  what: string,
  storage: ReferenceStorage,
  tensor: Tensor,
  rows: number,
): Int32Array {
  const found = storage.integers(`${what} rows`, tensor);
  for (const row of found) {
    if (row < 0 || row >= rows) throw new Error(`${what}: row ${row} of ${rows}`);
  }
  return found;
}
