// Kernels that move or sum whole rows. Ids and indices come from the host: one outside the table stops the kernel,
// which answers the position of the offender; -1 means that all went well.
import { loadFirst, storeFirst } from "./simd";

/** out (R, C) = scale[r] * table[ids[r]]; `scale` 0 means 1. */
export function lookup(
  out: usize,
  table: usize,
  ids: usize,
  scale: usize,
  R: i32,
  C: i32,
  tableRows: i32,
): i32 {
  const bytes = (<usize>C) << 2;
  for (let r = 0; r < R; r++) {
    const id = i32.load(ids + ((<usize>r) << 2));
    if (<u32>id >= <u32>tableRows) return r;
    const row = table + <usize>id * bytes;
    if (scale == 0) memory.copy(out, row, bytes);
    else scaleRow(out, row, C, f32.load(scale + ((<usize>r) << 2)));
    out += bytes;
  }
  return -1;
}

function scaleRow(out: usize, row: usize, C: i32, scale: f32): void {
  const scales = f32x4.splat(scale);
  for (; C >= 4; C -= 4) {
    v128.store(out, f32x4.mul(v128.load(row), scales));
    row += 16;
    out += 16;
  }
  if (C > 0) storeFirst(out, f32x4.mul(loadFirst(row, C), scales), C);
}

/** out (P*R, C), zeroed by the caller: row p*R + index[n] += row p*N + n of c. */
export function selectPullback(
  out: usize,
  c: usize,
  index: usize,
  P: i32,
  N: i32,
  R: i32,
  C: i32,
): i32 {
  const bytes = (<usize>C) << 2;
  for (let p = 0; p < P; p++) {
    for (let n = 0; n < N; n++) {
      const r = i32.load(index + ((<usize>n) << 2));
      if (<u32>r >= <u32>R) return n;
      addRow(out + <usize>r * bytes, c, C);
      c += bytes;
    }
    out += <usize>R * bytes;
  }
  return -1;
}

function addRow(out: usize, row: usize, C: i32): void {
  for (; C >= 4; C -= 4) {
    v128.store(out, f32x4.add(v128.load(out), v128.load(row)));
    row += 16;
    out += 16;
  }
  if (C > 0) storeFirst(out, f32x4.add(loadFirst(out, C), loadFirst(row, C)), C);
}

/**
 * out (R) = sum over channels of c (R, C) * h (R, C). The products are summed in double precision: large ones of both
 * signs cancel here.
 */
export function relevance(out: usize, c: usize, h: usize, R: i32, C: i32): void {
  for (let r = 0; r < R; r++) {
    let low = f64x2.splat(0);
    let high = f64x2.splat(0);
    let left = C;
    for (; left > 0; left -= 4) {
      const a = left >= 4 ? v128.load(c) : loadFirst(c, left);
      const b = left >= 4 ? v128.load(h) : loadFirst(h, left);
      low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)));
      const a2 = v128.shuffle<i64>(a, a, 1, 1);
      const b2 = v128.shuffle<i64>(b, b, 1, 1);
      high = f64x2.add(high, f64x2.mul(f64x2.promote_low_f32x4(a2), f64x2.promote_low_f32x4(b2)));
      const step = (<usize>min(4, left)) << 2;
      c += step;
      h += step;
    }
    const sums = f64x2.add(low, high);
    f32.store(out, <f32>(f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1)));
    out += 4;
  }
}

/** As `lookup`, of an int8 table with one scale per row. */
export function lookupInt8(
  out: usize,
  table: usize,
  tableScales: usize,
  ids: usize,
  scale: usize,
  R: i32,
  C: i32,
  tableRows: i32,
): i32 {
  for (let r = 0; r < R; r++) {
    const id = i32.load(ids + ((<usize>r) << 2));
    if (<u32>id >= <u32>tableRows) return r;
    let factor = f32.load(tableScales + ((<usize>id) << 2));
    if (scale != 0) factor *= f32.load(scale + ((<usize>r) << 2));
    widenRow(out, table + <usize>id * <usize>C, C, factor);
    out += (<usize>C) << 2;
  }
  return -1;
}

function widenRow(out: usize, row: usize, C: i32, factor: f32): void {
  const factors = f32x4.splat(factor);
  for (; C >= 8; C -= 8) {
    const words = v128.load8x8_s(row);
    const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
    const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words));
    v128.store(out, f32x4.mul(low, factors));
    v128.store(out, f32x4.mul(high, factors), 16);
    row += 8;
    out += 32;
  }
  for (; C > 0; C--) {
    f32.store(out, <f32>i32.load8_s(row) * factor);
    row++;
    out += 4;
  }
}
