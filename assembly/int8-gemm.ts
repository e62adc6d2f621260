// The product with int8 weights, in both directions from their one row-major copy: activations are quantised to 16
// bits as they are packed, sums are exact in int32, float32 only between blocks of k.
//
// Every row is quantised by itself, per block of k: it has the same bits alone, in a batch and at any place of one.
import { copyTile, countFours, evenBlock } from "./blocks";
import { multiply } from "./elementwise";
import { packInt8Columns, packInt8Rows, quantiseRow } from "./int8-pack";
import { int8Tile4, int8Tile5, STEP_PAIR } from "./int8-tiles";

// 128 * 32767 * 512 < 2^31: no sum of one block can overflow, whatever weights and activations are.
const MAX_DEPTH: i32 = 512;
// 104 fives = 130 fours; packed A stays in the L2 cache, a packed B panel (8 kB) in the L1 cache.
const MAX_ROWS: i32 = 520;
/** Columns of W that are copied at once in the backward direction: a cache line. */
const COPIED: i32 = 64;

// Scratch: | packed A | B panels | row factors | a row of A times scales | C tile (5, 8) | 8 scales | 8 zeros |
const PACKED_B: usize = <usize>MAX_ROWS * MAX_DEPTH * 2;
const FACTORS: usize = PACKED_B + <usize>(COPIED / 8) * (MAX_DEPTH / 2) * STEP_PAIR;
const ROW: usize = FACTORS + <usize>(MAX_ROWS + 4) * 4;
const TILE: usize = ROW + MAX_DEPTH * 4;
const TILE_STRIDE: usize = 32;
const SCALES: usize = TILE + 5 * TILE_STRIDE;
const ZEROS: usize = SCALES + TILE_STRIDE;

/** Bytes of scratch that `gemmInt8` needs at any size. */
export function gemmInt8ScratchBytes(): usize {
  return ZEROS + TILE_STRIDE;
}

/**
 * out (M, N) = scale * a b + start, with int8 b of one scale per row: b is (K, N), or (N, K) where `transposeB`. The
 * rest is as for `gemm`; `bStride` is in bytes. M, N, K >= 1.
 */
export function gemmInt8(
  out: usize,
  outStride: usize,
  a: usize,
  aStride: usize,
  b: usize,
  bStride: usize,
  bScales: usize,
  transposeB: bool,
  start: usize,
  startStride: usize,
  M: i32,
  N: i32,
  K: i32,
  scale: f32,
  scratch: usize,
): void {
  outStride <<= 2;
  aStride <<= 2;
  startStride <<= 2;
  let startStep: usize = 32;
  if (start == 0) {
    start = scratch + ZEROS;
    startStride = 0;
    startStep = 0;
    memory.fill(start, 0, TILE_STRIDE);
  }
  if (!transposeB) {
    v128.store(scratch + SCALES, f32x4.splat(1));
    v128.store(scratch + SCALES, f32x4.splat(1), 16);
  }
  const rowBlock = evenBlock(M, MAX_ROWS, 4);
  const depthBlock = evenBlock(K, MAX_DEPTH, 16);
  for (let m = 0; m < M; m += rowBlock) {
    const rows = min(rowBlock, M - m);
    const outBlock = out + <usize>m * outStride;
    let from = start + <usize>m * startStride;
    let fromStride = startStride;
    let fromStep = startStep;
    for (let k = 0; k < K; k += depthBlock) {
      const depth = min(depthBlock, K - k);
      const scales = bScales + ((<usize>k) << 2);
      const aBlock = a + <usize>m * aStride + ((<usize>k) << 2);
      quantiseBlock(scratch, aBlock, aStride, transposeB ? 0 : scales, rows, depth, scale);
      multiplyBlock(
        outBlock,
        outStride,
        from,
        fromStride,
        fromStep,
        transposeB ? b + <usize>k : b + <usize>k * bStride,
        bStride,
        transposeB ? bScales : 0,
        rows,
        N,
        depth,
        scratch,
      );
      from = outBlock;
      fromStride = outStride;
      fromStep = 32;
    }
  }
}

/** Packs A in tiles of 5 and then 4 rows. `scales` 0, or what each of its columns is multiplied by first. */
function quantiseBlock(
  scratch: usize,
  a: usize,
  stride: usize,
  scales: usize,
  rows: i32,
  depth: i32,
  scale: f32,
): void {
  const pairs = (depth + 1) >> 1;
  const fours = countFours(rows);
  let fives = max(0, (rows - 4 * fours) / 5);
  let packed = scratch;
  let factors = scratch + FACTORS;
  while (rows > 0) {
    const height = fives > 0 ? 5 : 4;
    const real = min(height, rows);
    for (let m = 0; m < real; m++) {
      let row = a;
      if (scales != 0) {
        row = scratch + ROW;
        multiply(row, a, scales, depth, 1);
      }
      const unit = quantiseRow(packed + ((<usize>m) << 2), (<usize>height) << 2, row, depth);
      f32.store(factors, unit * scale);
      factors += 4;
      a += stride;
    }
    packed += (<usize>(height * pairs)) << 2;
    rows -= height;
    fives--;
  }
}

/** out (rows, N) = start + packed A times `depth` rows of B, eight columns at a time. `scales` 0 means 1. */
function multiplyBlock(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  startStep: usize,
  b: usize,
  bStride: usize,
  scales: usize,
  rows: i32,
  N: i32,
  depth: i32,
  scratch: usize,
): void {
  const panels = scratch + PACKED_B;
  const panelBytes = <usize>((depth + 1) >> 1) * STEP_PAIR;
  let panel = panels;
  for (let n = 0; n < N; n += 8) {
    const columns = min(8, N - n);
    let columnScales = scratch + SCALES;
    if (scales != 0) {
      packInt8Rows(panels, b + <usize>n * bStride, bStride, columns, depth);
      if (columns == 8) columnScales = scales + ((<usize>n) << 2);
      else copyTile(columnScales, 0, scales + ((<usize>n) << 2), 0, 1, columns);
    } else if ((n & (COPIED - 1)) == 0) {
      panel = panels;
      packInt8Columns(panels, panelBytes, b + <usize>n, bStride, min(COPIED, N - n), depth);
    }
    multiplyPanel(
      out,
      outStride,
      start,
      startStride,
      scratch,
      panel,
      panel + panelBytes,
      columnScales,
      rows,
      columns,
    );
    out += 32;
    start += startStep;
    if (scales == 0) panel += panelBytes;
  }
}

/** All row tiles of one panel of B. Each kernel has one call, so that asc inlines it. */
function multiplyPanel(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  scratch: usize,
  b: usize,
  bEnd: usize,
  scales: usize,
  rows: i32,
  columns: i32,
): void {
  const tile = scratch + TILE;
  const pairs = (bEnd - b) / STEP_PAIR;
  let a = scratch;
  let factors = scratch + FACTORS;
  const fours = countFours(rows);
  let fives = max(0, (rows - 4 * fours) / 5);
  while (fives > 0) {
    const whole = columns == 8;
    if (!whole) copyTile(tile, TILE_STRIDE, start, startStride, 5, columns);
    const to = whole ? out : tile;
    const toStride = whole ? outStride : TILE_STRIDE;
    const from = whole ? start : tile;
    const fromStride = whole ? startStride : TILE_STRIDE;
    int8Tile5(to, toStride, from, fromStride, a, b, bEnd, factors, scales);
    if (!whole) copyTile(out, outStride, tile, TILE_STRIDE, 5, columns);
    a += pairs * 20;
    factors += 20;
    out += 5 * outStride;
    start += 5 * startStride;
    rows -= 5;
    fives--;
  }
  while (rows > 0) {
    const real = min(4, rows);
    const whole = columns == 8 && real == 4;
    if (!whole) copyTile(tile, TILE_STRIDE, start, startStride, real, columns);
    const to = whole ? out : tile;
    const toStride = whole ? outStride : TILE_STRIDE;
    const from = whole ? start : tile;
    const fromStride = whole ? startStride : TILE_STRIDE;
    int8Tile4(to, toStride, from, fromStride, a, b, bEnd, factors, scales);
    if (!whole) copyTile(out, outStride, tile, TILE_STRIDE, real, columns);
    a += pairs * 16;
    factors += 16;
    out += 4 * outStride;
    start += 4 * startStride;
    rows -= 4;
  }
}
