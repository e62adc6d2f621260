// Writes small safetensors files for tests, valid ones and, through `packSafetensors`, damaged ones.

export interface WrittenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Written as they lie in memory: Uint16Array for F16 and BF16 bit patterns. */
  readonly data: Float32Array | Uint16Array | Uint8Array | Int8Array;
}

/** A file of `tensors` in the order given; `pad` adds spaces to the header, which shifts the data's alignment. */
export function writeSafetensors(
  tensors: Readonly<Record<string, WrittenTensor>>,
  { pad = 0 }: { pad?: number } = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    const begin = end;
    end += data.byteLength;
    header[name] = { dtype, shape, data_offsets: [begin, end] };
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return packSafetensors(JSON.stringify(header) + " ".repeat(pad), joinBytes(parts));
}

/** A float32 tensor. */
export function f32(shape: readonly number[], values: ArrayLike<number>): WrittenTensor {
  return { dtype: "F32", shape, data: Float32Array.from(values) };
}

/** An int8 tensor. */
export function i8(shape: readonly number[], values: ArrayLike<number>): WrittenTensor {
  return { dtype: "I8", shape, data: Int8Array.from(values) };
}

/** A file of any header text and any data, whether they fit together or not. */
export function packSafetensors(header: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return joinBytes([length, text, data]);
}

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
