// State dicts as torch.save writes them since PyTorch 1.6: a zip of one pickle, data.pkl, and one entry per storage.
// Nothing in the pickle is run (see pickle.ts), and data are read tensor by tensor. Knows no model and no file system.
import { CheckpointError, shapeText } from "./checkpoint-error.ts";
import { type PickleGlobal, printable, unpickle } from "./pickle.ts";
import { openZip, type ZipArchive, type ZipEntry } from "./zip.ts";

export interface StateTensor {
  readonly name: string;
  /** In the words of safetensors: F32, F16, BF16, F64, I64 … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In elements, as the offset is. */
  readonly strides: readonly number[];
  readonly offset: number;
  readonly elements: number;
  /** Key of the storage: tied tensors have the same one. */
  readonly storage: string;
}

export interface StateDict {
  /** Named in messages. */
  readonly file: string;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, StateTensor>;
  /** Names of entries that are no tensors. */
  readonly others: readonly string[];
  /** A tensor's bytes, row by row whatever its strides, in pieces of whole elements. */
  pieces(tensor: StateTensor): AsyncGenerator<Uint8Array<ArrayBuffer>, void>;
}

interface Storage {
  readonly dtype: string;
  readonly key: string;
  readonly numel: number;
}

/** A tensor before it has a name. */
type View = Pick<StateTensor, "shape" | "strides" | "offset" | "elements"> & {
  readonly storage: Storage;
};

const PIECE_BYTES = 1024 * 1024;

/** Class of a storage -> dtype and bytes of an element. */
const storageTypes: ReadonlyMap<string, { readonly dtype: string; readonly bytes: 1 | 2 | 4 | 8 }> =
  new Map([
    ["torch.FloatStorage", { dtype: "F32", bytes: 4 }],
    ["torch.HalfStorage", { dtype: "F16", bytes: 2 }],
    ["torch.BFloat16Storage", { dtype: "BF16", bytes: 2 }],
    ["torch.DoubleStorage", { dtype: "F64", bytes: 8 }],
    ["torch.LongStorage", { dtype: "I64", bytes: 8 }],
    ["torch.IntStorage", { dtype: "I32", bytes: 4 }],
    ["torch.ShortStorage", { dtype: "I16", bytes: 2 }],
    ["torch.CharStorage", { dtype: "I8", bytes: 1 }],
    ["torch.ByteStorage", { dtype: "U8", bytes: 1 }],
    ["torch.BoolStorage", { dtype: "BOOL", bytes: 1 }],
  ]);
const bytesOf = new Map([...storageTypes.values()].map(({ dtype, bytes }) => [dtype, bytes]));

/**
 * Reads names, shapes and places of all tensors, and no data. Throws `CheckpointError` naming a tensor or the file
 * for other formats, torn files, whatever the pickle should not hold, and storages that are missing or too short.
 */
export async function openStateDict(file: string, blob: Blob): Promise<StateDict> {
  await refuseOtherFormats(file, blob);
  const zip = await openZip(file, blob);
  const data = [...zip.entries.values()].find(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (data === undefined)
    throw refusal(file, `${file} has no data.pkl: torch.save did not write it`);
  const root = data.name.slice(0, -"data.pkl".length);
  await refuseByteOrder(zip, zip.entries.get(`${root}byteorder`));

  const views = new Set<View>();
  const value = unpickle(await zip.read(data, 0, data.size), rules(file, views));
  if (!(value instanceof Map)) throw refusal(file, `${file} is not a dict of tensors`);
  const tensors = new Map<string, StateTensor>();
  const others: string[] = [];
  for (const [name, view] of value as Map<unknown, View>) {
    if (typeof name !== "string" || !views.has(view)) {
      others.push(String(name));
    } else {
      checkStorage(zip, root, name, view);
      tensors.set(name, { ...view, name, dtype: view.storage.dtype, storage: view.storage.key });
    }
  }
  return {
    file,
    tensors,
    others,
    pieces: (tensor) => readPieces(zip, zip.entries.get(`${root}data/${tensor.storage}`)!, tensor),
  };
}

function refusal(culprit: string, fault: string): CheckpointError {
  return new CheckpointError(culprit, `pytorch: ${fault}`);
}

async function refuseOtherFormats(file: string, blob: Blob): Promise<void> {
  const head = new Uint8Array(await blob.slice(0, 512).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (text.startsWith("PK")) return;
  if (text.startsWith("\x80") || text.slice(257, 262) === "ustar") {
    const remedy = "load it with a newer PyTorch and torch.save it again";
    throw refusal(
      file,
      `${file} has the format from before PyTorch 1.6, which cannot be read; ${remedy}`,
    );
  }
  // A git-lfs pointer and an HTML page are the usual impostors: their first letters tell.
  const start = JSON.stringify(text.slice(0, 12)).replace(/[\x7f-\xff]/g, "?");
  throw refusal(file, `${file} begins with ${start}, expected a zip archive of torch.save`);
}

/** Absent before PyTorch 2.1, when only little-endian machines wrote such files in practice. */
async function refuseByteOrder(zip: ZipArchive, entry: ZipEntry | undefined): Promise<void> {
  if (entry === undefined) return;
  const order = new TextDecoder().decode(await zip.read(entry, 0, Math.min(entry.size, 16)));
  if (order !== "little") {
    throw refusal(
      zip.file,
      `${zip.file} has byte order ${JSON.stringify(order)}, supported is little`,
    );
  }
}

/** What the pickle may name. Tensors that it makes are put into `views`: nothing else is taken for one. */
function rules(file: string, views: Set<View>) {
  const storages = new Map<string, Storage>();
  const markers = [...storageTypes.keys()].map((name) => ({ name }));
  const known = new Set<unknown>();
  const refuse = (fault: string) => refusal(file, `${fault} in ${file}`);

  const globals: readonly PickleGlobal[] = [
    ...markers,
    {
      name: "collections.OrderedDict",
      call(args) {
        if (args.length > 0) throw refuse("OrderedDict made from a list");
        return new Map();
      },
    },
    {
      name: "torch._utils._rebuild_tensor_v2",
      call([storage, offset, shape, strides]) {
        if (!known.has(storage) || !isSize(offset) || !areSizes(shape) || !areSizes(strides)) {
          throw refuse("tensor without a storage, an offset, a shape or strides");
        }
        // Copies, since a pickle can still append to a list that it has handed over.
        const view: View = {
          storage: storage as Storage,
          offset,
          shape: [...shape],
          strides: [...strides],
          elements: shape.reduce((product, size) => product * size, 1),
        };
        views.add(view);
        return view;
      },
    },
    {
      name: "torch._utils._rebuild_parameter",
      call([view]) {
        if (!views.has(view as View)) throw refuse("parameter without a tensor");
        return view;
      },
    },
  ];

  /** ("storage", its class, key, device, number of elements) */
  function persistent(id: unknown): Storage {
    const [kind, marker, key, , numel] = Array.isArray(id) ? id : [];
    const type = markers.find((each) => each === marker);
    if (kind !== "storage" || type === undefined || typeof key !== "string" || !isSize(numel)) {
      throw refuse("persistent id that is no storage");
    }
    const { dtype } = storageTypes.get(type.name)!;
    const storage = storages.get(key) ?? { dtype, key, numel };
    if (storage.dtype !== dtype || storage.numel !== numel) {
      throw refuse(`storage ${printable(key)} described in two ways`);
    }
    storages.set(key, storage);
    known.add(storage);
    return storage;
  }

  return { file, globals, persistent };
}

function checkStorage(zip: ZipArchive, root: string, name: string, view: View): void {
  const { storage, shape, strides, offset, elements } = view;
  const where = `${printable(name)} in ${zip.file}`;
  const entry = zip.entries.get(`${root}data/${storage.key}`);
  if (entry === undefined) {
    throw refusal(name, `${where} needs storage data/${printable(storage.key)}, which is missing`);
  }
  const bytes = storage.numel * bytesOf.get(storage.dtype)!;
  if (entry.size !== bytes) {
    const needed = `${storage.numel} ${storage.dtype} need ${bytes}`;
    throw refusal(name, `${where} has ${entry.size} bytes in data/${storage.key}, ${needed}`);
  }
  if (shape.length !== strides.length) {
    throw refusal(name, `${where} has shape ${shapeText(shape)}, strides ${shapeText(strides)}`);
  }
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  if (elements > 0 && !(last < storage.numel && Number.isSafeInteger(elements))) {
    const end = `${shapeText(shape)} reaches element ${last} of ${storage.numel}`;
    throw refusal(name, `${where} with shape ${end} in data/${storage.key}`);
  }
}

async function* readPieces(zip: ZipArchive, entry: ZipEntry, tensor: StateTensor) {
  const { shape, strides, offset, elements, dtype } = tensor;
  const size = bytesOf.get(dtype)!;
  if (elements === 0) return;
  if (isContiguous(tensor)) {
    const end = (offset + elements) * size;
    for (let at = offset * size; at < end; at += PIECE_BYTES) {
      yield zip.read(entry, at, Math.min(at + PIECE_BYTES, end));
    }
    return;
  }
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis]!, offset);
  const span = await zip.read(entry, offset * size, (last + 1) * size);
  yield* gather(span, size, shape, strides);
}

/** Axes of one element have no stride of their own. */
function isContiguous({ shape, strides }: StateTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** Elements of `size` bytes in the order of `shape`. */
function* gather(
  span: Uint8Array<ArrayBuffer>,
  size: 1 | 2 | 4 | 8,
  shape: readonly number[],
  strides: readonly number[],
): Generator<Uint8Array<ArrayBuffer>, void> {
  const Words = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array }[size];
  const source = new Words(span.buffer, span.byteOffset, span.byteLength / size);
  const elements = shape.reduce((product, length) => product * length, 1);
  const index = shape.map(() => 0);
  let from = 0;
  for (let done = 0; done < elements;) {
    const piece = new Words(Math.min(elements - done, PIECE_BYTES / size));
    for (let i = 0; i < piece.length; i++) {
      piece[i] = source[from]!;
      // Counts up like an odometer, from the last axis.
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        index[axis]!++;
        from += strides[axis]!;
        if (index[axis]! < shape[axis]!) break;
        from -= strides[axis]! * shape[axis]!;
        index[axis] = 0;
      }
    }
    done += piece.length;
    yield new Uint8Array(piece.buffer);
  }
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isSize);
}
