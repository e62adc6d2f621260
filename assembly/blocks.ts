// How both products cut their operands into blocks and tiles: sizes and copies, no arithmetic.

/** Size of equal blocks of at most `most`, so that the last one is not a sliver. Divisible by `step` unless alone. */
export function evenBlock(size: i32, most: i32, step: i32): i32 {
  if (size <= most) return size;
  const blocks = (size + most - 1) / most;
  return ((size + blocks - 1) / blocks + step - 1) & -step;
}

/** How many tiles of 4 rows cover what tiles of 5 leave: rows = 5 fives + 4 fours exactly from 12 rows on. */
export function countFours(rows: i32): i32 {
  const fours = (5 - (rows % 5)) % 5;
  return rows >= 4 * fours ? fours : (rows + 3) >> 2;
}

/** Copies `rows` rows of `columns` floats; strides in bytes. */
export function copyTile(
  to: usize,
  toStride: usize,
  from: usize,
  fromStride: usize,
  rows: i32,
  columns: i32,
): void {
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < columns; n++) {
      f32.store(to + ((<usize>n) << 2), f32.load(from + ((<usize>n) << 2)));
    }
    to += toStride;
    from += fromStride;
  }
}
