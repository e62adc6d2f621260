// Entries of a zip archive, read where they lie: only the directory and what is asked for come into memory.
// Knows no PyTorch. Format: PKWARE APPNOTE 6.3.9, with zip64; CRCs are not checked, since torch.save may omit them.
import { byteReader } from "./byte-reader.ts";
import { CheckpointError } from "./checkpoint-error.ts";

export interface ZipEntry {
  readonly name: string;
  /** Bytes once unpacked. */
  readonly size: number;
  /** Bytes in the archive. */
  readonly packed: number;
  readonly method: number;
  readonly encrypted: boolean;
  /** Where its local header begins. */
  readonly header: number;
}

export interface ZipArchive {
  readonly file: string;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Bytes `begin` to `end` of an entry. Throws `CheckpointError` naming the file. */
  read(entry: ZipEntry, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
}

const STORED = 0;
const DEFLATED = 8;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const LONGEST_COMMENT = 0xffff;
// Deflate's best: 258 bytes for two bits.
const HIGHEST_RATIO = 1032;

/** Reads the directory. Throws `CheckpointError` where the archive is torn or contradicts itself. */
export async function openZip(file: string, blob: Blob): Promise<ZipArchive> {
  const { begin, end, count } = await findDirectory(file, blob);
  const entries = parseDirectory(file, await slice(file, blob, begin, end), begin);
  if (entries.size !== count) {
    throw refusal(file, `directory with ${entries.size} entries, expected ${count}`);
  }
  // Several tensors may share one entry; without this each of them would unpack it again.
  let last: { entry: ZipEntry; bytes: Uint8Array<ArrayBuffer> } | undefined;

  return {
    file,
    entries,
    async read(entry, from, to) {
      if (from > to || to > entry.size) {
        throw refusal(file, `${entry.name} with ${entry.size} bytes, asked for ${from} to ${to}`);
      }
      const data = await dataOf(file, blob, entry, begin);
      if (entry.method === STORED) return slice(file, blob, data + from, data + to);
      if (last?.entry !== entry) {
        last = undefined;
        last = { entry, bytes: await inflate(file, blob.slice(data, data + entry.packed), entry) };
      }
      return last.bytes.slice(from, to);
    },
  };
}

function refusal(file: string, fault: string): CheckpointError {
  return new CheckpointError(file, `zip: ${file}: ${fault}`);
}

async function slice(
  file: string,
  blob: Blob,
  begin: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes;
  try {
    bytes = new Uint8Array(await blob.slice(begin, end).arrayBuffer());
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(file, `zip: ${file}: cannot be read at byte ${begin}: ${reason}`, {
      cause,
    });
  }
  if (bytes.length !== end - begin) {
    throw refusal(file, `torn: ${blob.size} bytes, expected at least ${end}`);
  }
  return bytes;
}

async function findDirectory(file: string, blob: Blob) {
  const tailBegin = Math.max(0, blob.size - END_BYTES - LONGEST_COMMENT - LOCATOR_BYTES);
  const tail = viewOf(await slice(file, blob, tailBegin, blob.size));
  let at = tail.byteLength - END_BYTES;
  const fits = () =>
    tail.getUint32(at, true) === END &&
    at + END_BYTES + tail.getUint16(at + 20, true) === tail.byteLength;
  while (at >= 0 && !fits()) at--;
  if (at < 0) throw refusal(file, `torn: no directory at the end of its ${blob.size} bytes`);

  let directory = {
    count: tail.getUint16(at + 10, true),
    size: tail.getUint32(at + 12, true),
    begin: tail.getUint32(at + 16, true),
  };
  const locator = at - LOCATOR_BYTES;
  let limit = tailBegin + at;
  if (locator >= 0 && tail.getUint32(locator, true) === LOCATOR_64) {
    limit = number64(tail, locator + 8);
    const end = viewOf(await slice(file, blob, limit, limit + 56));
    if (end.getUint32(0, true) !== END_64) throw refusal(file, `torn: no zip64 end at ${limit}`);
    directory = {
      count: number64(end, 32),
      size: number64(end, 40),
      begin: number64(end, 48),
    };
  }
  const { begin, size, count } = directory;
  if (begin + size > limit) {
    throw refusal(file, `torn: directory at ${begin} with ${size} bytes, expected before ${limit}`);
  }
  return { begin, end: begin + size, count };
}

function parseDirectory(
  file: string,
  bytes: Uint8Array,
  directoryBegin: number,
): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>();
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length;) {
    const left = bytes.length - at;
    const isEntry = left >= 46 && view.getUint32(at, true) === CENTRAL;
    const lengthAt = (field: number) => (isEntry ? view.getUint16(at + field, true) : left);
    const [nameLength, extraLength] = [lengthAt(28), lengthAt(30)];
    const whole = 46 + nameLength + extraLength + lengthAt(32);
    if (whole > left) {
      throw refusal(file, `torn: directory breaks off after ${entries.size} entries`);
    }
    const nameEnd = at + 46 + nameLength;
    const name = new TextDecoder().decode(bytes.subarray(at + 46, nameEnd));
    const extra = new DataView(view.buffer, view.byteOffset + nameEnd, extraLength);
    const wide = wideFields(extra);
    // Where a field is full, its value is the next one of the zip64 record: always in this order.
    const [size, packed, header] = [24, 20, 42].map((field) => {
      const value = view.getUint32(at + field, true);
      return value === 0xffffffff ? (wide.shift() ?? value) : value;
    }) as [number, number, number];
    const method = view.getUint16(at + 10, true);
    const encrypted = (view.getUint16(at + 8, true) & 1) !== 0;
    const entry: ZipEntry = { name, size, packed, method, encrypted, header };
    checkEntry(file, entry, directoryBegin);
    if (entries.has(name)) throw refusal(file, `${JSON.stringify(name)} stands twice`);
    entries.set(name, entry);
    at += whole;
  }
  return entries;
}

function checkEntry(file: string, entry: ZipEntry, directoryBegin: number): void {
  const { name, size, packed, method, header } = entry;
  if (header + 30 + packed > directoryBegin) {
    const end = `${header + 30 + packed}, behind the directory at ${directoryBegin}`;
    throw refusal(file, `${JSON.stringify(name)} ends at ${end}`);
  }
  const possible = method === STORED ? size === packed : size <= packed * HIGHEST_RATIO;
  if (!possible) {
    throw refusal(file, `${JSON.stringify(name)} cannot have ${size} bytes, packed ${packed}`);
  }
}

/** The 64-bit numbers of the zip64 record (id 1) among the extra fields. */
function wideFields(extra: DataView): number[] {
  for (let at = 0; at + 4 <= extra.byteLength;) {
    const length = extra.getUint16(at + 2, true);
    const end = Math.min(at + 4 + length, extra.byteLength);
    if (extra.getUint16(at, true) === 1) {
      const fields: number[] = [];
      for (let field = at + 4; field + 8 <= end; field += 8) fields.push(number64(extra, field));
      return fields;
    }
    at += 4 + length;
  }
  return [];
}

/** Where an entry's data begins: its local header has extra fields of its own, by which torch.save aligns data. */
async function dataOf(
  file: string,
  blob: Blob,
  entry: ZipEntry,
  directoryBegin: number,
): Promise<number> {
  const { name, method, encrypted, header, packed } = entry;
  if (encrypted || (method !== STORED && method !== DEFLATED)) {
    const how = encrypted ? "encrypted" : `packed by method ${method}`;
    throw refusal(file, `${JSON.stringify(name)} is ${how}; only stored and deflated can be read`);
  }
  const local = viewOf(await slice(file, blob, header, header + 30));
  const lengths = local.getUint16(26, true) + local.getUint16(28, true);
  const data = header + 30 + lengths;
  if (local.getUint32(0, true) !== LOCAL || data + packed > directoryBegin) {
    throw refusal(file, `torn: ${JSON.stringify(name)} not found at ${header}`);
  }
  return data;
}

async function inflate(
  file: string,
  packed: Blob,
  { name, size }: ZipEntry,
): Promise<Uint8Array<ArrayBuffer>> {
  const unpacked = packed.stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = byteReader(`${file} (${JSON.stringify(name)})`, unpacked);
  const bytes = new Uint8Array(size);
  try {
    for (let at = 0; ;) {
      const part = await reader.take(size - at + 1);
      if (part === undefined && at === size) return bytes;
      if (part === undefined || at + part.length > size) {
        const found = part === undefined ? at : "more";
        throw refusal(file, `${JSON.stringify(name)} unpacks to ${found}, expected ${size} bytes`);
      }
      bytes.set(part, at);
      at += part.length;
    }
  } finally {
    await reader.close();
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Beyond 2^53 the value is not exact, and beyond every file's size either way. */
function number64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}
