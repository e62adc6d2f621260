// What is read out of a .bin, and everything that is refused: pickles that would run code, torn archives, odd tensors.
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../src/loading/checkpoint-error.ts";
import { unpickle } from "../src/loading/pickle.ts";
import { openStateDict, type StateDict } from "../src/loading/pytorch.ts";
import { failure } from "./loading-fixtures.ts";
import {
  archive,
  op,
  pickle,
  saved,
  type SavedTensor,
  statePickle,
  withZip64,
} from "./pytorch-fixtures.ts";
import { joinBytes } from "./safetensors-writer.ts";

const FILE = "pytorch_model.bin";
const counting = Float32Array.from({ length: 24 }, (_, i) => i + 0.5);
const open = (bytes: Uint8Array<ArrayBuffer>) => openStateDict(FILE, new Blob([bytes]));
const openPickle = (bytes: Uint8Array) => open(archive(bytes, { 0: counting }));
const ofCounting = (tensor: Partial<SavedTensor>) =>
  openPickle(
    statePickle({ w: { storage: "FloatStorage", key: "0", numel: 24, shape: [4, 6], ...tensor } }),
  );

async function bytesOf(dict: StateDict, name: string): Promise<ArrayBuffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of dict.pieces(dict.tensors.get(name)!)) pieces.push(piece);
  return joinBytes(pieces).buffer;
}

const valuesOf = async (dict: StateDict, name: string) => [
  ...new Float32Array(await bytesOf(dict, name)),
];

function decode(...parts: readonly Uint8Array[]): unknown {
  const globals = [{ name: "known.marker" }];
  return unpickle(pickle(...parts), {
    file: FILE,
    globals,
    persistent: (id) => ["persistent", id],
  });
}

describe("pickle", () => {
  it("reads the values that state dicts are made of", () => {
    const item = (name: string, ...value: Uint8Array[]) => [op.text(name), ...value];
    const value = decode(
      op.dict,
      op.mark,
      ...item("ünï", op.short(513)),
      ...item("negative", op.int(-2)),
      ...item("large", op.long(0, 0, 0, 0, 1)),
      ...item("minus", op.long(0xfe)),
      ...item("beyond", op.long(...Array.from({ length: 9 }, () => 1))),
      ...item("list", op.list, op.put(44), op.byte(1), op.append),
      ...item("same", op.get(44)),
      ...item("pair", op.none, op.no, op.tuple2),
      ...item("id", op.byte(9), op.persistent),
      op.setItems,
    );
    const map = value as Map<string, unknown>;
    expect(Object.fromEntries(map)).toEqual({
      ünï: 513,
      negative: -2,
      large: 2 ** 32,
      minus: -2,
      beyond: 0x010101010101010101n,
      list: [1],
      same: [1],
      pair: [null, false],
      id: ["persistent", 9],
    });
    expect(map.get("same")).toBe(map.get("list"));
  });

  it("reads the opcodes of protocol 4", () => {
    const named = [op.shortText("known"), op.memoize, op.shortText("marker"), op.memoize];
    const value = decode(op.frame(40), ...named, op.stackGlobal, op.memoize, op.get(0), op.tuple2);
    expect(value).toEqual([{ name: "known.marker" }, "known"]);
  });

  it.each([
    ["os", "system"],
    ["posix", "system"],
    ["builtins", "eval"],
    ["builtins", "getattr"],
    ["torch._utils", "_rebuild_tensor_v2.__globals__"],
    ["__proto__", "constructor"],
    ["torch", "load"],
  ])("refuses the global %s.%s", async (module, name) => {
    const message = `pickle: refused global ${module}.${name} in ${FILE}`;
    const call = [op.text("echo broken"), op.mark, op.tuple, op.reduce];
    expect(await failure(openPickle(pickle(op.global(module, name), ...call)), FILE)).toBe(message);
    const stacked = [op.text(module), op.text(name), op.stackGlobal];
    expect(await failure(openPickle(pickle(...stacked, ...call)), FILE)).toBe(message);
  });

  it("keeps what a terminal would obey out of its messages", () => {
    const evil = () => decode(op.text("os\n"), op.text("\u001b[2Jsystem\u009b"), op.stackGlobal);
    expect(evil).toThrow(`pickle: refused global "os\\n.\\u001b[2Jsystem?" in ${FILE}`);
  });

  it.each([
    ["INST, which names a class to call", [Uint8Array.from(Buffer.from("(ios\nsystem\n"))], "0x69"],
    ["NEWOBJ", [op.unit, op.unit, Uint8Array.of(0x81)], "0x81"],
    ["EXT1", [Uint8Array.of(0x82, 1)], "0x82"],
    [
      "a call of a marker",
      [op.global("known", "marker"), op.unit, op.reduce],
      "call of known.marker",
    ],
    ["a call of a text", [op.text("eval"), op.unit, op.reduce], "call of string"],
    ["attributes of a marker", [op.global("known", "marker"), op.dict, op.build], "no dict"],
    ["a memo that was never put", [op.get(3)], "no memo 3"],
    ["an empty stack", [op.tuple2], "no value on the stack"],
    ["a value from below a mark", [op.none, op.mark, op.persistent], "no value on the stack"],
    ["a tuple without its mark", [op.none, op.tuple], "no mark on the stack"],
    ["text that is not UTF-8", [Uint8Array.of(0x8c, 1, 0xff)], "not UTF-8"],
  ])("refuses %s", (_, parts, fault) => {
    expect(() => decode(...parts)).toThrow(CheckpointError);
    expect(() => decode(...parts)).toThrow(fault);
  });

  it("ends every damaged pickle with an error of loading or a value", () => {
    const whole = statePickle({ w: { storage: "FloatStorage", key: "0", numel: 1, shape: [1] } });
    const rules = { file: FILE, globals: [], persistent: () => ({}) };
    const isFine = (bytes: Uint8Array) => {
      try {
        unpickle(bytes, rules);
      } catch (error) {
        return error instanceof CheckpointError && !error.message.includes("\n");
      }
      return true;
    };
    for (let end = 0; end < whole.length; end++) {
      expect(() => unpickle(whole.subarray(0, end), rules)).toThrow(CheckpointError);
    }
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = whole.slice();
        damaged[at]! ^= 1 << bit;
        expect(isFine(damaged), `bit ${bit} of byte ${at}`).toBe(true);
      }
    }
  });
});

describe("state dict", () => {
  it.each([
    ["contiguous", {}, (i: number) => i],
    ["transposed", { shape: [6, 4], strides: [1, 6] }, (i: number) => (i % 4) * 6 + (i >> 2)],
    [
      "every second of the last rows",
      { shape: [2, 3], strides: [6, 2], offset: 13 },
      (i: number) => 13 + (i % 3) * 2 + Math.floor(i / 3) * 6,
    ],
    ["expanded", { shape: [2, 3], strides: [0, 1], offset: 1 }, (i: number) => 1 + (i % 3)],
    ["a row of one", { shape: [1, 5], strides: [99, 1], offset: 19 }, (i: number) => 19 + i],
    ["a scalar", { shape: [], offset: 23 }, () => 23],
    ["a parameter", { parameter: true }, (i: number) => i],
  ])("reads %s", async (_, tensor: Partial<SavedTensor>, place) => {
    const dict = await ofCounting(tensor);
    const { shape = [4, 6] } = tensor;
    expect(dict.tensors.get("w")?.shape).toEqual(shape);
    const count = shape.reduce((product, size) => product * size, 1);
    const expected = Array.from({ length: count }, (__, i) => counting[place(i)]);
    expect(await valuesOf(dict, "w")).toEqual(expected);
  });

  it("reads a tensor of several pieces, in order and transposed", async () => {
    const [rows, columns] = [700, 900];
    const data = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const shared = { storage: "FloatStorage", key: "0", numel: data.length };
    const turned = { ...shared, shape: [columns, rows], strides: [1, columns] };
    const bytes = statePickle({ w: { ...shared, shape: [rows, columns] }, turned });
    const dict = await open(archive(bytes, { 0: data }));
    // Compared as bytes: an element-wise comparison of so many numbers takes a second.
    const same = (found: ArrayBuffer, wanted: Float32Array) =>
      Buffer.from(found).equals(Buffer.from(wanted.buffer));
    expect(same(await bytesOf(dict, "w"), data)).toBe(true);
    const expected = data.map((_, i) => (i % rows) * columns + Math.floor(i / rows));
    expect(same(await bytesOf(dict, "turned"), expected)).toBe(true);
  });

  it("reads deflated and zip64 archives alike", async () => {
    const tensors = {
      a: { shape: [24], data: counting },
      b: { shape: [2], data: counting.slice(0, 2) },
    };
    for (const bytes of [saved(tensors, { level: 6 }), withZip64(saved(tensors))]) {
      const dict = await open(bytes);
      expect(await valuesOf(dict, "a")).toEqual([...counting]);
      expect(await valuesOf(dict, "b")).toEqual([0.5, 1.5]);
    }
  });

  it("lists what is no tensor, and takes nothing else for one", async () => {
    const forged = [op.dict, op.text("storage"), op.text("0"), op.setItem];
    const dict = await openPickle(
      pickle(op.dict, op.mark, op.text("epoch"), op.byte(3), op.text("w"), ...forged, op.setItems),
    );
    expect(dict.others).toEqual(["epoch", "w"]);
    expect(dict.tensors.size).toBe(0);
  });

  it("is not misled by a shape that changes after the tensor was made", async () => {
    const storage = [op.mark, op.text("storage"), op.global("torch", "FloatStorage"), op.text("0")];
    const place = [...storage, op.text("cpu"), op.int(24), op.tuple, op.persistent, op.int(0)];
    const shape = [op.list, op.put(1), op.byte(2), op.append];
    const rest = [op.list, op.byte(1), op.append, op.no, op.none, op.tuple, op.reduce, op.setItem];
    const rebuild = op.global("torch._utils", "_rebuild_tensor_v2");
    const tensor = [op.text("w"), rebuild, op.mark, ...place, ...shape, ...rest];
    const change = [op.text("other"), op.get(1), op.int(1_000_000), op.append, op.setItem];
    const dict = await openPickle(pickle(op.dict, ...tensor, ...change));
    expect(dict.others).toEqual(["other"]);
    expect(dict.tensors.get("w")?.shape).toEqual([2]);
    expect(await valuesOf(dict, "w")).toEqual([0.5, 1.5]);
  });

  it.each([
    ["a tensor behind its storage's end", { offset: 1 }, "reaches element 24 of 24"],
    ["strides that leave the storage", { strides: [7, 1] }, "reaches element 26 of 24"],
    ["a storage that is missing", { key: "1" }, "needs storage data/1, which is missing"],
    ["a storage of another length", { numel: 25 }, "has 96 bytes in data/0, 25 F32 need 100"],
    [
      "a storage of another type",
      { storage: "DoubleStorage" },
      "has 96 bytes in data/0, 24 F64 need 192",
    ],
    ["fewer strides than sizes", { strides: [1] }, "has shape (4, 6), strides (1)"],
  ])("refuses %s", async (_, tensor: Partial<SavedTensor>, fault) => {
    expect(await failure(ofCounting(tensor), "w")).toContain(fault);
  });

  it.each([
    ["a negative offset", { offset: -1 }, "tensor without a storage"],
    ["a negative size", { shape: [-4, 6] }, "tensor without a storage"],
    [
      "a storage class that is not known",
      { storage: "QInt8Storage" },
      "refused global torch.QInt8Storage",
    ],
  ])("refuses %s", async (_, tensor: Partial<SavedTensor>, fault) => {
    expect(await failure(ofCounting(tensor), FILE)).toContain(fault);
  });

  it("refuses a storage that is described in two ways", async () => {
    const one: SavedTensor = { storage: "FloatStorage", key: "0", numel: 24, shape: [24] };
    const two = { ...one, storage: "IntStorage" };
    const message = await failure(openPickle(statePickle({ one, two })), FILE);
    expect(message).toBe(`pytorch: storage 0 described in two ways in ${FILE}`);
  });

  it("refuses a pickle that is no dict", async () => {
    expect(await failure(openPickle(pickle(op.list)), FILE)).toContain("is not a dict of tensors");
  });
});

describe("archive", () => {
  const whole = saved({ w: { shape: [24], data: counting } });

  it("refuses every torn one", async () => {
    for (let end = 4; end < whole.length; end++) {
      const message = await failure(open(whole.slice(0, end)), FILE);
      expect(message).toMatch(/^zip: .*torn/);
    }
  });

  it("refuses one whose middle is lost", async () => {
    const lost = joinBytes([whole.subarray(0, 80), whole.subarray(120)]);
    expect(await failure(open(lost), FILE)).toMatch(/^zip: /);
  });

  it("refuses other byte orders", async () => {
    const big = saved({ w: { shape: [24], data: counting } }, { byteorder: "big" });
    expect(await failure(open(big), FILE)).toContain('has byte order "big", supported is little');
  });

  it.each([
    [
      "the stream of pickles before 1.6",
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9 j\xa8P\x19.",
      "before PyTorch 1.6",
    ],
    ["the tar before that", "x".padEnd(257, "\0") + "ustar", "before PyTorch 1.6"],
    [
      "a git-lfs pointer",
      "version https://git-lfs.github.com/spec/v1\n",
      'begins with "version http"',
    ],
    ["nothing", "", 'begins with ""'],
  ])("refuses %s", async (_, text, fault) => {
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    expect(await failure(open(bytes), FILE)).toContain(fault);
  });

  it.each([
    ["a method that is neither stored nor deflated", 10, 12, "is packed by method 12"],
    ["encryption", 8, 1, "is encrypted"],
    ["stored data of two sizes", 24, 1, "cannot have 1 bytes"],
    ["a local header elsewhere", 42, 7, "not found at 7"],
    ["a place behind the directory", 45, 1, "behind the directory"],
  ])("refuses %s", async (_, field, value, fault) => {
    const changed = whole.slice();
    // The directory's record of data.pkl, the first one.
    const record = Buffer.from(whole).indexOf("PK\x01\x02");
    changed[record + field] = value;
    expect(await failure(open(changed), FILE)).toContain(fault);
  });

  it("refuses data that claim to unpack to more than deflate can pack", async () => {
    const packed = saved({ w: { shape: [24], data: counting } }, { level: 6 });
    packed[Buffer.from(packed).indexOf("PK\x01\x02") + 27] = 0x40;
    expect(await failure(open(packed), FILE)).toMatch(/data\.pkl" cannot have 10\d+ bytes/);
  });

  it("refuses a name that stands twice", async () => {
    const twice = archive(statePickle({}), { 0: counting, 1: counting });
    const name = "model/data/1";
    twice[Buffer.from(twice).lastIndexOf(name) + name.length - 1] = "0".charCodeAt(0);
    expect(await failure(open(twice), FILE)).toContain("stands twice");
  });

  it("refuses a zip of something else", async () => {
    const other = joinBytes([whole]);
    const name = new TextEncoder().encode("data.pkl");
    for (let at = 0; at < other.length - 8; at++) {
      if (name.every((byte, i) => other[at + i] === byte)) other[at] = 0x44;
    }
    expect(await failure(open(other), FILE)).toContain("has no data.pkl");
  });

  it("refuses deflated data that do not unpack to their size", async () => {
    const packed = saved({ w: { shape: [24], data: counting } }, { level: 6 });
    const local = new DataView(packed.buffer);
    const begin = 30 + local.getUint16(26, true) + local.getUint16(28, true);
    packed.fill(0xff, begin, begin + 16);
    await expect(open(packed)).rejects.toThrow(/data\.pkl.*broke off/);
  });
});
