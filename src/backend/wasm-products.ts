// The part of the WASM backend that reads the large weights, float or int8: products and lookups. It picks the kernel by
// the weight's format.
import { assertShape } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";
import type { MatmulOptions } from "./backend.ts";
import { WasmStorage } from "./storage.ts";

export class WasmProducts extends WasmStorage {
  lookup(out: Tensor, table: Tensor, ids: Tensor, scale?: Tensor): void {
    const R = ids.rows * ids.columns;
    assertShape("lookup out", out, R, table.columns);
    if (scale !== undefined) assertShape("lookup scale", scale, R, 1);
    const { kernels } = this.machine;
    const [outAt, idsAt, scaleAt] = [this.at(out), this.at(ids), this.atOrNone(scale)];
    const { rows, columns: C } = table;
    const int8 = this.int8(table);
    const offender = int8
      ? kernels.lookupInt8(outAt, int8.values, int8.scales, idsAt, scaleAt, R, C, rows)
      : kernels.lookup(outAt, this.at(table), idsAt, scaleAt, R, C, rows);
    if (offender >= 0) {
      throw new Error(`lookup: id outside the table of ${rows} rows at position ${offender}`);
    }
  }

  matmul(out: Tensor, a: Tensor, b: Tensor, options: MatmulOptions = {}): void {
    const { transposeA = false, transposeB = false, bias, start, scale = 1 } = options;
    const [M, K] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns];
    const N = transposeB ? b.rows : b.columns;
    assertShape("matmul b", b, transposeB ? N : K, transposeB ? K : N);
    assertShape("matmul out", out, M, N);
    if (bias !== undefined) assertShape("matmul bias", bias, 1, N);
    if (start !== undefined) assertShape("matmul start", start, M, N);
    if (bias !== undefined && start !== undefined) throw new Error("matmul: both bias and start");
    if (K === 0) throw new Error(`matmul: nothing to sum over, inner size ${K}`);
    const { kernels } = this.machine;
    const [outAt, aAt, startAt] = [this.at(out), this.at(a), this.atOrNone(start ?? bias)];
    const startStride = start === undefined ? 0 : N;
    const int8 = this.int8(b);
    if (int8 === undefined) {
      kernels.gemm(
        outAt,
        N,
        aAt,
        a.columns,
        transposeA,
        this.at(b),
        b.columns,
        transposeB,
        startAt,
        startStride,
        M,
        N,
        K,
        scale,
        this.gemmScratch,
      );
      return;
    }
    if (transposeA) throw new Error("matmul: an int8 weight is not multiplied by a transposed a");
    kernels.gemmInt8(
      outAt,
      N,
      aAt,
      a.columns,
      int8.values,
      b.columns,
      int8.scales,
      transposeB,
      startAt,
      startStride,
      M,
      N,
      K,
      scale,
      this.gemmScratch,
    );
  }
}
