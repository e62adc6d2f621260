// The two micro-kernels of the product: C tile (5, 8) or (4, 8) += packed A [k][5 | 4] * packed B [k][8].
// Ten or eight accumulators, two of B and two of A fit the 15 vector registers V8 gives away. Between two k steps
// there must be a branch: Binaryen would else nest the products of one accumulator into one expression, for which all
// of A and B has to be loaded first, and accumulators are spilled (a third slower; `npm run check:spills`).
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
  if (ASC_FEATURE_RELAXED_SIMD) {
    // Four k steps are five vectors of A: each of them loaded once, its lanes spread by shuffles. workerd checks the
    // bounds of every load, so loads are what costs.
    do {
      let b0 = v128.load(b);
      let b1 = v128.load(b, 16);
      let some = v128.load(a);
      let row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      some = v128.load(a, 16);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c40 = madd(row, b0, c40);
      c41 = madd(row, b1, c41);
      b += STEP_B;
      if (b >= bEnd) break;
      b0 = v128.load(b);
      b1 = v128.load(b, 16);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      some = v128.load(a, 32);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c40 = madd(row, b0, c40);
      c41 = madd(row, b1, c41);
      b += STEP_B;
      if (b >= bEnd) break;
      b0 = v128.load(b);
      b1 = v128.load(b, 16);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      some = v128.load(a, 48);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c40 = madd(row, b0, c40);
      c41 = madd(row, b1, c41);
      b += STEP_B;
      if (b >= bEnd) break;
      b0 = v128.load(b);
      b1 = v128.load(b, 16);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      some = v128.load(a, 64);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c40 = madd(row, b0, c40);
      c41 = madd(row, b1, c41);
      a += 80;
      b += STEP_B;
    } while (b < bEnd);
  } else {
    // Without FMA the shuffles would compete with the separate additions for ports.
    do {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
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
      row = v128.load32_splat(a, 16);
      c40 = madd(row, b0, c40);
      c41 = madd(row, b1, c41);
      a += 20;
      b += STEP_B;
    } while (b < bEnd);
  }
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
  if (ASC_FEATURE_RELAXED_SIMD) {
    do {
      let b0 = v128.load(b);
      let b1 = v128.load(b, 16);
      let some = v128.load(a);
      let row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      b += STEP_B;
      if (b >= bEnd) break;
      b0 = v128.load(b);
      b1 = v128.load(b, 16);
      some = v128.load(a, 16);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      b += STEP_B;
      if (b >= bEnd) break;
      b0 = v128.load(b);
      b1 = v128.load(b, 16);
      some = v128.load(a, 32);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      b += STEP_B;
      if (b >= bEnd) break;
      b0 = v128.load(b);
      b1 = v128.load(b, 16);
      some = v128.load(a, 48);
      row = v128.shuffle<f32>(some, some, 0, 0, 0, 0);
      c00 = madd(row, b0, c00);
      c01 = madd(row, b1, c01);
      row = v128.shuffle<f32>(some, some, 1, 1, 1, 1);
      c10 = madd(row, b0, c10);
      c11 = madd(row, b1, c11);
      row = v128.shuffle<f32>(some, some, 2, 2, 2, 2);
      c20 = madd(row, b0, c20);
      c21 = madd(row, b1, c21);
      row = v128.shuffle<f32>(some, some, 3, 3, 3, 3);
      c30 = madd(row, b0, c30);
      c31 = madd(row, b1, c31);
      a += 64;
      b += STEP_B;
    } while (b < bEnd);
  } else {
    do {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
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
      a += 16;
      b += STEP_B;
    } while (b < bEnd);
  }
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
