// The number formats of weights and how each is read, exactly: floating-point ones as float32. Knows no file and no tensor.

export interface NumberFormat {
  /** Bytes of one number. */
  readonly bytes: 1 | 2 | 4;
  /** Bits of the exponent; all of them set means infinity or NaN. None in integers. */
  readonly exponent: number;
  /**
   * `count` little-endian numbers at `at` of `buffer`, a multiple of `bytes`, as float32: in `scratch`, which holds
   * at least `count`, or in place where they are float32 already; integers in place. undefined if one is not finite.
   */
  decode(
    buffer: ArrayBufferLike,
    at: number,
    count: number,
    scratch: Float32Array,
  ): Float32Array | Int8Array | undefined;
}

// Typed arrays have the byte order of the machine: on a big-endian one every weight would be wrong without a word.
if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) {
  throw new Error("loading: expected a little-endian machine, found a big-endian one");
}

// In each `decode`, exponent + lowest exponent bit carries into the sign's place exactly when the exponent is all ones.

const F32: NumberFormat = {
  bytes: 4,
  exponent: 0x7f800000,
  decode(buffer, at, count) {
    const words = new Uint32Array(buffer, at, count);
    let carry = 0;
    for (let i = 0; i < count; i++) carry |= (words[i]! & 0x7f800000) + 0x00800000;
    return carry < 0 ? undefined : new Float32Array(buffer, at, count);
  },
};

const F16: NumberFormat = {
  bytes: 2,
  exponent: 0x7c00,
  decode(buffer, at, count, scratch) {
    const words = new Uint16Array(buffer, at, count);
    const values = halfTable();
    let carry = 0;
    for (let i = 0; i < count; i++) {
      const word = words[i]!;
      scratch[i] = values[word]!;
      carry |= (word & 0x7c00) + 0x0400;
    }
    return (carry & 0x8000) !== 0 ? undefined : scratch.subarray(0, count);
  },
};

const BF16: NumberFormat = {
  bytes: 2,
  exponent: 0x7f80,
  decode(buffer, at, count, scratch) {
    const words = new Uint16Array(buffer, at, count);
    const out = new Uint32Array(scratch.buffer, scratch.byteOffset, count);
    let carry = 0;
    for (let i = 0; i < count; i++) {
      const word = words[i]!;
      out[i] = word << 16;
      carry |= (word & 0x7f80) + 0x0080;
    }
    return (carry & 0x8000) !== 0 ? undefined : scratch.subarray(0, count);
  },
};

const I8: NumberFormat = {
  bytes: 1,
  exponent: 0,
  decode: (buffer, at, count) => new Int8Array(buffer, at, count),
};

/** Formats of floating-point weights, by their safetensors name. */
export const numberFormats: ReadonlyMap<string, NumberFormat> = new Map([
  ["F32", F32],
  ["F16", F16],
  ["BF16", BF16],
]);

/** The same, and integers, which are weights only with their scales. */
export const storedFormats: ReadonlyMap<string, NumberFormat> = new Map([
  ...numberFormats,
  ["I8", I8],
]);

/** Where the first number that is not finite stands, and what it is. -1 if all are finite. */
export function firstNotFinite(
  { bytes, exponent }: NumberFormat,
  buffer: ArrayBufferLike,
  at: number,
  count: number,
): { index: number; value: string } {
  const words =
    bytes === 2 ? new Uint16Array(buffer, at, count) : new Uint32Array(buffer, at, count);
  const index = words.findIndex((word) => (word & exponent) === exponent);
  const word = words[index] ?? 0;
  const sign = 2 ** (8 * bytes - 1);
  const value = word % sign > exponent ? "NaN" : word >= sign ? "-Infinity" : "Infinity";
  return { index, value };
}

let halves: Float32Array | undefined;

/** All 65,536 float16 values: looking them up was 2 to 3 times faster than bit arithmetic and than Float16Array. */
function halfTable(): Float32Array {
  if (halves !== undefined) return halves;
  const words = new Uint32Array(65_536);
  const values = new Float32Array(words.buffer);
  for (let half = 0; half < 65_536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = half & 0x7c00;
    const mantissa = half & 0x03ff;
    if (exponent === 0) {
      values[half] = mantissa * 2 ** -24;
      words[half]! |= sign;
    } else {
      // The exponent's bias goes from 15 to 127; all ones stay all ones.
      const rebiased = exponent === 0x7c00 ? 0x7f800000 : (exponent << 13) + ((127 - 15) << 23);
      words[half] = sign | rebiased | (mantissa << 13);
    }
  }
  halves = values;
  return values;
}
