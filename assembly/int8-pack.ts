// Copies int8 weights and activations into the order in which the int8 micro-kernels read them: 16-bit integers in
// pairs along k. Strides are in bytes. A lane without a row or column behind it holds anything: nobody copies it out.
import { loadFirst } from "./simd";
import { STEP_PAIR } from "./int8-tiles";

/** Activations become integers of at most this size. */
const LARGEST: f32 = 32767;
/** Rows whose largest number is smaller than 2^-100 are quantised as if it were that: LARGEST / it stays finite. */
const SMALLEST: f32 = 7.888609e-31;
/** 1.5 * 2^23: added to a smaller number, it leaves the nearest integer (half to even) in the low bits. */
const ROUNDER: f32 = 12582912;
const ROUNDER_BITS: i32 = 0x4b400000;
const INFINITY_BITS: i32 = 0x7f800000;

/** Panel b [k pair][8][2] = 8 rows of W (N, K), `rows` of them real, from column 0 on. */
export function packInt8Rows(b: usize, w: usize, stride: usize, rows: i32, depth: i32): void {
  const half = rows > 4 ? w + 4 * stride : w;
  packFourRows(b, w, stride, min(rows, 4), depth);
  packFourRows(b + 16, half, stride, rows > 4 ? rows - 4 : min(rows, 4), depth);
}

function packFourRows(b: usize, w: usize, stride: usize, rows: i32, depth: i32): void {
  const w0 = w;
  const w1 = rows > 1 ? w0 + stride : w0;
  const w2 = rows > 2 ? w1 + stride : w1;
  const w3 = rows > 3 ? w2 + stride : w2;
  const whole = <usize>depth & ~15;
  let at: usize = 0;
  while (at < whole) {
    const r0 = v128.load(w0 + at);
    const r1 = v128.load(w1 + at);
    const r2 = v128.load(w2 + at);
    const r3 = v128.load(w3 + at);
    // A pair of k is one 16-bit unit: a 4 by 8 transpose of units, then every byte widens.
    const low01 = v128.shuffle<i16>(r0, r1, 0, 8, 1, 9, 2, 10, 3, 11);
    const low23 = v128.shuffle<i16>(r2, r3, 0, 8, 1, 9, 2, 10, 3, 11);
    storePairs(b, v128.shuffle<i32>(low01, low23, 0, 4, 1, 5));
    storePairs(b + 64, v128.shuffle<i32>(low01, low23, 2, 6, 3, 7));
    const high01 = v128.shuffle<i16>(r0, r1, 4, 12, 5, 13, 6, 14, 7, 15);
    const high23 = v128.shuffle<i16>(r2, r3, 4, 12, 5, 13, 6, 14, 7, 15);
    storePairs(b + 128, v128.shuffle<i32>(high01, high23, 0, 4, 1, 5));
    storePairs(b + 192, v128.shuffle<i32>(high01, high23, 2, 6, 3, 7));
    at += 16;
    b += 256;
  }
  const end = <usize>depth;
  while (at < end) {
    const hasTwo = at + 1 < end;
    storePair(b, w0 + at, hasTwo);
    storePair(b + 4, w1 + at, hasTwo);
    storePair(b + 8, w2 + at, hasTwo);
    storePair(b + 12, w3 + at, hasTwo);
    at += 2;
    b += STEP_PAIR;
  }
}

/** Two pairs of k of four columns, widened: one vector to each of two steps of the panel. */
function storePairs(b: usize, bytes: v128): void {
  v128.store(b, i16x8.extend_low_i8x16_s(bytes));
  v128.store(b, i16x8.extend_high_i8x16_s(bytes), 32);
}

function storePair(b: usize, w: usize, hasTwo: bool): void {
  i32.store16(b, i32.load8_s(w));
  i32.store16(b, hasTwo ? i32.load8_s(w, 1) : 0, 2);
}

/**
 * Panels b [k pair][8][2], `panelBytes` apart, = `columns` (1 .. 64) columns of W (K, N). Whole cache lines are read
 * at once.
 */
export function packInt8Columns(
  b: usize,
  panelBytes: usize,
  w: usize,
  stride: usize,
  columns: i32,
  depth: i32,
): void {
  while (depth > 0) {
    // The last row of an odd count is paired with itself, and meets zeros in A.
    const next = depth > 1 ? w + stride : w;
    let to = b;
    let at: usize = 0;
    let left = columns;
    for (; left >= 16; left -= 16) {
      const first = v128.load(w + at);
      const second = v128.load(next + at);
      const low = v128.shuffle<i8>(
        first,
        second,
        0,
        16,
        1,
        17,
        2,
        18,
        3,
        19,
        4,
        20,
        5,
        21,
        6,
        22,
        7,
        23,
      );
      const high = v128.shuffle<i8>(
        first,
        second,
        8,
        24,
        9,
        25,
        10,
        26,
        11,
        27,
        12,
        28,
        13,
        29,
        14,
        30,
        15,
        31,
      );
      v128.store(to, i16x8.extend_low_i8x16_s(low));
      v128.store(to, i16x8.extend_high_i8x16_s(low), 16);
      to += panelBytes;
      v128.store(to, i16x8.extend_low_i8x16_s(high));
      v128.store(to, i16x8.extend_high_i8x16_s(high), 16);
      to += panelBytes;
      at += 16;
    }
    for (let n = 0; n < left; n++) {
      const pair = to + (n >= 8 ? panelBytes : 0) + ((<usize>(n & 7)) << 2);
      i32.store16(pair, i32.load8_s(w + at));
      i32.store16(pair, i32.load8_s(next + at), 2);
      at++;
    }
    w = next + stride;
    b += STEP_PAIR;
    depth -= 2;
  }
}

/**
 * Quantises a row of `depth` activations to a [k pair][step / 4][2], of which it fills one place, and answers what
 * one unit stands for: NaN where a number of the row is not finite. The rest of an odd pair is 0.
 */
export function quantiseRow(a: usize, step: usize, x: usize, depth: i32): f32 {
  const bits = largestBits(x, depth);
  if (bits >= INFINITY_BITS) return f32.NaN;
  const largest = max(f32.reinterpret_i32(bits), SMALLEST);
  const inverse = LARGEST / largest;
  const inverses = f32x4.splat(inverse);
  const rounder = f32x4.splat(ROUNDER);
  const rounderBits = i32x4.splat(ROUNDER_BITS);
  for (; depth >= 8; depth -= 8) {
    const x0 = f32x4.add(f32x4.mul(v128.load(x), inverses), rounder);
    const x1 = f32x4.add(f32x4.mul(v128.load(x, 16), inverses), rounder);
    const pairs = i16x8.narrow_i32x4_s(i32x4.sub(x0, rounderBits), i32x4.sub(x1, rounderBits));
    v128.store32_lane(a, pairs, 0);
    a += step;
    v128.store32_lane(a, pairs, 1);
    a += step;
    v128.store32_lane(a, pairs, 2);
    a += step;
    v128.store32_lane(a, pairs, 3);
    a += step;
    x += 32;
  }
  for (; depth > 0; depth -= 2) {
    i32.store16(a, i32.reinterpret_f32(f32.load(x) * inverse + ROUNDER));
    i32.store16(a, depth > 1 ? i32.reinterpret_f32(f32.load(x, 4) * inverse + ROUNDER) : 0, 2);
    a += step;
    x += 8;
  }
  return largest / LARGEST;
}

/** Bits of the largest |x|. As integers they are ordered like the numbers, with infinity and NaN above all. */
function largestBits(x: usize, depth: i32): i32 {
  let most = i32x4.splat(0);
  for (; depth >= 4; depth -= 4) {
    most = i32x4.max_s(most, f32x4.abs(v128.load(x)));
    x += 16;
  }
  if (depth > 0) most = i32x4.max_s(most, f32x4.abs(loadFirst(x, depth)));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  return max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1));
}
