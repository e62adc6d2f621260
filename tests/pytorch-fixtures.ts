// Writes pickles opcode by opcode, and around them archives as torch.save makes them, valid ones and damaged ones.
import { zipSync } from "fflate";
import { joinBytes } from "./safetensors-writer.ts";

export interface SavedTensor {
  /** Class of the storage, such as FloatStorage. */
  readonly storage: string;
  readonly key: string;
  /** Elements of the whole storage. */
  readonly numel: number;
  readonly shape: readonly number[];
  /** Default: contiguous. */
  readonly strides?: readonly number[];
  readonly offset?: number;
  /** Wrapped in _rebuild_parameter, as torch.save does with an nn.Parameter. */
  readonly parameter?: boolean;
}

type Numbers = Float32Array | Uint16Array | Float64Array | BigInt64Array;

const classes: readonly (readonly [new (length: number) => Numbers, string])[] = [
  [Float32Array, "FloatStorage"],
  [Uint16Array, "HalfStorage"],
  [Float64Array, "DoubleStorage"],
  [BigInt64Array, "LongStorage"],
];

const bytes = (...values: number[]) => Uint8Array.from(values);
const latin = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** Opcodes of protocol 2 and, from `frame` on, of protocol 4. */
export const op = {
  proto: (version: number) => bytes(0x80, version),
  stop: latin("."),
  mark: latin("("),
  none: latin("N"),
  no: bytes(0x89),
  dict: latin("}"),
  list: latin("]"),
  unit: latin(")"),
  tuple: latin("t"),
  tuple2: bytes(0x86),
  setItem: latin("s"),
  setItems: latin("u"),
  append: latin("a"),
  reduce: latin("R"),
  build: latin("b"),
  persistent: latin("Q"),
  put: (index: number) => bytes(0x71, index),
  get: (index: number) => bytes(0x68, index),
  global: (module: string, name: string) => latin(`c${module}\n${name}\n`),
  int: (value: number) => joinBytes([latin("J"), new Uint8Array(Int32Array.of(value).buffer)]),
  byte: (value: number) => bytes(0x4b, value),
  short: (value: number) => bytes(0x4d, value & 0xff, value >> 8),
  long: (...digits: number[]) => bytes(0x8a, digits.length, ...digits),
  text(value: string) {
    const encoded = new TextEncoder().encode(value);
    return joinBytes([latin("X"), new Uint8Array(Uint32Array.of(encoded.length).buffer), encoded]);
  },
  frame: (length: number) =>
    joinBytes([bytes(0x95), new Uint8Array(BigUint64Array.of(BigInt(length)).buffer)]),
  shortText: (value: string) => joinBytes([bytes(0x8c, value.length), latin(value)]),
  stackGlobal: bytes(0x93),
  memoize: bytes(0x94),
};

/** A pickle of protocol 2 that ends. */
export function pickle(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return joinBytes([op.proto(2), ...parts, op.stop]);
}

export function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

/** One tensor as torch.save writes it, memo and all. */
export function tensorPickle(tensor: SavedTensor): Uint8Array {
  const { storage, key, numel, shape, strides = rowMajor(shape), offset = 0, parameter } = tensor;
  const tuple = (values: readonly number[]) => [op.mark, ...values.map(op.int), op.tuple];
  const hooks = [op.global("collections", "OrderedDict"), op.unit, op.reduce];
  const type = [op.text("storage"), op.global("torch", storage), op.put(7)];
  const id = [op.mark, ...type, op.text(key), op.text("cpu"), op.int(numel), op.tuple];
  const layout = [op.int(offset), ...tuple(shape), ...tuple(strides)];
  const rebuild = [op.global("torch._utils", "_rebuild_tensor_v2"), op.mark];
  const rest = [op.no, ...hooks, op.tuple, op.put(8), op.reduce];
  const view = [...rebuild, ...id, op.persistent, ...layout, ...rest];
  if (!parameter) return joinBytes(view);
  const wrap = op.global("torch._utils", "_rebuild_parameter");
  return joinBytes([wrap, op.mark, ...view, op.no, ...hooks, op.tuple, op.reduce]);
}

/** An OrderedDict of tensors with the attribute `_metadata`. */
export function statePickle(
  tensors: Readonly<Record<string, SavedTensor>>,
): Uint8Array<ArrayBuffer> {
  const items = Object.entries(tensors).flatMap(([name, tensor]) => [
    op.text(name),
    tensorPickle(tensor),
  ]);
  const ordered = op.global("collections", "OrderedDict");
  const version = [op.text(""), op.dict, op.text("version"), op.byte(1), op.setItem, op.setItem];
  const metadata = [op.get(0), op.unit, op.reduce, ...version];
  const attributes = [op.dict, op.text("_metadata"), ...metadata, op.setItem, op.build];
  return pickle(
    ordered,
    op.put(0),
    op.unit,
    op.reduce,
    op.mark,
    ...items,
    op.setItems,
    ...attributes,
  );
}

export interface ArchiveOptions {
  readonly byteorder?: string;
  /** 0 stores, as torch.save does. */
  readonly level?: 0 | 6;
}

/** The zip of torch.save. */
export function archive(
  data: Uint8Array,
  storages: Readonly<Record<string, Numbers | Uint8Array>>,
  { byteorder = "little", level = 0 }: ArchiveOptions = {},
): Uint8Array<ArrayBuffer> {
  const files: Record<string, Uint8Array> = { "model/data.pkl": data };
  for (const [key, { buffer, byteOffset, byteLength }] of Object.entries(storages)) {
    files[`model/data/${key}`] = new Uint8Array(buffer, byteOffset, byteLength);
  }
  files["model/byteorder"] = latin(byteorder);
  files["model/version"] = latin("3\n");
  return joinBytes([zipSync(files, { level })]);
}

/** An archive of contiguous tensors, each with a storage of its own whose class follows from the array's. */
export function saved(
  tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Numbers }>>,
  options: ArchiveOptions & { readonly bfloat16?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  const described: [string, SavedTensor][] = [];
  const storages: Record<string, Numbers> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const key = String(described.length);
    const found = classes.find(([type]) => data instanceof type)![1];
    const storage = found === "HalfStorage" && options.bfloat16 ? "BFloat16Storage" : found;
    described.push([name, { storage, key, numel: data.length, shape }]);
    storages[key] = data;
  }
  return archive(statePickle(Object.fromEntries(described)), storages, options);
}

/** The same archive with every size and place in zip64 records, as files above 4 GiB have them. */
export function withZip64(zip: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const end = zip.length - 22;
  const [count, begin] = [view.getUint16(end + 10, true), view.getUint32(end + 16, true)];
  const entries: Uint8Array[] = [];
  for (let at = begin; at < end;) {
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const next = nameEnd + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    const fields = [24, 20, 42].map((field) => BigInt(view.getUint32(at + field, true)));
    const entry = zip.slice(at, nameEnd);
    const header = new DataView(entry.buffer);
    for (const field of [24, 20, 42]) header.setUint32(field, 0xffffffff, true);
    header.setUint16(30, 4 + 24, true);
    header.setUint16(32, 0, true);
    entries.push(entry, bytes(1, 0, 24, 0), new Uint8Array(BigUint64Array.from(fields).buffer));
    at = next;
  }
  const directory = joinBytes(entries);
  const wide = new DataView(new ArrayBuffer(56));
  wide.setUint32(0, 0x06064b50, true);
  wide.setBigUint64(4, 44n, true);
  for (const [at, value] of [
    [24, count],
    [32, count],
    [40, directory.length],
    [48, begin],
  ] as const) {
    wide.setBigUint64(at, BigInt(value), true);
  }
  const locator = new DataView(new ArrayBuffer(20));
  locator.setUint32(0, 0x07064b50, true);
  locator.setBigUint64(8, BigInt(begin + directory.length), true);
  locator.setUint32(16, 1, true);
  const narrow = new DataView(new ArrayBuffer(22));
  narrow.setUint32(0, 0x06054b50, true);
  for (const at of [8, 10]) narrow.setUint16(at, 0xffff, true);
  for (const at of [12, 16]) narrow.setUint32(at, 0xffffffff, true);
  const tail = [wide, locator, narrow].map(({ buffer }) => new Uint8Array(buffer as ArrayBuffer));
  return joinBytes([zip.subarray(0, begin), directory, ...tail]);
}
