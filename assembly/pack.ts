// Copies blocks of A and B into the order in which the micro-kernels read them. All strides are in bytes.
// A lane that has no row or column behind it repeats the last one that has: its products land in a part of the
// scratch tile that nobody copies out, and no denormal or NaN of old memory can slow the multiplication down.

/** b [k][8] = 8 rows of W (N, K), `rows` of them real, from column 0 on. */
export function packRows(b: usize, w: usize, stride: usize, rows: i32, depth: i32): void {
  const w0 = w;
  const w1 = rows > 1 ? w0 + stride : w0;
  const w2 = rows > 2 ? w1 + stride : w1;
  const w3 = rows > 3 ? w2 + stride : w2;
  const w4 = rows > 4 ? w3 + stride : w3;
  const w5 = rows > 5 ? w4 + stride : w4;
  const w6 = rows > 6 ? w5 + stride : w5;
  const w7 = rows > 7 ? w6 + stride : w6;
  let at: usize = 0;
  const whole = (<usize>depth & ~3) << 2;
  const end = (<usize>depth) << 2;
  while (at < whole) {
    transpose4(b, v128.load(w0 + at), v128.load(w1 + at), v128.load(w2 + at), v128.load(w3 + at));
    transpose4(
      b + 16,
      v128.load(w4 + at),
      v128.load(w5 + at),
      v128.load(w6 + at),
      v128.load(w7 + at),
    );
    at += 16;
    b += 128;
  }
  while (at < end) {
    f32.store(b, f32.load(w0 + at));
    f32.store(b, f32.load(w1 + at), 4);
    f32.store(b, f32.load(w2 + at), 8);
    f32.store(b, f32.load(w3 + at), 12);
    f32.store(b, f32.load(w4 + at), 16);
    f32.store(b, f32.load(w5 + at), 20);
    f32.store(b, f32.load(w6 + at), 24);
    f32.store(b, f32.load(w7 + at), 28);
    at += 4;
    b += 32;
  }
}

/** Four vectors become the columns of four rows, 32 bytes apart. */
function transpose4(p: usize, r0: v128, r1: v128, r2: v128, r3: v128): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(p, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(p, v128.shuffle<i64>(low01, low23, 1, 3), 32);
  v128.store(p, v128.shuffle<i64>(high01, high23, 0, 2), 64);
  v128.store(p, v128.shuffle<i64>(high01, high23, 1, 3), 96);
}

/**
 * Panels b [k][8], `panelBytes` apart, = `columns` (1 .. 32) columns of W (K, N). Whole cache lines are read at
 * once: 8 columns a time would fetch each line of a wide W four times.
 */
export function packColumns(
  b: usize,
  panelBytes: usize,
  w: usize,
  stride: usize,
  columns: i32,
  depth: i32,
): void {
  if (columns == 32) {
    const b1 = panelBytes;
    const b2 = b1 + panelBytes;
    const b3 = b2 + panelBytes;
    do {
      v128.store(b, v128.load(w));
      v128.store(b, v128.load(w, 16), 16);
      v128.store(b + b1, v128.load(w, 32));
      v128.store(b + b1, v128.load(w, 48), 16);
      v128.store(b + b2, v128.load(w, 64));
      v128.store(b + b2, v128.load(w, 80), 16);
      v128.store(b + b3, v128.load(w, 96));
      v128.store(b + b3, v128.load(w, 112), 16);
      w += stride;
      b += 32;
    } while (--depth > 0);
    return;
  }
  while (columns >= 8) {
    packEight(b, w, stride, depth);
    columns -= 8;
    w += 32;
    b += panelBytes;
  }
  if (columns > 0) packFew(b, w, stride, columns, depth);
}

function packEight(b: usize, w: usize, stride: usize, depth: i32): void {
  do {
    v128.store(b, v128.load(w));
    v128.store(b, v128.load(w, 16), 16);
    w += stride;
    b += 32;
  } while (--depth > 0);
}

function packFew(b: usize, w: usize, stride: usize, columns: i32, depth: i32): void {
  do {
    for (let n = 0; n < 8; n++) {
      const column = n < columns ? n : columns - 1;
      f32.store(b + ((<usize>n) << 2), f32.load(w + ((<usize>column) << 2)));
    }
    w += stride;
    b += 32;
  } while (--depth > 0);
}

/** a [k][height] = scale * `rows` rows of A (M, K); height 5 or 4. */
export function packTile(
  a: usize,
  height: i32,
  source: usize,
  stride: usize,
  rows: i32,
  depth: i32,
  scale: f32,
): void {
  const step = (<usize>height) << 2;
  const s0 = source;
  const s1 = rows > 1 ? s0 + stride : s0;
  const s2 = rows > 2 ? s1 + stride : s1;
  const s3 = rows > 3 ? s2 + stride : s2;
  const s4 = rows > 4 ? s3 + stride : s3;
  const scales = f32x4.splat(scale);
  const whole = (<usize>depth & ~3) << 2;
  const end = (<usize>depth) << 2;
  let at: usize = 0;
  while (at < whole) {
    const r0 = f32x4.mul(v128.load(s0 + at), scales);
    const r1 = f32x4.mul(v128.load(s1 + at), scales);
    const r2 = f32x4.mul(v128.load(s2 + at), scales);
    const r3 = f32x4.mul(v128.load(s3 + at), scales);
    const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
    const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    const a1 = a + step;
    const a2 = a1 + step;
    const a3 = a2 + step;
    v128.store(a, v128.shuffle<i64>(low01, low23, 0, 2));
    v128.store(a1, v128.shuffle<i64>(low01, low23, 1, 3));
    v128.store(a2, v128.shuffle<i64>(high01, high23, 0, 2));
    v128.store(a3, v128.shuffle<i64>(high01, high23, 1, 3));
    if (height == 5) {
      const r4 = f32x4.mul(v128.load(s4 + at), scales);
      v128.store32_lane(a, r4, 0, 16);
      v128.store32_lane(a1, r4, 1, 16);
      v128.store32_lane(a2, r4, 2, 16);
      v128.store32_lane(a3, r4, 3, 16);
    }
    at += 16;
    a = a3 + step;
  }
  while (at < end) {
    f32.store(a, f32.load(s0 + at) * scale);
    f32.store(a, f32.load(s1 + at) * scale, 4);
    f32.store(a, f32.load(s2 + at) * scale, 8);
    f32.store(a, f32.load(s3 + at) * scale, 12);
    if (height == 5) f32.store(a, f32.load(s4 + at) * scale, 16);
    at += 4;
    a += step;
  }
}

/** a [k][height] = scale * `rows` columns of A (K, M). */
export function packTransposedTile(
  a: usize,
  height: i32,
  source: usize,
  stride: usize,
  rows: i32,
  depth: i32,
  scale: f32,
): void {
  const step = (<usize>height) << 2;
  if (rows < height) {
    do {
      for (let m = 0; m < height; m++) {
        const row = m < rows ? m : rows - 1;
        f32.store(a + ((<usize>m) << 2), f32.load(source + ((<usize>row) << 2)) * scale);
      }
      source += stride;
      a += step;
    } while (--depth > 0);
    return;
  }
  const scales = f32x4.splat(scale);
  do {
    v128.store(a, f32x4.mul(v128.load(source), scales));
    if (height == 5) f32.store(a, f32.load(source, 16) * scale, 16);
    source += stride;
    a += step;
  } while (--depth > 0);
}
