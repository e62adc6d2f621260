// The softmax over keys and its pullback. Lane k mod 4 sums key k in the order of k, so keys hidden at the end of a
// sequence change no bit.
import { exponential } from "./functions";
import { largestLane, loadFirst, madd, storeFirst, sumLanes } from "./simd";

/**
 * a (rows, keys): scores become weights, in place. `hidden` holds -1 per hidden key and 0 per visible one, filled up
 * with -1 to a multiple of 4; at least one key is visible.
 */
export function softmaxRows(a: usize, rows: i32, keys: i32, hidden: usize): void {
  const lowest = f32x4.splat(-Infinity);
  const left = keys & 3;
  const whole = (<usize>(keys - left)) << 2;
  const stride = (<usize>keys) << 2;
  const end = (<usize>((keys + 3) & ~3)) << 2;
  for (let r = 0; r < rows; r++) {
    let top = lowest;
    let at: usize = 0;
    do {
      const read = at < whole ? v128.load(a + at) : loadFirst(a + at, left);
      const s = v128.bitselect(lowest, read, v128.load(hidden + at));
      top = f32x4.pmax(top, s);
      at += 16;
    } while (at < end);
    const tops = f32x4.splat(largestLane(top));
    let sum = f32x4.splat(0);
    let last = sum;
    at = 0;
    do {
      const read = at < whole ? v128.load(a + at) : loadFirst(a + at, left);
      const s = v128.bitselect(lowest, read, v128.load(hidden + at));
      last = exponential(f32x4.sub(s, tops));
      sum = f32x4.add(sum, last);
      if (at < whole) v128.store(a + at, last);
      at += 16;
    } while (at < end);
    const inverses = f32x4.splat(<f32>1 / sumLanes(sum));
    at = 0;
    for (; at < whole; at += 16) v128.store(a + at, f32x4.mul(v128.load(a + at), inverses));
    // The last keys never went through memory: storing single lanes and loading them as a vector stalls.
    if (left > 0) storeFirst(a + whole, f32x4.mul(last, inverses), left);
    a += stride;
  }
}

/** a (count) = value: the weights of queries that see no key. */
export function fill(a: usize, count: i32, value: f32): void {
  for (; count > 0; count--) {
    f32.store(a, value);
    a += 4;
  }
}

/** c (rows, keys) = a * (c - sum over keys of a * c), in place: coefficients of the weights become those of scores. */
export function softmaxPullbackRows(c: usize, a: usize, rows: i32, keys: i32): void {
  const left = keys & 3;
  const whole = (<usize>(keys - left)) << 2;
  const stride = (<usize>keys) << 2;
  for (let r = 0; r < rows; r++) {
    let sum = f32x4.splat(0);
    let at: usize = 0;
    for (; at < whole; at += 16) sum = madd(v128.load(a + at), v128.load(c + at), sum);
    if (left > 0) sum = madd(loadFirst(a + whole, left), loadFirst(c + whole, left), sum);
    const means = f32x4.splat(sumLanes(sum));
    for (at = 0; at < whole; at += 16) {
      v128.store(c + at, f32x4.mul(v128.load(a + at), f32x4.sub(v128.load(c + at), means)));
    }
    if (left > 0) {
      const d = f32x4.sub(loadFirst(c + whole, left), means);
      storeFirst(c + whole, f32x4.mul(loadFirst(a + whole, left), d), left);
    }
    a += stride;
    c += stride;
  }
}
