// The safetensors reader: bytes in any chunks become the right numbers and the same revision, and every damage
// names its culprit.
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource, type ByteSource } from "../src/loading/byte-source.ts";
import { FileMissing } from "../src/loading/checkpoint-error.ts";
import { parseHeader } from "../src/loading/safetensors-header.ts";
import { loadWeights } from "../src/loading/weights.ts";
import {
  CONFIG,
  SINGLE,
  failure,
  load,
  loadFile,
  planOf,
  ramp,
  recorder,
  streamOf,
  valuesOf,
} from "./loading-fixtures.ts";
import { f32, joinBytes, packSafetensors, writeSafetensors } from "./safetensors-writer.ts";

/** `bytes` cut at the given places, each chunk in a buffer of its own, so that its alignment is the cut's. */
function chunkedSource(bytes: Uint8Array, cuts: readonly number[]): ByteSource {
  const edges = [0, ...[...cuts].toSorted((a, b) => a - b), bytes.length];
  return {
    name: "chunks",
    async open(path) {
      if (path !== SINGLE) throw new FileMissing(path, "chunks");
      return streamOf(
        edges.slice(1).map((end, i) => {
          const copy = new Uint8Array(end - edges[i]! + (i % 4)).subarray(i % 4);
          copy.set(bytes.subarray(edges[i]!, end));
          return copy;
        }),
      );
    },
  };
}

const SMALL = { "a.weight": f32([2, 3], ramp(6)), "b.bias": f32([5], ramp(5)) };
const SMALL_PLAN = planOf({ "a.weight": [2, 3], "b.bias": [5] });

describe("number formats", () => {
  test("float32 arrives bit for bit, a scalar and an empty tensor too", async () => {
    const values = Float32Array.of(-0, 1e-45, 3.4028234663852886e38, Math.PI, -1, 2);
    const file = writeSafetensors({
      a: f32([3, 2], values),
      scalar: f32([], [7]),
      empty: f32([0, 4], []),
    });
    const { weights } = await loadFile(file, planOf({ a: [3, 2], scalar: [], empty: [0, 4] }));
    const bits = (array: Float32Array) => new Uint32Array(array.buffer, array.byteOffset, 6);
    expect(bits(valuesOf(weights.get("a")))).toEqual(bits(values));
    expect([...valuesOf(weights.get("scalar"))]).toEqual([7]);
    expect(weights.get("empty")).toMatchObject({ rows: 0, columns: 4 });
  });

  // The definition, IEEE 754 section 3.4, independent of the bit arithmetic that is tested.
  const formats = [
    { dtype: "F16", mantissaBits: 10, bias: 15 },
    { dtype: "BF16", mantissaBits: 7, bias: 127 },
  ];
  test.each(formats)("every $dtype bit pattern", async ({ dtype, mantissaBits, bias }) => {
    const steps = 2 ** mantissaBits;
    const highest = 2 ** (15 - mantissaBits) - 1;
    const finite: number[] = [];
    const expected: number[] = [];
    const others: number[] = [];
    for (let word = 0; word < 65_536; word++) {
      const sign = word < 32_768 ? 1 : -1;
      const exponent = Math.floor(word / steps) % (highest + 1);
      const fraction = (word % steps) / steps;
      if (exponent === highest) {
        others.push(word);
      } else {
        finite.push(word);
        expected.push(
          sign *
            (exponent === 0 ? 2 ** (1 - bias) * fraction : 2 ** (exponent - bias) * (1 + fraction)),
        );
      }
    }
    const plan = planOf({ a: [finite.length] });
    const data = Uint16Array.from(finite);
    const file = writeSafetensors({ a: { dtype, shape: [finite.length], data } });
    const { weights } = await loadFile(file, plan);
    const found = valuesOf(weights.get("a"));
    expect(found.findIndex((value, i) => !Object.is(value, expected[i]))).toBe(-1);

    expect(others.length).toBe(2 * steps);
    for (const word of others.filter((_, i) => i % 61 === 0)) {
      const broken = Uint16Array.of(0, 1, word, 0);
      const message = await failure(
        loadFile(
          writeSafetensors({ "x.weight": { dtype, shape: [4], data: broken } }),
          planOf({ "x.weight": [4] }),
        ),
        "x.weight",
      );
      const value = word % steps !== 0 ? "NaN" : word < 32_768 ? "Infinity" : "-Infinity";
      expect(message).toContain(`not finite at element 2: ${value}`);
    }
  });

  test.each([
    [Number.NaN, "NaN"],
    [-Number.NaN, "NaN"],
    [Infinity, "Infinity"],
    [-Infinity, "-Infinity"],
  ])("float32 %d is refused", async (value, written) => {
    // Far enough in that the element's number counts pieces and chunks.
    const values = ramp(100_000);
    values[90_001] = value;
    const file = writeSafetensors({ ok: f32([3], [1, 2, 3]), w: f32([100_000], values) });
    const message = await failure(loadFile(file, planOf({ w: [100_000] })), "w");
    expect(message).toContain(`element 90001: ${written}`);
  });
});

describe("streams", () => {
  test("any chunks give the same weights and the same revision", async () => {
    const halves = Uint16Array.from({ length: 70 }, (_, i) => i * 401);
    const tensors = {
      bytes: { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) },
      single: f32([7, 9], ramp(63)),
      half: { dtype: "F16", shape: [70], data: halves },
      brain: { dtype: "BF16", shape: [70], data: halves },
    };
    const plan = planOf({ single: [7, 9], half: [70], brain: [70] });
    for (const pad of [0, 1, 2, 3]) {
      const file = writeSafetensors(tensors, { pad });
      const whole = await loadFile(file, plan);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.nat({ max: file.length }), { maxLength: 40 }),
          async (cuts) => {
            expect(await load(chunkedSource(file, cuts), plan)).toEqual(whole);
          },
        ),
        { numRuns: 60 },
      );
      const everyByte = Array.from({ length: file.length }, (_, i) => i);
      expect(await load(chunkedSource(file, everyByte), plan)).toEqual(whole);
    }
  });

  test("a stream of bytes, read into one buffer again and again, gives the same", async () => {
    const file = writeSafetensors({ a: f32([90_000], ramp(90_000)) }, { pad: 3 });
    const plan = planOf({ a: [90_000] });
    const source: ByteSource = {
      name: "bytes",
      async open(path) {
        if (path !== SINGLE) throw new FileMissing(path, "bytes");
        let at = 0;
        return new ReadableStream({
          type: "bytes",
          pull(controller) {
            if (at === file.length) {
              controller.close();
              controller.byobRequest?.respond(0);
              return;
            }
            const end = Math.min(2 * at + 1, file.length);
            controller.enqueue(file.slice(at, end));
            at = end;
          },
        });
      },
    };
    expect(await load(source, plan)).toEqual(await loadFile(file, plan));
  });

  test("the revision is the documented hash, over pieces of 1 MiB", async () => {
    const file = writeSafetensors({ a: f32([700_000], ramp(700_000)) }, { pad: 1 });
    const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
    const pieces = [0, 1, 2].map((i) => sha(file.subarray(i * 2 ** 20, (i + 1) * 2 ** 20)));
    const expected = sha(joinBytes([...pieces, sha(new TextEncoder().encode(CONFIG))]));
    const plan = planOf({ a: [700_000] });
    const { weights, revision } = await loadFile(file, plan);
    expect(revision).toBe(expected.toString("hex").slice(0, 16));
    expect(valuesOf(weights.get("a"))).toEqual(ramp(700_000));
    expect(await load(chunkedSource(file, [5, 1_000_001, 2_097_153]), plan)).toMatchObject({
      weights,
      revision,
    });
    const source = memorySource("memory", { [SINGLE]: file });
    const other = await loadWeights({ source, configText: "{}" }, plan, recorder());
    expect(other.revision).not.toBe(revision);
  });

  test("a file cut at any byte is torn, and says where", async () => {
    const file = writeSafetensors(SMALL);
    const data = file.length - 11 * 4;
    for (let cut = 0; cut < file.length; cut++) {
      const culprit = cut < data ? SINGLE : cut < data + 24 ? "a.weight" : "b.bias";
      const message = await failure(loadFile(file.subarray(0, cut), SMALL_PLAN), culprit);
      const of = cut < 8 ? "at least 8" : cut < data ? `at least ${data}` : file.length;
      expect(message).toContain(`${SINGLE} ends after ${cut} of ${of} bytes, inside `);
    }
  });

  test("a file cut inside a tensor that is not wanted is torn too", async () => {
    const file = writeSafetensors(SMALL);
    const plan = planOf({ "a.weight": [2, 3] });
    expect(await failure(loadFile(file.subarray(0, -1), plan), "b.bias")).toContain("inside");
  });

  test("bytes after the last tensor are refused", async () => {
    const file = joinBytes([writeSafetensors(SMALL), Uint8Array.of(0)]);
    expect(await failure(loadFile(file, SMALL_PLAN), SINGLE)).toContain("goes on after");
  });

  test("a stream that fails is named, and a failed load lets its stream go", async () => {
    const file = writeSafetensors(SMALL);
    let cancelled = false;
    const source = (
      chunk: Uint8Array,
      next: (controller: ReadableStreamDefaultController) => void,
    ) => ({
      name: "failing",
      async open(path: string) {
        if (path !== SINGLE) throw new FileMissing(path, "failing");
        let calls = 0;
        return new ReadableStream<Uint8Array>({
          pull: (controller) => (calls++ === 0 ? controller.enqueue(chunk) : next(controller)),
          cancel: () => {
            cancelled = true;
          },
        });
      },
    });
    const reset = source(file.subarray(0, 30), (controller) =>
      controller.error(new Error("reset")),
    );
    expect(await failure(load(reset, SMALL_PLAN), SINGLE)).toContain("after 30 bytes: reset");
    expect(cancelled).toBe(false);
    const endless = source(packSafetensors("no", new Uint8Array(0)), () => {});
    await failure(load(endless, SMALL_PLAN), SINGLE);
    expect(cancelled).toBe(true);
  });

  test("progress counts the bytes of the files and the weights of the plan", async () => {
    const file = writeSafetensors(SMALL);
    const seen: unknown[] = [];
    await loadWeights(
      { source: memorySource("memory", { [SINGLE]: file }), configText: CONFIG },
      SMALL_PLAN,
      recorder(),
      { onProgress: (progress) => seen.push(progress) },
    );
    const end = { file: SINGLE, bytes: file.length, weightsInAll: 2 };
    expect(seen).toEqual([
      { ...end, weights: 0 },
      { ...end, weights: 2 },
    ]);
  });
});

describe("headers", () => {
  const entry = (begin: number, end: number, more = {}) => ({
    dtype: "F32",
    shape: [(end - begin) / 4],
    data_offsets: [begin, end],
    ...more,
  });
  const refused: [string, string, string, string][] = [
    ["not JSON", "{", SINGLE, "not JSON"],
    ["not an object", "[1]", SINGLE, "not a JSON object"],
    [
      "overlap",
      JSON.stringify({ "p.weight": entry(0, 8), "q.weight": entry(4, 8) }),
      "q.weight",
      "overlaps p.weight",
    ],
    [
      "hole",
      JSON.stringify({ "p.weight": entry(0, 4), "q.weight": entry(8, 12) }),
      "q.weight",
      "hole after p.weight",
    ],
    [
      "hole before the first",
      JSON.stringify({ "p.weight": entry(4, 8) }),
      "p.weight",
      "hole after the header",
    ],
    [
      "size",
      JSON.stringify({ "p.weight": entry(0, 8, { shape: [3] }) }),
      "p.weight",
      "has 8 bytes, F32 (3) needs 12",
    ],
    [
      "shape",
      JSON.stringify({ "p.weight": entry(0, 8, { shape: [-2] }) }),
      "p.weight",
      "has no shape: [-2]",
    ],
    [
      "fractional shape",
      JSON.stringify({ "p.weight": entry(0, 8, { shape: [0.5] }) }),
      "p.weight",
      "no shape",
    ],
    [
      "dtype",
      JSON.stringify({ "p.weight": entry(0, 8, { dtype: 3 }) }),
      "p.weight",
      "has no dtype: 3",
    ],
    [
      "offsets",
      JSON.stringify({ "p.weight": entry(0, 8, { data_offsets: [8, 0] }) }),
      "p.weight",
      "has no data_offsets: [8,0]",
    ],
    [
      "one offset",
      JSON.stringify({ "p.weight": entry(0, 4, { data_offsets: [0] }) }),
      "p.weight",
      "data_offsets",
    ],
    ["no description", '{"p.weight":7}', "p.weight", "object: 7"],
    [
      "tensor given twice",
      `{"p.weight":${JSON.stringify(entry(0, 4))}, "\\u0070.weight" : ${JSON.stringify(entry(0, 4))}}`,
      "p.weight",
      "stands twice",
    ],
  ];
  test.each(refused)("refuses: %s", async (_, header, culprit, words) => {
    const file = packSafetensors(header, new Uint8Array(12));
    expect(await failure(loadFile(file, planOf({ "p.weight": [1] })), culprit)).toContain(words);
  });

  test("a huge length is refused without waiting for it", async () => {
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, 100_000_001n, true);
    expect(await failure(loadFile(length, SMALL_PLAN), SINGLE)).toContain("100000001");
    const page = new TextEncoder().encode("version https://git-lfs.github.com/spec/v1");
    expect(await failure(loadFile(page, SMALL_PLAN), SINGLE)).toContain('begins with "version "');
  });

  test("a length within bounds that the file does not have costs no memory", async () => {
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, 99_999_999n, true);
    const before = process.memoryUsage().arrayBuffers;
    await failure(loadFile(length, SMALL_PLAN), SINGLE);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });

  test("keys inside a description and braces in names confuse nothing", () => {
    const header = {
      __metadata__: { 'a":{"': "x", p: "y" },
      "p{": entry(0, 4),
      p: entry(4, 8),
      dtype: entry(8, 12),
    };
    const names = parseHeader(SINGLE, new TextEncoder().encode(JSON.stringify(header)));
    expect(names.map(({ name }) => name)).toEqual(["p{", "p", "dtype"]);
  });
});
