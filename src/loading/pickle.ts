// Reads the pickles that PyTorch writes for state dicts, by an interpreter that can do nothing else: a global is an
// entry of the caller's table or an error, and no name is ever looked up anywhere. Knows no tensor.
import { CheckpointError } from "./checkpoint-error.ts";

/** What a pickle may name. Without `call` it is only a marker that others take as an argument. */
export interface PickleGlobal {
  readonly name: string;
  readonly call?: (args: readonly unknown[]) => unknown;
}

export interface PickleOptions {
  /** Named in messages. */
  readonly file: string;
  readonly globals: readonly PickleGlobal[];
  /** Value of a persistent id, which for PyTorch stands for data outside the pickle. */
  readonly persistent: (id: unknown) => unknown;
}

interface Machine {
  /** Errors that end with the file's name; the file is the culprit. */
  refuse(fault: string): CheckpointError;
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  readonly persistent: (id: unknown) => unknown;
  readonly stack: unknown[];
  /** Heights of the stack at the marks. */
  readonly marks: number[];
  readonly memo: Map<number, unknown>;
  /** The next `count` bytes. */
  take(count: number): DataView;
  text(count: number): string;
  /** Text up to the next line feed. */
  line(): string;
}

type Operation = (machine: Machine) => void;

const STOP = 0x2e;

/**
 * The pickled value: dict -> Map, tuple and list -> array, integer -> number (bigint where it does not fit).
 * Throws `CheckpointError` naming the file for every opcode and global that state dicts do not need.
 */
export function unpickle(bytes: Uint8Array, { file, globals, persistent }: PickleOptions): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let at = 0;

  const refuse = (fault: string) => new CheckpointError(file, `pickle: ${fault} in ${file}`);
  function take(count: number): DataView {
    if (count > bytes.length - at) throw refuse(`no end within ${bytes.length} bytes`);
    at += count;
    return new DataView(view.buffer, view.byteOffset + at - count, count);
  }
  function text(count: number): string {
    const { buffer, byteOffset } = take(count);
    try {
      return decoder.decode(new Uint8Array(buffer, byteOffset, count));
    } catch (cause) {
      const message = `pickle: text at byte ${at - count} is not UTF-8 in ${file}`;
      throw new CheckpointError(file, message, { cause });
    }
  }
  function line(): string {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) throw refuse(`no end within ${bytes.length} bytes`);
    const found = text(end - at);
    at = end + 1;
    return found;
  }

  const machine: Machine = {
    refuse,
    globals: new Map(globals.map((each) => [each.name, each])),
    persistent,
    stack: [],
    marks: [],
    memo: new Map(),
    take,
    text,
    line,
  };
  for (;;) {
    const opcode = take(1).getUint8(0);
    if (opcode === STOP) return pop(machine);
    const operation = operations.get(opcode);
    if (operation === undefined) {
      const code = `0x${opcode.toString(16).padStart(2, "0")}`;
      throw refuse(`refused opcode ${code} at byte ${at - 1}`);
    }
    operation(machine);
  }
}

/** A name out of a file as a message may carry it: short, and without anything that a terminal would obey. */
export function printable(name: string): string {
  const short = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  return /^[\w.+/:…-]+$/.test(short) ? short : JSON.stringify(short).replace(/[\x7f-\x9f]/g, "?");
}

function pop(machine: Machine): unknown {
  if (machine.stack.length <= (machine.marks.at(-1) ?? 0))
    throw machine.refuse("no value on the stack");
  return machine.stack.pop();
}

function top(machine: Machine): unknown {
  const value = pop(machine);
  machine.stack.push(value);
  return value;
}

/** Everything above the last mark. */
function popMark(machine: Machine): unknown[] {
  const height = machine.marks.pop();
  if (height === undefined) throw machine.refuse("no mark on the stack");
  return machine.stack.splice(height);
}

function popText(machine: Machine): string {
  const value = pop(machine);
  if (typeof value !== "string") throw machine.refuse("global whose name is no text");
  return value;
}

function named(machine: Machine, name: string): PickleGlobal {
  const found = machine.globals.get(name);
  if (found === undefined) throw machine.refuse(`refused global ${printable(name)}`);
  return found;
}

function reduce(machine: Machine): unknown {
  const args = pop(machine);
  const callee = pop(machine);
  const known = [...machine.globals.values()].find((each) => each === callee);
  if (known?.call === undefined || !Array.isArray(args)) {
    throw machine.refuse(`refused call of ${printable(known?.name ?? typeof callee)}`);
  }
  return known.call(args);
}

function setItems(machine: Machine, items: readonly unknown[]): void {
  const dict = top(machine);
  if (!(dict instanceof Map) || items.length % 2 !== 0)
    throw machine.refuse("items without a dict");
  for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
}

function append(machine: Machine, items: readonly unknown[]): void {
  const list = top(machine);
  if (!Array.isArray(list)) throw machine.refuse("items without a list");
  for (const item of items) list.push(item);
}

/** Attributes of a dict (`_metadata`: module versions) say nothing of the numbers. */
function build(machine: Machine): void {
  pop(machine);
  if (!(top(machine) instanceof Map)) throw machine.refuse("refused attributes of what is no dict");
}

function recall(machine: Machine, index: number): unknown {
  if (!machine.memo.has(index)) throw machine.refuse(`no memo ${index}`);
  return machine.memo.get(index);
}

/** Two's complement, little-endian. */
function long(view: DataView): number | bigint {
  let value = 0n;
  for (let i = view.byteLength - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(i));
  value = BigInt.asIntN(view.byteLength * 8, value);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

const push =
  (valueOf: (machine: Machine) => unknown): Operation =>
  (machine) => {
    const value = valueOf(machine);
    machine.stack.push(value);
  };
const memoize =
  (indexOf: (machine: Machine) => number): Operation =>
  (machine) => {
    machine.memo.set(indexOf(machine), top(machine));
  };
/** A tuple of the topmost `count`. */
const tuple = (count: number): Operation =>
  push((machine) => Array.from({ length: count }, () => pop(machine)).toReversed());

// Opcodes as in CPython's Lib/pickle.py; torch.save writes protocol 2, those of 4 come with pickle_protocol=4.
const operations: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x80, (machine) => void machine.take(1)], // PROTO
  [0x95, (machine) => void machine.take(8)], // FRAME
  [0x28, ({ marks, stack }) => void marks.push(stack.length)], // MARK
  [0x4e, push(() => null)], // NONE
  [0x88, push(() => true)], // NEWTRUE
  [0x89, push(() => false)], // NEWFALSE
  [0x4a, push(({ take }) => take(4).getInt32(0, true))], // BININT
  [0x4b, push(({ take }) => take(1).getUint8(0))], // BININT1
  [0x4d, push(({ take }) => take(2).getUint16(0, true))], // BININT2
  [0x8a, push(({ take }) => long(take(take(1).getUint8(0))))], // LONG1
  [0x47, push(({ take }) => take(8).getFloat64(0))], // BINFLOAT
  [0x58, push(({ take, text }) => text(take(4).getUint32(0, true)))], // BINUNICODE
  [0x8c, push(({ take, text }) => text(take(1).getUint8(0)))], // SHORT_BINUNICODE
  [0x7d, push(() => new Map())], // EMPTY_DICT
  [0x5d, push(() => [])], // EMPTY_LIST
  [0x29, push(() => [])], // EMPTY_TUPLE
  [0x74, push(popMark)], // TUPLE
  [0x85, tuple(1)], // TUPLE1
  [0x86, tuple(2)], // TUPLE2
  [0x87, tuple(3)], // TUPLE3
  [0x61, (machine) => append(machine, [pop(machine)])], // APPEND
  [0x65, (machine) => append(machine, popMark(machine))], // APPENDS
  [0x73, (machine) => setItems(machine, [pop(machine), pop(machine)].toReversed())], // SETITEM
  [0x75, (machine) => setItems(machine, popMark(machine))], // SETITEMS
  [0x71, memoize(({ take }) => take(1).getUint8(0))], // BINPUT
  [0x72, memoize(({ take }) => take(4).getUint32(0, true))], // LONG_BINPUT
  [0x94, memoize(({ memo }) => memo.size)], // MEMOIZE
  [0x68, push((machine) => recall(machine, machine.take(1).getUint8(0)))], // BINGET
  [0x6a, push((machine) => recall(machine, machine.take(4).getUint32(0, true)))], // LONG_BINGET
  [0x63, push((machine) => named(machine, `${machine.line()}.${machine.line()}`))], // GLOBAL
  [
    0x93, // STACK_GLOBAL
    push((machine) => {
      const name = popText(machine);
      return named(machine, `${popText(machine)}.${name}`);
    }),
  ],
  [0x52, push(reduce)], // REDUCE
  [0x62, build], // BUILD
  [0x51, push((machine) => machine.persistent(pop(machine)))], // BINPERSID
]);
