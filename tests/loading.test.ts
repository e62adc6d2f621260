// Checkpoints: which tensors a plan takes from which files, where the files come from, and what is said when they
// are not there.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  fetchSource,
  ifPresent,
  memorySource,
  readText,
  type ByteSource,
} from "../src/loading/byte-source.ts";
import { openCheckpoint } from "../src/loading/checkpoint.ts";
import { FileMissing, WeightsMismatch, WeightsMissing } from "../src/loading/checkpoint-error.ts";
import { parseHeader } from "../src/loading/safetensors-header.ts";
import type { PlannedWeight } from "../src/loading/plan.ts";
import { loadWeights } from "../src/loading/weights.ts";
import { folderSource } from "../src/node.ts";
import {
  CONFIG,
  INDEX,
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
import { f32, writeSafetensors } from "./safetensors-writer.ts";

describe("plans", () => {
  const query = "encoder.layer.0.attention.self.query.weight";
  const vector = (name: string, tensor: string | string[], size: number): PlannedWeight => ({
    name,
    tensor,
    rows: 1,
    columns: size,
    shape: [size],
  });

  test("takes what it names, in its own order, and leaves the rest whatever its type", async () => {
    const file = writeSafetensors({
      "bert.embeddings.position_ids": { dtype: "I64", shape: [1, 2], data: new Uint8Array(16) },
      "a.weight": f32([2, 3], ramp(6)),
      "cls.predictions.bias": f32([2], [Number.NaN, Infinity]),
      "step.exp_avg": { dtype: "F8_E4M3", shape: [3], data: new Uint8Array(3) },
      "exotic.type": { dtype: "F4_X2", shape: [3], data: new Uint8Array(2) },
      "b.bias": f32([5], ramp(5)),
    });
    const { weights } = await loadFile(file, planOf({ "b.bias": [5], "a.weight": [2, 3] }));
    expect([...weights.keys()]).toEqual(["b.bias", "a.weight"]);
    expect(weights.get("b.bias")).toMatchObject({ rows: 1, columns: 5 });
    expect(weights.get("a.weight")).toMatchObject({ rows: 2, columns: 3 });
    expect(valuesOf(weights.get("a.weight"))).toEqual(ramp(6));
    expect(valuesOf(weights.get("b.bias"))).toEqual(ramp(5));
  });

  test.each(["F8_E4M3", "F64", "I64", "F4_X2"])("dtype %s is refused by name", async (dtype) => {
    const bytes = { F8_E4M3: 4, F64: 32, I64: 32, F4_X2: 2 }[dtype]!;
    const data = new Uint8Array(bytes);
    const file = writeSafetensors({ [query]: { dtype, shape: [2, 2], data } });
    const message = await failure(loadFile(file, planOf({ [query]: [2, 2] })), query);
    expect(message).toBe(`safetensors: unsupported dtype ${dtype} in ${query}`);
  });

  test("aliases are tried in order: prefixes and legacy names", async () => {
    const file = writeSafetensors({
      "LayerNorm.gamma": f32([2], [1, 2]),
      "LayerNorm.beta": f32([2], [3, 4]),
      "second.choice": f32([2], [5, 6]),
      "first.choice": f32([2], [7, 8]),
    });
    const { weights } = await loadFile(file, [
      vector("scale", ["bert.LayerNorm.weight", "LayerNorm.weight", "LayerNorm.gamma"], 2),
      vector("shift", ["LayerNorm.bias", "LayerNorm.beta"], 2),
      vector("choice", ["first.choice", "second.choice"], 2),
    ]);
    expect([...weights].map(([name, tensor]) => [name, ...valuesOf(tensor)])).toEqual([
      ["scale", 1, 2],
      ["shift", 3, 4],
      ["choice", 7, 8],
    ]);
  });

  test("tied weights share one tensor", async () => {
    const shape = [3, 2];
    const { weights } = await loadFile(writeSafetensors({ table: f32(shape, ramp(6)) }), [
      { name: "tokens", tensor: "table", rows: 3, columns: 2, shape },
      { name: "head", tensor: ["lm_head", "table"], rows: 3, columns: 2, shape },
    ]);
    expect(weights.get("head")).toBe(weights.get("tokens"));
    expect(valuesOf(weights.get("head"))).toEqual(ramp(6));
  });

  test("missing tensors are listed up to five, with their shapes and aliases", async () => {
    const file = writeSafetensors({ "a.weight": f32([2, 3], ramp(6)) });
    const names = ["m0", "m1", "m2", "m3", "m4", "m5", "m6"];
    const plan = [
      ...planOf({ "a.weight": [2, 3] }),
      vector("n", ["bert.norm", "norm"], 4),
      ...planOf(Object.fromEntries(names.map((name) => [name, [2, 2]]))),
    ];
    const loading = loadFile(file, plan);
    await expect(loading).rejects.toBeInstanceOf(WeightsMissing);
    expect(await failure(loading, "bert.norm")).toBe(
      `weights: 8 missing from ${SINGLE} of memory: bert.norm or norm (4); m0 (2, 2); m1 (2, 2); ` +
        "m2 (2, 2); m3 (2, 2); and 3 more",
    );
  });

  test.each([[[3, 2]], [[6]], [[2, 3, 1]], [[2, 4]]])("shape %j is not (2, 3)", async (shape) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const loading = loadFile(
      writeSafetensors({ "a.weight": f32(shape, ramp(count)) }),
      planOf({ "a.weight": [2, 3] }),
    );
    await expect(loading).rejects.toBeInstanceOf(WeightsMismatch);
    expect(await failure(loading, "a.weight")).toContain(
      `expected shape (2, 3), found (${shape.join(", ")})`,
    );
  });

  test("a plan that contradicts itself is refused before anything is read", async () => {
    const file = writeSafetensors({ "a.weight": f32([2, 3], ramp(6)) });
    const a = planOf({ "a.weight": [2, 3] })[0]!;
    await expect(loadFile(file, [a, a])).rejects.toThrow("plan: a.weight stands twice");
    await expect(loadFile(file, [{ ...a, rows: 4 }])).rejects.toThrow("cannot be (4, 3)");
    await expect(loadFile(file, [{ ...a, tensor: [] }])).rejects.toThrow("no checkpoint name");
    await expect(loadFile(file, [a, { ...a, name: "b", rows: 3, columns: 2 }])).rejects.toThrow(
      "plan: a.weight and b share a.weight with different rows",
    );
  });
});

describe("shards", () => {
  const one = writeSafetensors({ "a.weight": f32([2, 3], ramp(6)), "x.extra": f32([1], [9]) });
  const two = writeSafetensors({ "b.bias": f32([5], ramp(5)) });
  const place = {
    "a.weight": "s1.safetensors",
    "x.extra": "s1.safetensors",
    "b.bias": "s2.safetensors",
  };
  const plan = planOf({ "b.bias": [5], "a.weight": [2, 3] });
  const sharded = (files: Record<string, Uint8Array | string>, map: unknown = place) =>
    memorySource("memory", { [INDEX]: JSON.stringify({ weight_map: map }), ...files });
  const both = { "s1.safetensors": one, "s2.safetensors": two };

  test("an index gathers its files, and wins over a single file", async () => {
    const alone = await load(sharded(both), plan);
    expect(valuesOf(alone.weights.get("a.weight"))).toEqual(ramp(6));
    expect(valuesOf(alone.weights.get("b.bias"))).toEqual(ramp(5));
    const beside = await load(sharded({ ...both, [SINGLE]: new Uint8Array(3) }), plan);
    expect(beside).toEqual(alone);
  });

  test("the revision covers shards of which no tensor is wanted", async () => {
    const few = planOf({ "a.weight": [2, 3] });
    const changed = writeSafetensors({ "b.bias": f32([5], ramp(6).subarray(1)) });
    const before = await load(sharded(both), few);
    const after = await load(sharded({ ...both, "s2.safetensors": changed }), few);
    expect(after.revision).not.toBe(before.revision);
  });

  test("a missing shard is named, with what it should hold", async () => {
    const loading = load(sharded({ "s1.safetensors": one }), plan);
    const message = await failure(loading, "s2.safetensors");
    expect(message).toContain(`${INDEX} places 1 tensors there, the first is b.bias`);
  });

  test("a tensor missing from its shard is named, wanted or not", async () => {
    const bare = writeSafetensors({ "a.weight": f32([2, 3], ramp(6)) });
    const loading = load(sharded({ ...both, "s1.safetensors": bare }), plan);
    expect(await failure(loading, "x.extra")).toContain("not in s1.safetensors");
  });

  test("a tensor in two shards is refused", async () => {
    const again = writeSafetensors({ "b.bias": f32([5], ramp(5)), "a.weight": f32([1], [0]) });
    const loading = load(sharded({ ...both, "s2.safetensors": again }), plan);
    const message = await failure(loading, "a.weight");
    expect(message).toContain(`in s2.safetensors, but ${INDEX} places it in s1.safetensors`);
  });

  test("a tensor that the index lacks is missing before any shard is opened", async () => {
    const { "b.bias": _, ...rest } = place;
    const loading = load(sharded({}, rest), plan);
    await expect(loading).rejects.toBeInstanceOf(WeightsMissing);
    await failure(loading, "b.bias");
  });

  test.each([
    [{ "a.weight": "../secret.safetensors" }],
    [{ "a.weight": 3 }],
    [{ "a.weight": "a.bin" }],
  ])("an index must name files of its own folder: %j", async (map) => {
    const message = await failure(load(sharded(both, map), plan), "a.weight");
    expect(message).toContain(JSON.stringify(map["a.weight"]));
  });

  test.each([[undefined], [[]], [{}]])(
    "an index without a weight_map is refused: %j",
    async (map) => {
      const source = memorySource("memory", { [INDEX]: JSON.stringify({ weight_map: map }) });
      expect(await failure(load(source, plan), INDEX)).toContain("no weight_map in memory");
    },
  );

  test("no weights at all: says what was looked for and where", async () => {
    const message = await failure(load(memorySource("the shelf", {}), plan), SINGLE);
    expect(message).toBe(`weights: neither ${INDEX} nor ${SINGLE} found in the shelf`);
  });
});

describe("checkpoints", () => {
  test("a folder with tokenizer files, and one without", async () => {
    const source = memorySource("memory", {
      "config.json": CONFIG,
      "tokenizer.json": '{"model":{}}',
      "tokenizer_config.json": '{"do_lower_case":true}',
    });
    expect(await openCheckpoint(source)).toEqual({
      source,
      config: { model_type: "bert" },
      configText: CONFIG,
      tokenizerJson: { model: {} },
      tokenizerConfig: { do_lower_case: true },
    });
    const bare = await openCheckpoint(memorySource("memory", { "config.json": CONFIG }));
    expect(bare.tokenizerJson).toBeUndefined();
    expect(bare.tokenizerConfig).toBeUndefined();
  });

  test.each([
    ["config.json", {}, "not found in memory"],
    ["config.json", { "config.json": "{" }, "not JSON in memory"],
    ["config.json", { "config.json": "[]" }, "expected a JSON object in memory, found array"],
    ["config.json", { "config.json": Uint8Array.of(0x22, 0xff, 0x22) }, "not UTF-8 in memory"],
    ["tokenizer.json", { "config.json": CONFIG, "tokenizer.json": "null" }, "found null"],
    ["tokenizer_config.json", { "config.json": CONFIG, "tokenizer_config.json": "" }, "not JSON"],
  ])("%s: %j", async (culprit, files: Record<string, string | Uint8Array>, words) => {
    expect(await failure(openCheckpoint(memorySource("memory", files)), culprit)).toContain(words);
  });
});

describe("sources", () => {
  const answering = (response: () => Response | Promise<Response>): ByteSource =>
    fetchSource("https://models", async () => response());

  test("text survives any cut through its characters", async () => {
    const text = "naïve 🧵 ".repeat(9);
    const bytes = new TextEncoder().encode(text);
    const source: ByteSource = {
      name: "bytes",
      open: async () => streamOf(Array.from(bytes, (byte) => Uint8Array.of(byte))),
    };
    expect(await readText(source, "vocab.txt")).toBe(text);
    expect(await readText(memorySource("memory", { t: text }), "t")).toBe(text);
    expect(
      await readText(
        answering(() => new Response(bytes)),
        "t",
      ),
    ).toBe(text);
    expect(
      await readText(
        answering(() => new Response(null)),
        "t",
      ),
    ).toBe("");
  });

  test("memory holds what it was given and nothing inherited", async () => {
    expect(await failure(memorySource("memory", {}).open("toString"), "toString")).toBe(
      "toString: not found in memory",
    );
  });

  test.each([
    [404, "text/plain"],
    [410, "text/plain"],
    [404, "text/html"],
    [200, "text/html; charset=utf-8"],
  ])("status %i with %s is a missing file", async (status, type) => {
    const source = answering(
      () => new Response("x", { status, headers: { "content-type": type } }),
    );
    await expect(source.open("config.json")).rejects.toBeInstanceOf(FileMissing);
    expect(await ifPresent(source.open("config.json"))).toBeUndefined();
  });

  test.each([500, 403, 429])("status %i is an error, not a missing file", async (status) => {
    const source = answering(() => new Response("x", { status }));
    const message = await failure(ifPresent(source.open(SINGLE)), SINGLE);
    expect(message).toBe(`${SINGLE}: https://models answered with status ${status}`);
  });

  test("a fetch that fails is an error naming the file", async () => {
    const source = answering(() => Promise.reject(new TypeError("connection refused")));
    expect(await failure(ifPresent(source.open(SINGLE)), SINGLE)).toContain("connection refused");
  });

  test("a folder streams its files and tells missing from unreadable", async () => {
    const folder = mkdtempSync(join(tmpdir(), "plumbline-"));
    try {
      const file = writeSafetensors({ "a.weight": f32([300_000], ramp(300_000)) }, { pad: 3 });
      writeFileSync(join(folder, SINGLE), file);
      const plan = planOf({ "a.weight": [300_000] });
      expect(await load(folderSource(folder), plan)).toEqual(await loadFile(file, plan));
      const absent = folderSource(folder).open("config.json");
      await expect(absent).rejects.toBeInstanceOf(FileMissing);
      expect(await failure(absent, "config.json")).toContain(folder);
      const directory = await failure(readText(folderSource(folder), "."), ".");
      expect(directory).toContain("EISDIR");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

// Golden folders belong to the repository; trained ones lie beside it on some machines only.
test.for([
  "tests/golden/bert",
  "tests/golden/bert-nobias",
  "../shared/models/stories260K-hf",
  "../shared/models/gpt_nano_sort-hf",
])("%s loads whole, from disk and from memory alike", async (path, context) => {
  const folder = fileURLToPath(new URL(`../${path}`, import.meta.url));
  if (path.startsWith("..") && !existsSync(folder)) context.skip(`${folder} is not here`);
  const bytes = readFileSync(join(folder, SINGLE));
  const data = 8 + Number(bytes.readBigUInt64LE());
  const entries = parseHeader(SINGLE, bytes.subarray(8, data));
  const plan = planOf(Object.fromEntries(entries.map(({ name, shape }) => [name, shape])));
  const checkpoint = await openCheckpoint(folderSource(folder));
  const { weights, revision } = await loadWeights(checkpoint, plan, recorder());
  expect(weights.size).toBe(entries.length);
  for (const { name, begin, elements } of entries) {
    const expected = Float32Array.from({ length: elements }, (_, i) =>
      bytes.readFloatLE(data + begin + 4 * i),
    );
    expect(valuesOf(weights.get(name))).toEqual(expected);
  }
  const map = Object.fromEntries(entries.map(({ name }) => [name, SINGLE]));
  const index = JSON.stringify({ weight_map: map });
  const source = memorySource("memory", { [SINGLE]: bytes, [INDEX]: index });
  const again = await loadWeights({ ...checkpoint, source }, plan, recorder());
  expect(again.revision).toBe(revision);
});
