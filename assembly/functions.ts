// exp, the logistic function, the normal distribution and tanh on four floats.
// Constants are read from memory: V8 builds `f32x4.splat(constant)` anew in every round of a loop.
// pmin and pmax are one instruction each; min and max are seven.
import { madd } from "./simd";

const HALF = memory.data<f32>([0.5]);
const ONE = memory.data<f32>([1]);
const MAGNITUDE = memory.data<u32>([0x7fffffff]);

// exp: lowest argument, 1.5 * 2^23, log2(e), -ln(2) in two parts, coefficients of r^2 .. r^6 (minimax on
// |r| <= ln(2) / 2, 3e-9 relative).
const EXP = memory.data<f32>([
  -64, 12582912, 1.44269504, -0.693359375, 2.1219444e-4, 0.49999994, 0.16666521, 0.04166839,
  0.008368745, 0.0013814539,
]);

/**
 * exp(x) for x <= 0; exactly 0 below -64, so that no product of it with a sane number is denormal (a softmax full
 * of denormals runs four times slower). Largest error, 4e6 points in [-64, 0]: 8.5e-8 relative, 5.1e-8 absolute.
 */
export function exponential(x: v128): v128 {
  const t = f32x4.pmax(x, v128.load32_splat(EXP));
  const magic = v128.load32_splat(EXP + 4);
  const shifted = madd(t, v128.load32_splat(EXP + 8), magic);
  const n = f32x4.sub(shifted, magic);
  const r = madd(n, v128.load32_splat(EXP + 16), madd(n, v128.load32_splat(EXP + 12), t));
  const s = f32x4.mul(r, r);
  const low = madd(v128.load32_splat(EXP + 24), r, v128.load32_splat(EXP + 20));
  let p = madd(v128.load32_splat(EXP + 32), r, v128.load32_splat(EXP + 28));
  p = madd(v128.load32_splat(EXP + 36), s, p);
  p = madd(madd(p, s, low), s, r);
  p = f32x4.add(p, v128.load32_splat(ONE));
  // The low bits of `shifted` are n: adding them to the exponent multiplies by 2^n.
  p = i32x4.add(p, i32x4.shl(shifted, 23));
  return v128.andnot(p, f32x4.lt(x, v128.load32_splat(EXP)));
}

/** exp(-|x|). */
export function decay(x: v128): v128 {
  return exponential(f32x4.neg(magnitude(x)));
}

/** 1 / (1 + e), with e = exp(-|x|): the logistic function of |x|. */
export function logisticOfMagnitude(e: v128): v128 {
  return f32x4.div(v128.load32_splat(ONE), f32x4.add(v128.load32_splat(ONE), e));
}

/** The logistic function of x, from e = exp(-|x|) and that of |x|. */
export function logistic(x: v128, e: v128, ofMagnitude: v128): v128 {
  return v128.bitselect(f32x4.mul(e, ofMagnitude), ofMagnitude, i32x4.shr_s(x, 31));
}

// erf(x / sqrt 2) / 2 = x P(x^2) / Q(x^2) for |x| <= 5.56 (minimax, 2e-8 relative before rounding): the bound and
// its negative, P from the highest coefficient down, Q likewise without its constant 1.
const NORMAL = memory.data<f32>([
  5.56, -5.56, 2.2546898e-8, 6.2927675e-6, 1.6710897e-4, 4.666468e-3, 3.373446e-2, 0.39894226,
  1.1871714e-6, 7.284282e-5, 1.8750937e-3, 2.8568918e-2, 0.2512261,
]);

/**
 * Phi(x) = (1 + erf(x / sqrt 2)) / 2; exactly 0 below -5.56 and 1 above 5.56. Largest error, 4e6 points in [-12, 12]:
 * 2.1e-7 absolute (of erf: 4.1e-7).
 */
export function normalDistribution(x: v128): v128 {
  const bound = v128.load32_splat(NORMAL);
  const negative = v128.load32_splat(NORMAL + 4);
  const t = f32x4.pmin(f32x4.pmax(x, negative), bound);
  const s = f32x4.mul(t, t);
  let p = madd(v128.load32_splat(NORMAL + 8), s, v128.load32_splat(NORMAL + 12));
  p = madd(p, s, v128.load32_splat(NORMAL + 16));
  p = madd(p, s, v128.load32_splat(NORMAL + 20));
  p = madd(p, s, v128.load32_splat(NORMAL + 24));
  p = madd(p, s, v128.load32_splat(NORMAL + 28));
  let q = madd(v128.load32_splat(NORMAL + 32), s, v128.load32_splat(NORMAL + 36));
  q = madd(q, s, v128.load32_splat(NORMAL + 40));
  q = madd(q, s, v128.load32_splat(NORMAL + 44));
  q = madd(q, s, v128.load32_splat(NORMAL + 48));
  q = madd(q, s, v128.load32_splat(ONE));
  const phi = f32x4.add(v128.load32_splat(HALF), f32x4.div(f32x4.mul(t, p), q));
  const inside = v128.andnot(phi, f32x4.lt(x, negative));
  return v128.bitselect(v128.load32_splat(ONE), inside, f32x4.gt(x, bound));
}

// tanh(x) = x P(x^2) / Q(x^2) for |x| <= 9.02 (minimax, 2e-8 relative before rounding): the bound, its inverse, P
// from the highest coefficient down without its constant 1, Q likewise.
const TANH = memory.data<f32>([
  9.02, 0.11086474, 1.331779e-8, 2.0582558e-5, 3.4939793e-3, 0.13379672, 7.761494e-7, 3.2830017e-4,
  2.5870865e-2, 0.4671299,
]);

/**
 * tanh(x) / x, exactly 1 at 0: the quotient of the two polynomials is this ratio already. Largest error, 4e6 points in
 * [-12, 12]: 1.7e-7 absolute; of x times it, tanh(x): 3.5e-7.
 */
export function hyperbolicRatio(x: v128): v128 {
  const size = magnitude(x);
  const t = f32x4.pmin(size, v128.load32_splat(TANH));
  const s = f32x4.mul(t, t);
  let p = madd(v128.load32_splat(TANH + 8), s, v128.load32_splat(TANH + 12));
  p = madd(p, s, v128.load32_splat(TANH + 16));
  p = madd(p, s, v128.load32_splat(TANH + 20));
  p = madd(p, s, v128.load32_splat(ONE));
  let q = madd(v128.load32_splat(TANH + 24), s, v128.load32_splat(TANH + 28));
  q = madd(q, s, v128.load32_splat(TANH + 32));
  q = madd(q, s, v128.load32_splat(TANH + 36));
  q = madd(q, s, v128.load32_splat(ONE));
  // Past the bound tanh is 1 and the ratio falls as 1 / |x|.
  return f32x4.div(
    p,
    f32x4.mul(q, f32x4.pmax(f32x4.mul(size, v128.load32_splat(TANH + 4)), v128.load32_splat(ONE))),
  );
}

/** tanh(x), exactly 1 and -1 past the bound. */
export function hyperbolicTangent(x: v128): v128 {
  const one = v128.load32_splat(ONE);
  const isPast = f32x4.gt(magnitude(x), v128.load32_splat(TANH));
  const sign = v128.andnot(x, v128.load32_splat(MAGNITUDE));
  return v128.bitselect(v128.or(one, sign), f32x4.mul(x, hyperbolicRatio(x)), isPast);
}

function magnitude(x: v128): v128 {
  return v128.and(x, v128.load32_splat(MAGNITUDE));
}
