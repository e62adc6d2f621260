// The machine's arithmetic ceiling: twelve independent accumulators that never leave registers. Multiply-add counts two operations.

/** Runs `rounds` rounds of 12 vector multiply-adds of 4 lanes each: 96 * rounds operations. The sum keeps them alive. */
export function peak(rounds: i32, factor: f32, term: f32): f32 {
  // Parameters, because V8 loads a constant anew at each use.
  const x = f32x4.splat(factor);
  const y = f32x4.splat(term);
  let a = f32x4.splat(1);
  let b = f32x4.splat(2);
  let c = f32x4.splat(3);
  let d = f32x4.splat(4);
  let e = f32x4.splat(5);
  let f = f32x4.splat(6);
  let g = f32x4.splat(7);
  let h = f32x4.splat(8);
  let i = f32x4.splat(9);
  let j = f32x4.splat(10);
  let k = f32x4.splat(11);
  let l = f32x4.splat(12);
  do {
    a = step(a, x, y);
    b = step(b, x, y);
    c = step(c, x, y);
    d = step(d, x, y);
    e = step(e, x, y);
    f = step(f, x, y);
    g = step(g, x, y);
    h = step(h, x, y);
    i = step(i, x, y);
    j = step(j, x, y);
    k = step(k, x, y);
    l = step(l, x, y);
  } while (--rounds > 0);
  const sum = f32x4.add(
    f32x4.add(
      f32x4.add(f32x4.add(a, b), f32x4.add(c, d)),
      f32x4.add(f32x4.add(e, f), f32x4.add(g, h)),
    ),
    f32x4.add(f32x4.add(i, j), f32x4.add(k, l)),
  );
  return f32x4.extract_lane(sum, 0);
}

function step(accumulator: v128, x: v128, y: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD
    ? f32x4.relaxed_madd(x, y, accumulator)
    : // Multiplying the accumulator keeps the product inside the loop.
      f32x4.add(f32x4.mul(accumulator, x), y);
}
