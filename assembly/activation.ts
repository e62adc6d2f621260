// How a coefficient crosses an activation phi: c phi'(x), or c phi(x) / x. All activations have the form x g(x), so the
// ratio is g(x) itself, nothing is divided by x, and the forward pass is the ratio with c = x (tanh alone knows infinity
// better than that).
// One loop per family with one call of each larger function: asc inlines those, and a call costs as much as the work.
import {
  decay,
  exponential,
  hyperbolicRatio,
  hyperbolicTangent,
  logistic,
  logisticOfMagnitude,
  normalDistribution,
} from "./functions";
import { loadFirst, madd, storeFirst } from "./simd";

// Numbered as in src/backend/kernels.ts.
const GELU: i32 = 0;
const GELU_TANH: i32 = 1;
const SILU: i32 = 2;
const RELU: i32 = 3;
const TANH: i32 = 4;

/** out (count) = c * slope(x): phi(x) / x where `useRatio`, else phi'(x). */
export function activatePullback(
  out: usize,
  c: usize,
  x: usize,
  count: i32,
  activation: i32,
  useRatio: bool,
): void {
  if (activation == GELU) gelu(out, c, x, count, useRatio);
  else if (activation == GELU_TANH) gated(out, c, x, count, useRatio, true);
  else if (activation == SILU) gated(out, c, x, count, useRatio, false);
  else if (activation == RELU) relu(out, c, x, count);
  else tanhPullback(out, c, x, count, useRatio);
}

/** out (count) = phi(x). */
export function activate(out: usize, x: usize, count: i32, activation: i32): void {
  if (activation == TANH) tanh(out, x, count);
  else activatePullback(out, x, x, count, activation, true);
}

// -1/2, 1 / sqrt(2 pi).
const DENSITY = memory.data<f32>([-0.5, 0.3989422804]);

/** gelu(x) = x Phi(x), with the derivative Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi). */
function gelu(out: usize, c: usize, x: usize, count: i32, useRatio: bool): void {
  for (; count > 0; count -= 4) {
    const v = count >= 4 ? v128.load(x) : loadFirst(x, count);
    let slope = normalDistribution(v);
    if (!useRatio) {
      const e = exponential(f32x4.mul(f32x4.mul(v, v), v128.load32_splat(DENSITY)));
      slope = madd(v, f32x4.mul(e, v128.load32_splat(DENSITY + 4)), slope);
    }
    storeProduct(out, c, slope, count);
    x += 16;
    c += 16;
    out += 16;
  }
}

// gelu_tanh(x) = x logistic(a x + b x^3) with a = 2 sqrt(2 / pi), b = 0.044715 a: a, b, 3 b, and the bounds outside
// which the logistic function is exactly 0 or 1, so that no x^3 overflows.
const CUBIC = memory.data<f32>([1.5957691, 0.07135481, 0.21406443, 10, -10]);

/**
 * x logistic(u), with u = x (silu) or `cubic` in x (gelu_tanh). Derivative: g + x u' g (1 - g) with g = logistic(u).
 */
function gated(out: usize, c: usize, x: usize, count: i32, useRatio: bool, cubic: bool): void {
  for (; count > 0; count -= 4) {
    let u = count >= 4 ? v128.load(x) : loadFirst(x, count);
    let factor = u;
    if (cubic) {
      const t = f32x4.pmin(
        f32x4.pmax(u, v128.load32_splat(CUBIC + 16)),
        v128.load32_splat(CUBIC + 12),
      );
      const s = f32x4.mul(t, t);
      u = f32x4.mul(t, madd(s, v128.load32_splat(CUBIC + 4), v128.load32_splat(CUBIC)));
      factor = f32x4.mul(t, madd(s, v128.load32_splat(CUBIC + 8), v128.load32_splat(CUBIC)));
    }
    const e = decay(u);
    const ofMagnitude = logisticOfMagnitude(e);
    let slope = logistic(u, e, ofMagnitude);
    if (!useRatio) {
      slope = madd(factor, f32x4.mul(f32x4.mul(e, ofMagnitude), ofMagnitude), slope);
    }
    storeProduct(out, c, slope, count);
    x += 16;
    c += 16;
    out += 16;
  }
}

/** Both slopes are 0 where x <= 0, else 1; so NaN stays NaN. */
function relu(out: usize, c: usize, x: usize, count: i32): void {
  const zero = f32x4.splat(0);
  for (; count > 0; count -= 4) {
    const whole = count >= 4;
    const cut = f32x4.le(whole ? v128.load(x) : loadFirst(x, count), zero);
    const y = v128.andnot(whole ? v128.load(c) : loadFirst(c, count), cut);
    if (whole) v128.store(out, y);
    else storeFirst(out, y, count);
    x += 16;
    c += 16;
    out += 16;
  }
}

/** out (count) = tanh(x). */
function tanh(out: usize, x: usize, count: i32): void {
  for (; count > 0; count -= 4) {
    const y = hyperbolicTangent(count >= 4 ? v128.load(x) : loadFirst(x, count));
    if (count >= 4) v128.store(out, y);
    else storeFirst(out, y, count);
    x += 16;
    out += 16;
  }
}

const FOUR = memory.data<f32>([4]);

/** tanh'(x) = 1 - tanh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|): nothing cancels where tanh is near 1. */
function tanhPullback(out: usize, c: usize, x: usize, count: i32, useRatio: bool): void {
  for (; count > 0; count -= 4) {
    const v = count >= 4 ? v128.load(x) : loadFirst(x, count);
    let slope: v128;
    if (useRatio) {
      slope = hyperbolicRatio(v);
    } else {
      const e = decay(f32x4.add(v, v));
      const g = logisticOfMagnitude(e);
      slope = f32x4.mul(f32x4.mul(e, v128.load32_splat(FOUR)), f32x4.mul(g, g));
    }
    storeProduct(out, c, slope, count);
    x += 16;
    c += 16;
    out += 16;
  }
}

function storeProduct(out: usize, c: usize, slope: v128, count: i32): void {
  if (count >= 4) v128.store(out, f32x4.mul(v128.load(c), slope));
  else storeFirst(out, f32x4.mul(loadFirst(c, count), slope), count);
}
