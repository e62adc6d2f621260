// The two micro-kernels of the product: C tile (5, 8) or (4, 8) += packed A [k][5 | 4] * packed B [k][8].
// Ten or eight accumulators, two of B and one or two of A fit the 15 vector registers V8 gives away. Do not
// unroll k: TurboFan then sinks the products to the block's end and spills accumulators (a third slower).
import { madd } from "./simd";

/** Bytes of one k step of the packed B panel. */
export const STEP_B: usize = 32;

/** out (5, 8) = start (5, 8) + A B. Strides in bytes; `start` may be `out`; stride 0 repeats one row. */
export function tile5(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  a: usize,
  b: usize,
  bEnd: usize,
): void {
  let c00 = v128.load(start);
  let c01 = v128.load(start, 16);
  start += startStride;
  let c10 = v128.load(start);
  let c11 = v128.load(start, 16);
  start += startStride;
  let c20 = v128.load(start);
  let c21 = v128.load(start, 16);
  start += startStride;
  let c30 = v128.load(start);
  let c31 = v128.load(start, 16);
  start += startStride;
  let c40 = v128.load(start);
  let c41 = v128.load(start, 16);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    if (ASC_FEATURE_RELAXED_SIMD) {
      // One load and four shuffles: workerd checks the bounds of every load, so loads are what costs.
      const column = v128.load(a);
      let row = v128.shuffle<f32>(column, column, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(column, column, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(column, column, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(column, column, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
    } else {
      // Without FMA the shuffles would compete with the separate additions for ports.
      let row = v128.load32_splat(a);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.load32_splat(a, 4);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.load32_splat(a, 8);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.load32_splat(a, 12);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
    }
    const last = v128.load32_splat(a, 16);
    c40 = madd(last, b0, c40);
    c41 = madd(last, b1, c41);
    a += 20;
    b += STEP_B;
  } while (b < bEnd);
  v128.store(out, c00);
  v128.store(out, c01, 16);
  out += outStride;
  v128.store(out, c10);
  v128.store(out, c11, 16);
  out += outStride;
  v128.store(out, c20);
  v128.store(out, c21, 16);
  out += outStride;
  v128.store(out, c30);
  v128.store(out, c31, 16);
  out += outStride;
  v128.store(out, c40);
  v128.store(out, c41, 16);
}

/** out (4, 8) = start (4, 8) + A B, as `tile5`. */
export function tile4(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  a: usize,
  b: usize,
  bEnd: usize,
): void {
  let c00 = v128.load(start);
  let c01 = v128.load(start, 16);
  start += startStride;
  let c10 = v128.load(start);
  let c11 = v128.load(start, 16);
  start += startStride;
  let c20 = v128.load(start);
  let c21 = v128.load(start, 16);
  start += startStride;
  let c30 = v128.load(start);
  let c31 = v128.load(start, 16);
  do {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    if (ASC_FEATURE_RELAXED_SIMD) {
      const column = v128.load(a);
      let row = v128.shuffle<f32>(column, column, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(column, column, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(column, column, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(column, column, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
    } else {
      let row = v128.load32_splat(a);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.load32_splat(a, 4);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.load32_splat(a, 8);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.load32_splat(a, 12);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
    }
    a += 16;
    b += STEP_B;
  } while (b < bEnd);
  v128.store(out, c00);
  v128.store(out, c01, 16);
  out += outStride;
  v128.store(out, c10);
  v128.store(out, c11, 16);
  out += outStride;
  v128.store(out, c20);
  v128.store(out, c21, 16);
  out += outStride;
  v128.store(out, c30);
  v128.store(out, c31, 16);
}
