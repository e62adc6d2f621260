// The two micro-kernels of the product with int8 weights: C tile (5, 8) or (4, 8) from packed pairs of 16-bit
// integers, A [k pair][5 | 4][2] and B [k pair][8][2]. Sums are exact in int32; only the epilogue rounds, and it is
// the same in both builds. Ten accumulators, two of B, one of A and one product fit the 15 vector registers.

/** Bytes of one pair of k in a packed B panel. */
export const STEP_PAIR: usize = 32;

/** out (5, 8) = start + A B * rowFactors * columnScales. Strides in bytes; `start` may be `out`; stride 0 repeats. */
export function int8Tile5(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  a: usize,
  b: usize,
  bEnd: usize,
  rowFactors: usize,
  columnScales: usize,
): void {
  let c00 = i32x4.splat(0);
  let c01 = i32x4.splat(0);
  let c10 = i32x4.splat(0);
  let c11 = i32x4.splat(0);
  let c20 = i32x4.splat(0);
  let c21 = i32x4.splat(0);
  let c30 = i32x4.splat(0);
  let c31 = i32x4.splat(0);
  let c40 = i32x4.splat(0);
  let c41 = i32x4.splat(0);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    if (ASC_FEATURE_RELAXED_SIMD) {
      // As in tiles.ts: workerd checks the bounds of every load, so loads are what costs there.
      const column = v128.load(a);
      let row = v128.shuffle<i32>(column, column, 0, 0, 0, 0);
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(row, b0));
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(row, b1));
      row = v128.shuffle<i32>(column, column, 1, 1, 1, 1);
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(row, b0));
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(row, b1));
      row = v128.shuffle<i32>(column, column, 2, 2, 2, 2);
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(row, b0));
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(row, b1));
      row = v128.shuffle<i32>(column, column, 3, 3, 3, 3);
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(row, b0));
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(row, b1));
    } else {
      let row = v128.load32_splat(a);
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(row, b0));
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(row, b1));
      row = v128.load32_splat(a, 4);
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(row, b0));
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(row, b1));
      row = v128.load32_splat(a, 8);
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(row, b0));
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(row, b1));
      row = v128.load32_splat(a, 12);
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(row, b0));
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(row, b1));
    }
    const last = v128.load32_splat(a, 16);
    c40 = i32x4.add(c40, i32x4.dot_i16x8_s(last, b0));
    c41 = i32x4.add(c41, i32x4.dot_i16x8_s(last, b1));
    a += 20;
    b += STEP_PAIR;
  } while (b < bEnd);
  finishRow(out, start, c00, c01, rowFactors, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c10, c11, rowFactors + 4, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c20, c21, rowFactors + 8, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c30, c31, rowFactors + 12, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c40, c41, rowFactors + 16, columnScales);
}

/** out (4, 8), as `int8Tile5`. */
export function int8Tile4(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  a: usize,
  b: usize,
  bEnd: usize,
  rowFactors: usize,
  columnScales: usize,
): void {
  let c00 = i32x4.splat(0);
  let c01 = i32x4.splat(0);
  let c10 = i32x4.splat(0);
  let c11 = i32x4.splat(0);
  let c20 = i32x4.splat(0);
  let c21 = i32x4.splat(0);
  let c30 = i32x4.splat(0);
  let c31 = i32x4.splat(0);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    if (ASC_FEATURE_RELAXED_SIMD) {
      const column = v128.load(a);
      let row = v128.shuffle<i32>(column, column, 0, 0, 0, 0);
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(row, b0));
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(row, b1));
      row = v128.shuffle<i32>(column, column, 1, 1, 1, 1);
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(row, b0));
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(row, b1));
      row = v128.shuffle<i32>(column, column, 2, 2, 2, 2);
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(row, b0));
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(row, b1));
      row = v128.shuffle<i32>(column, column, 3, 3, 3, 3);
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(row, b0));
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(row, b1));
    } else {
      let row = v128.load32_splat(a);
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(row, b0));
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(row, b1));
      row = v128.load32_splat(a, 4);
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(row, b0));
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(row, b1));
      row = v128.load32_splat(a, 8);
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(row, b0));
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(row, b1));
      row = v128.load32_splat(a, 12);
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(row, b0));
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(row, b1));
    }
    a += 16;
    b += STEP_PAIR;
  } while (b < bEnd);
  finishRow(out, start, c00, c01, rowFactors, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c10, c11, rowFactors + 4, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c20, c21, rowFactors + 8, columnScales);
  out += outStride;
  start += startStride;
  finishRow(out, start, c30, c31, rowFactors + 12, columnScales);
}

/** No fused multiply-add here: a model of int8 weights then gives the same products on every engine. */
function finishRow(
  out: usize,
  start: usize,
  c0: v128,
  c1: v128,
  rowFactor: usize,
  columnScales: usize,
): void {
  const factor = v128.load32_splat(rowFactor);
  const p0 = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(c0), factor), v128.load(columnScales));
  const p1 = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(c1), factor), v128.load(columnScales, 16));
  const s0 = v128.load(start);
  const s1 = v128.load(start, 16);
  v128.store(out, f32x4.add(s0, p0));
  v128.store(out, f32x4.add(s1, p1), 16);
}
