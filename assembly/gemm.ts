// The matrix product behind every linear layer and both attention products, in both directions.
//
// One element is start + a0 b0 + a1 b1 + ... in the order of k, whatever tile, row block or k block it falls
// into: a row has the same bits alone, in a batch and at any place of a batch.
import { copyTile, countFours, evenBlock } from "./blocks";
import { packColumns, packRows, packTile, packTransposedTile } from "./pack";
import { STEP_B, tile4, tile5 } from "./tiles";

// Packed A (260 rows = 52 fives = 65 fours) stays in the L2 cache, a packed B panel (24 kB) in the L1 cache.
const MAX_DEPTH: i32 = 768;
const MAX_ROWS: i32 = 260;

// Scratch: | packed A | 4 packed B panels | one C tile (5, 8) | 8 zeros |
const PANEL_BYTES: usize = <usize>MAX_DEPTH * STEP_B;
const PACKED_B: usize = <usize>MAX_ROWS * MAX_DEPTH * 4;
const TILE: usize = PACKED_B + 4 * PANEL_BYTES;
const TILE_STRIDE: usize = 32;
const ZEROS: usize = TILE + 5 * TILE_STRIDE;

/** Bytes of scratch that `gemm` needs at any size. */
export function gemmScratchBytes(): usize {
  return ZEROS + TILE_STRIDE;
}

/**
 * out (M, N) = scale * op(a) op(b) + start. Leading dimensions are in elements; a is (M, K), or (K, M) where
 * `transposeA`; b is (K, N), or (N, K) where `transposeB`. `start` 0 starts from zero, `startStride` 0 adds the
 * same row (a bias) to every row, and `start` may be `out`. M, N, K >= 1.
 */
export function gemm(
  out: usize,
  outStride: usize,
  a: usize,
  aStride: usize,
  transposeA: bool,
  b: usize,
  bStride: usize,
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
  bStride <<= 2;
  startStride <<= 2;
  let startStep: usize = STEP_B;
  if (start == 0) {
    start = scratch + ZEROS;
    startStride = 0;
    startStep = 0;
    memory.fill(start, 0, TILE_STRIDE);
  }
  const rowBlock = evenBlock(M, MAX_ROWS, 4);
  const depthBlock = evenBlock(K, MAX_DEPTH, 4);
  for (let m = 0; m < M; m += rowBlock) {
    const rows = min(rowBlock, M - m);
    const outBlock = out + <usize>m * outStride;
    for (let k = 0; k < K; k += depthBlock) {
      const depth = min(depthBlock, K - k);
      const aBlock = transposeA
        ? a + <usize>k * aStride + ((<usize>m) << 2)
        : a + <usize>m * aStride + ((<usize>k) << 2);
      packBlock(scratch, aBlock, aStride, transposeA, rows, depth, scale);
      const bBlock = transposeB ? b + ((<usize>k) << 2) : b + <usize>k * bStride;
      if (k == 0) {
        const first = start + <usize>m * startStride;
        multiplyBlock(
          outBlock,
          outStride,
          first,
          startStride,
          startStep,
          bBlock,
          bStride,
          transposeB,
          rows,
          N,
          depth,
          scratch,
        );
      } else {
        multiplyBlock(
          outBlock,
          outStride,
          outBlock,
          outStride,
          STEP_B,
          bBlock,
          bStride,
          transposeB,
          rows,
          N,
          depth,
          scratch,
        );
      }
    }
  }
}

function packBlock(
  packed: usize,
  a: usize,
  stride: usize,
  transposed: bool,
  rows: i32,
  depth: i32,
  scale: f32,
): void {
  const fours = countFours(rows);
  let fives = max(0, (rows - 4 * fours) / 5);
  while (rows > 0) {
    const height = fives > 0 ? 5 : 4;
    const real = min(height, rows);
    if (transposed) packTransposedTile(packed, height, a, stride, real, depth, scale);
    else packTile(packed, height, a, stride, real, depth, scale);
    a += transposed ? (<usize>height) << 2 : <usize>height * stride;
    packed += (<usize>(height * depth)) << 2;
    rows -= height;
    fives--;
  }
}

/** out (rows, N) = start + packed A times `depth` rows of B, eight columns at a time. */
function multiplyBlock(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  startStep: usize,
  b: usize,
  bStride: usize,
  transposeB: bool,
  rows: i32,
  N: i32,
  depth: i32,
  scratch: usize,
): void {
  const panels = scratch + PACKED_B;
  const panelBytes = <usize>depth * STEP_B;
  let panel = panels;
  for (let n = 0; n < N; n += 8) {
    const columns = min(8, N - n);
    if (transposeB) {
      packRows(panels, b + <usize>n * bStride, bStride, columns, depth);
    } else if ((n & 31) == 0) {
      panel = panels;
      packColumns(panels, panelBytes, b + ((<usize>n) << 2), bStride, min(32, N - n), depth);
    }
    multiplyPanel(
      out,
      outStride,
      start,
      startStride,
      scratch,
      panel,
      panel + panelBytes,
      rows,
      columns,
      depth,
    );
    out += STEP_B;
    start += startStep;
    if (!transposeB) panel += panelBytes;
  }
}

/** All row tiles of one panel of B. */
function multiplyPanel(
  out: usize,
  outStride: usize,
  start: usize,
  startStride: usize,
  a: usize,
  b: usize,
  bEnd: usize,
  rows: i32,
  columns: i32,
  depth: i32,
): void {
  const tile = a + TILE;
  const fours = countFours(rows);
  let fives = max(0, (rows - 4 * fours) / 5);
  const bytes5 = <usize>depth * 20;
  const bytes4 = <usize>depth * 16;
  while (fives > 0) {
    if (columns == 8) {
      tile5(out, outStride, start, startStride, a, b, bEnd);
    } else {
      copyTile(tile, TILE_STRIDE, start, startStride, 5, columns);
      tile5(tile, TILE_STRIDE, tile, TILE_STRIDE, a, b, bEnd);
      copyTile(out, outStride, tile, TILE_STRIDE, 5, columns);
    }
    a += bytes5;
    out += 5 * outStride;
    start += 5 * startStride;
    rows -= 5;
    fives--;
  }
  while (rows > 0) {
    if (columns == 8 && rows >= 4) {
      tile4(out, outStride, start, startStride, a, b, bEnd);
    } else {
      const real = min(4, rows);
      copyTile(tile, TILE_STRIDE, start, startStride, real, columns);
      tile4(tile, TILE_STRIDE, tile, TILE_STRIDE, a, b, bEnd);
      copyTile(out, outStride, tile, TILE_STRIDE, real, columns);
    }
    a += bytes4;
    out += 4 * outStride;
    start += 4 * startStride;
    rows -= 4;
  }
}
