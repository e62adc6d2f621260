// LayerNorm and RMSNorm, forward and backward, one row at a time.
import { loadFirst, madd, storeFirst, sumLanes } from "./simd";

/**
 * out (R, C) = (x - mean) / sigma * weight + bias; statistics (R, 2) = mean, 1 / sigma. Not `centred`: RMSNorm, mean 0.
 * `bias` 0 adds nothing.
 */
export function norm(
  out: usize,
  statistics: usize,
  x: usize,
  weight: usize,
  bias: usize,
  R: i32,
  C: i32,
  centred: bool,
  epsilon: f32,
): void {
  const bytes = (<usize>C) << 2;
  for (let r = 0; r < R; r++) {
    const mean = centred ? sum(x, C) / <f32>C : <f32>0;
    const inverse = <f32>1 / sqrt<f32>(squares(x, C, mean) / <f32>C + epsilon);
    f32.store(statistics, mean);
    f32.store(statistics, inverse, 4);
    normRow(out, x, weight, bias, C, mean, inverse);
    statistics += 8;
    out += bytes;
    x += bytes;
  }
}

/** Four partial sums of four lanes each: short dependency chains and a fixed order. */
function sum(x: usize, C: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; C >= 16; C -= 16) {
    s0 = f32x4.add(s0, v128.load(x));
    s1 = f32x4.add(s1, v128.load(x, 16));
    s2 = f32x4.add(s2, v128.load(x, 32));
    s3 = f32x4.add(s3, v128.load(x, 48));
    x += 64;
  }
  for (; C >= 4; C -= 4) {
    s0 = f32x4.add(s0, v128.load(x));
    x += 16;
  }
  if (C > 0) s1 = f32x4.add(s1, loadFirst(x, C));
  return sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/** Sum of (x - mean)^2. */
function squares(x: usize, C: i32, mean: f32): f32 {
  const means = f32x4.splat(mean);
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; C >= 16; C -= 16) {
    const d0 = f32x4.sub(v128.load(x), means);
    const d1 = f32x4.sub(v128.load(x, 16), means);
    const d2 = f32x4.sub(v128.load(x, 32), means);
    const d3 = f32x4.sub(v128.load(x, 48), means);
    s0 = madd(d0, d0, s0);
    s1 = madd(d1, d1, s1);
    s2 = madd(d2, d2, s2);
    s3 = madd(d3, d3, s3);
    x += 64;
  }
  for (; C >= 4; C -= 4) {
    const d = f32x4.sub(v128.load(x), means);
    s0 = madd(d, d, s0);
    x += 16;
  }
  let last: f32 = 0;
  for (; C > 0; C--) {
    const d = f32.load(x) - mean;
    last += d * d;
    x += 4;
  }
  return sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3))) + last;
}

function normRow(
  out: usize,
  x: usize,
  weight: usize,
  bias: usize,
  C: i32,
  mean: f32,
  inverse: f32,
): void {
  const means = f32x4.splat(mean);
  const inverses = f32x4.splat(inverse);
  for (; C > 0; C -= 4) {
    const whole = C >= 4;
    const v = whole ? v128.load(x) : loadFirst(x, C);
    const w = whole ? v128.load(weight) : loadFirst(weight, C);
    let y = f32x4.mul(f32x4.mul(f32x4.sub(v, means), inverses), w);
    if (bias != 0) {
      y = f32x4.add(y, whole ? v128.load(bias) : loadFirst(bias, C));
      bias += 16;
    }
    if (whole) v128.store(out, y);
    else storeFirst(out, y, C);
    x += 16;
    weight += 16;
    out += 16;
  }
}

/**
 * out (R, C): c through the norm of x, for one pass. With g = c * weight and h = (x - mean) / sigma:
 * out = (g - mean(g) - share * h * mean(g * h)) / sigma; mean(g) only where `centred`.
 */
export function normPullback(
  out: usize,
  c: usize,
  x: usize,
  weight: usize,
  statistics: usize,
  R: i32,
  C: i32,
  centred: bool,
  share: f32,
): void {
  const bytes = (<usize>C) << 2;
  const size = <f32>C;
  for (let r = 0; r < R; r++) {
    const mean = f32.load(statistics);
    const inverse = f32.load(statistics, 4);
    const shift = centred ? weightedSum(c, weight, C) / size : <f32>0;
    const slope = share != 0 ? (share * inverse * crossSum(c, weight, x, C, mean)) / size : <f32>0;
    pullRow(out, c, x, weight, C, mean, inverse, shift, slope);
    statistics += 8;
    out += bytes;
    c += bytes;
    x += bytes;
  }
}

/** Sum of c * weight. */
function weightedSum(c: usize, weight: usize, C: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  for (; C >= 8; C -= 8) {
    s0 = madd(v128.load(c), v128.load(weight), s0);
    s1 = madd(v128.load(c, 16), v128.load(weight, 16), s1);
    c += 32;
    weight += 32;
  }
  for (; C > 0; C -= 4) {
    const whole = C >= 4;
    const v = whole ? v128.load(c) : loadFirst(c, C);
    const w = whole ? v128.load(weight) : loadFirst(weight, C);
    s0 = madd(v, w, s0);
    c += 16;
    weight += 16;
  }
  return sumLanes(f32x4.add(s0, s1));
}

/** Sum of c * weight * (x - mean). */
function crossSum(c: usize, weight: usize, x: usize, C: i32, mean: f32): f32 {
  const means = f32x4.splat(mean);
  let s0 = f32x4.splat(0);
  let s1 = s0;
  for (; C >= 8; C -= 8) {
    const g0 = f32x4.mul(v128.load(c), v128.load(weight));
    const g1 = f32x4.mul(v128.load(c, 16), v128.load(weight, 16));
    s0 = madd(g0, f32x4.sub(v128.load(x), means), s0);
    s1 = madd(g1, f32x4.sub(v128.load(x, 16), means), s1);
    c += 32;
    weight += 32;
    x += 32;
  }
  for (; C > 0; C -= 4) {
    const whole = C >= 4;
    const v = whole ? v128.load(c) : loadFirst(c, C);
    const w = whole ? v128.load(weight) : loadFirst(weight, C);
    const d = f32x4.sub(whole ? v128.load(x) : loadFirst(x, C), means);
    s0 = madd(f32x4.mul(v, w), d, s0);
    c += 16;
    weight += 16;
    x += 16;
  }
  return sumLanes(f32x4.add(s0, s1));
}

/** out = (c * weight - shift - slope * (x - mean) / sigma) / sigma. */
function pullRow(
  out: usize,
  c: usize,
  x: usize,
  weight: usize,
  C: i32,
  mean: f32,
  inverse: f32,
  shift: f32,
  slope: f32,
): void {
  const means = f32x4.splat(mean);
  const inverses = f32x4.splat(inverse);
  const shifts = f32x4.splat(shift);
  const slopes = f32x4.splat(-slope * inverse);
  for (; C > 0; C -= 4) {
    const whole = C >= 4;
    const v = whole ? v128.load(c) : loadFirst(c, C);
    const w = whole ? v128.load(weight) : loadFirst(weight, C);
    const d = f32x4.sub(whole ? v128.load(x) : loadFirst(x, C), means);
    const g = f32x4.sub(f32x4.mul(v, w), shifts);
    const y = f32x4.mul(inverses, madd(slopes, d, g));
    if (whole) v128.store(out, y);
    else storeFirst(out, y, C);
    c += 16;
    x += 16;
    weight += 16;
    out += 16;
  }
}
