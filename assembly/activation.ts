// The activations and the slopes by which a coefficient crosses them. All but relu and tanh have the form x g(x),
// so the slope "ratio" phi(x) / x is g(x) itself: nothing is divided by x.
import {
  decay,
  hyperbolicRatio,
  hyperbolicTangent,
  logistic,
  logisticOfMagnitude,
  normalDensity,
  normalDistribution,
} from "./functions";
import { loadFirst, madd, storeFirst } from "./simd";

// Numbered as in src/backend/kernels.ts.
const GELU: i32 = 0;
const GELU_TANH: i32 = 1;
const SILU: i32 = 2;
const RELU: i32 = 3;

const ONE = memory.data<f32>([1]);
const FOUR = memory.data<f32>([4]);

// gelu_tanh(x) = x logistic(a x + b x^3) with a = 2 sqrt(2 / pi), b = 0.044715 a: a, b, 3 b, and the bounds +-10
// outside which the logistic function is exactly 0 or 1 (so that no x^3 overflows).
const CUBIC = memory.data<f32>([1.5957691, 0.07135481, 0.21406443, 10, -10]);

/** out (count) = phi(x). */
export function activate(out: usize, x: usize, count: i32, activation: i32): void {
  while (count > 0) {
    const v = count >= 4 ? v128.load(x) : loadFirst(x, count);
    const g = ratio(v, activation);
    let y = f32x4.mul(v, g);
    if (activation == RELU) y = v128.and(v, f32x4.gt(v, v128.xor(v, v)));
    else if (activation > RELU) y = hyperbolicTangent(v, g);
    if (count >= 4) v128.store(out, y);
    else storeFirst(out, y, count);
    x += 16;
    out += 16;
    count -= 4;
  }
}

/** out (count) = c * slope(x), with slope phi'(x), or phi(x) / x where `useRatio`. */
export function activatePullback(
  out: usize,
  c: usize,
  x: usize,
  count: i32,
  activation: i32,
  useRatio: bool,
): void {
  while (count > 0) {
    const v = count >= 4 ? v128.load(x) : loadFirst(x, count);
    const slope = useRatio ? ratio(v, activation) : derivative(v, activation);
    if (count >= 4) v128.store(out, f32x4.mul(v128.load(c), slope));
    else storeFirst(out, f32x4.mul(loadFirst(c, count), slope), count);
    x += 16;
    c += 16;
    out += 16;
    count -= 4;
  }
}

function ratio(x: v128, activation: i32): v128 {
  if (activation == GELU) return normalDistribution(x);
  if (activation == GELU_TANH) {
    const t = bounded(x);
    const u = f32x4.mul(
      t,
      madd(f32x4.mul(t, t), v128.load32_splat(CUBIC, 4), v128.load32_splat(CUBIC)),
    );
    const e = decay(u);
    return logistic(u, e, logisticOfMagnitude(e));
  }
  if (activation == SILU) {
    const e = decay(x);
    return logistic(x, e, logisticOfMagnitude(e));
  }
  if (activation == RELU) return step(x);
  return hyperbolicRatio(x);
}

function derivative(x: v128, activation: i32): v128 {
  if (activation == GELU) return madd(x, normalDensity(x), normalDistribution(x));
  if (activation == GELU_TANH) {
    const t = bounded(x);
    const s = f32x4.mul(t, t);
    const u = f32x4.mul(t, madd(s, v128.load32_splat(CUBIC, 4), v128.load32_splat(CUBIC)));
    const inner = madd(s, v128.load32_splat(CUBIC, 8), v128.load32_splat(CUBIC));
    return gated(u, f32x4.mul(t, inner));
  }
  if (activation == SILU) return gated(x, x);
  if (activation == RELU) return step(x);
  // 1 - tanh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|): no cancellation where tanh is near 1.
  const e = decay(f32x4.add(x, x));
  const g = logisticOfMagnitude(e);
  return f32x4.mul(f32x4.mul(e, v128.load32_splat(FOUR)), f32x4.mul(g, g));
}

/** Derivative of y logistic(u) by y, with factor = y u': logistic + factor * logistic (1 - logistic). */
function gated(u: v128, factor: v128): v128 {
  const e = decay(u);
  const ofMagnitude = logisticOfMagnitude(e);
  const bell = f32x4.mul(f32x4.mul(e, ofMagnitude), ofMagnitude);
  return madd(factor, bell, logistic(u, e, ofMagnitude));
}

function bounded(x: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, v128.load32_splat(CUBIC, 16)), v128.load32_splat(CUBIC, 12));
}

/** 1 where x > 0, else 0. */
function step(x: v128): v128 {
  return v128.and(v128.load32_splat(ONE), f32x4.gt(x, v128.xor(x, x)));
}
