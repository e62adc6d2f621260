// Kernels without structure: one loop over `count` floats.
import { loadFirst, storeFirst } from "./simd";

/** out = a + b. */
export function add(out: usize, a: usize, b: usize, count: i32): void {
  for (; count >= 4; count -= 4) {
    v128.store(out, f32x4.add(v128.load(a), v128.load(b)));
    a += 16;
    b += 16;
    out += 16;
  }
  if (count > 0) storeFirst(out, f32x4.add(loadFirst(a, count), loadFirst(b, count)), count);
}

/** out = factor * a * b. */
export function multiply(out: usize, a: usize, b: usize, count: i32, factor: f32): void {
  const factors = f32x4.splat(factor);
  for (; count >= 4; count -= 4) {
    v128.store(out, f32x4.mul(f32x4.mul(v128.load(a), factors), v128.load(b)));
    a += 16;
    b += 16;
    out += 16;
  }
  if (count > 0) {
    const product = f32x4.mul(f32x4.mul(loadFirst(a, count), factors), loadFirst(b, count));
    storeFirst(out, product, count);
  }
}

/** out = c * z / (z + epsilon sign(z)), sign(0) = 1; epsilon > 0. Written as c |z| / (|z| + epsilon). */
export function stabilise(out: usize, c: usize, z: usize, count: i32, epsilon: f32): void {
  const epsilons = f32x4.splat(epsilon);
  for (; count >= 4; count -= 4) {
    v128.store(out, stabilised(v128.load(c), v128.load(z), epsilons));
    c += 16;
    z += 16;
    out += 16;
  }
  if (count > 0) {
    storeFirst(out, stabilised(loadFirst(c, count), loadFirst(z, count), epsilons), count);
  }
}

function stabilised(c: v128, z: v128, epsilons: v128): v128 {
  const size = f32x4.abs(z);
  return f32x4.mul(c, f32x4.div(size, f32x4.add(size, epsilons)));
}

/** Zero `bytes` bytes. */
export function clear(out: usize, bytes: i32): void {
  memory.fill(out, 0, bytes);
}

/** Copies `bytes` bytes. */
export function copy(out: usize, source: usize, bytes: i32): void {
  memory.copy(out, source, bytes);
}
