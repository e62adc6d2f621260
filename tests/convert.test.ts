// The conversion of whole folders: what is written, that it explains, and that nothing stays behind where it fails.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { convertFolder } from "../scripts/convert/folder.ts";
import { createExplainer } from "../src/explainer/explainer.ts";
import { readSafetensors } from "../src/loading/safetensors.ts";
import type { TensorEntry } from "../src/loading/safetensors-header.ts";
import { modelOf } from "../src/model/registry.ts";
import { createBackend, folderSource } from "../src/node.ts";
import { saved } from "./pytorch-fixtures.ts";

const BIN = "pytorch_model.bin";
const POSITION_IDS = "bert.embeddings.position_ids";
const config = {
  model_type: "bert",
  architectures: ["BertForSequenceClassification"],
  hidden_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 6,
  vocab_size: 7,
  max_position_embeddings: 5,
  type_vocab_size: 2,
};
type Weights = Record<string, { shape: readonly number[]; data: Float32Array }>;

/** Every weight of the little model, in multiples of 1/8, which all formats hold exactly. */
function weights(): Weights {
  const plan = modelOf(config).weights;
  return Object.fromEntries(
    plan.map(({ tensor, shape, rows, columns }, which) => {
      const data = Float32Array.from(
        { length: rows * columns },
        (_, i) => ((i + which) % 9) / 8 - 0.5,
      );
      return [[tensor].flat()[0]!, { shape, data }];
    }),
  );
}

const without = (all: Weights, dropped: string): Weights =>
  Object.fromEntries(Object.entries(all).filter(([name]) => name !== dropped));

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "plumbline-convert-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Folder of config.json and these files, and where it is to be converted to. */
async function folder(files: Record<string, string | Uint8Array>) {
  const from = join(root, "from");
  await mkdir(from);
  const all = { "config.json": JSON.stringify(config), ...files };
  for (const [file, content] of Object.entries(all)) await writeFile(join(from, file), content);
  return { from, to: join(root, "to") };
}

async function readFolder(path: string) {
  const found = new Map<string, { entry: TensorEntry; values: Float32Array }>();
  const files = (await readdir(path)).filter((file) => file.endsWith(".safetensors")).toSorted();
  for (const file of files) {
    await readSafetensors(file, await folderSource(path).open(file), {
      choose: (tensors) => new Set(tensors.keys()),
      begin(entry) {
        const values = new Float32Array(entry.elements);
        found.set(entry.name, { entry, values });
        return (at, piece) => values.set(piece, at);
      },
    });
  }
  return { files, found };
}

const valuesIn = (found: ReadonlyMap<string, { values: Float32Array }>) =>
  Object.fromEntries([...found].map(([name, { values }]) => [name, [...values]]));
const valuesOf = (expected: Weights) =>
  Object.fromEntries(Object.entries(expected).map(([name, { data }]) => [name, [...data]]));

/** The conversion's error; `to` and its siblings are as they were. */
async function failed(from: string, to: string, options = {}): Promise<string> {
  const before = await readdir(root);
  const reason: unknown = await convertFolder(from, to, options).catch((error: unknown) => error);
  expect(reason).toBeInstanceOf(Error);
  expect(await readdir(root)).toEqual(before);
  const { message } = reason as Error;
  expect(message).not.toContain("\n");
  return message;
}

describe("a converted folder", () => {
  it("holds every tensor and the tokenizer's files", async () => {
    const positions = { shape: [1, 5], data: BigInt64Array.from([0n, 1n, 2n, 3n, 4n]) };
    const { from, to } = await folder({
      [BIN]: saved({ [POSITION_IDS]: positions, ...weights() }),
      "vocab.txt": "[PAD]\n",
      "README.md": "not taken over",
    });
    const converted = await convertFolder(from, to);
    const { found } = await readFolder(to);
    expect(valuesIn(found)).toEqual(valuesOf(weights()));
    expect((await readdir(to)).toSorted()).toEqual([
      "config.json",
      "model.safetensors",
      "vocab.txt",
    ]);
    expect(await readFile(join(to, "config.json"), "utf8")).toBe(JSON.stringify(config));
    expect(await readdir(root)).toEqual(["from", "to"]);
    expect(converted).toMatchObject({
      family: "bert",
      tensors: found.size,
      bytes: (await stat(join(to, "model.safetensors"))).size,
      notes: [`skipped, no floating-point numbers: ${POSITION_IDS} (I64)`],
    });
    expect(converted.revision).toMatch(/^[0-9a-f]{16}$/);
  });

  it.each([
    ["F16", false, (value: number) => new Uint16Array(Float16Array.of(value).buffer)[0]!],
    ["BF16", true, (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16],
  ])("keeps %s", async (dtype, bfloat16, bits) => {
    const narrow = Object.entries(weights()).map(([name, { shape, data }]) => {
      return [name, { shape, data: Uint16Array.from(data, bits) }] as const;
    });
    const { from, to } = await folder({ [BIN]: saved(Object.fromEntries(narrow), { bfloat16 }) });
    expect((await convertFolder(from, to)).notes).toEqual([]);
    const { found } = await readFolder(to);
    expect(valuesIn(found)).toEqual(valuesOf(weights()));
    expect(new Set([...found.values()].map(({ entry }) => entry.dtype))).toEqual(new Set([dtype]));
  });

  it("narrows F64, puts wide elements first, and says so", async () => {
    const tensors: Parameters<typeof saved>[0] = {
      extra: { shape: [3], data: Uint16Array.of(0x3c00, 0, 0) },
      ...weights(),
      "classifier.bias": { shape: [2], data: Float64Array.of(1 / 3, 2) },
    };
    const { from, to } = await folder({ [BIN]: saved(tensors, { level: 6 }) });
    expect((await convertFolder(from, to)).notes).toEqual([
      "written as F32: classifier.bias (F64)",
    ]);
    const { found } = await readFolder(to);
    expect([...found.get("classifier.bias")!.values]).toEqual([Math.fround(1 / 3), 2]);
    expect([...found].at(-1)![0]).toBe("extra");
  });

  it("is split where the limit asks for it, and loads all the same", async () => {
    const { from, to } = await folder({ [BIN]: saved(weights()) });
    const whole = await convertFolder(from, join(root, "whole"));
    const limitBytes = 500;
    const converted = await convertFolder(from, to, { limitBytes });
    const { files, found } = await readFolder(to);
    expect(files.length).toBeGreaterThan(2);
    expect(converted.files).toEqual(files);
    expect(files[0]).toBe(`model-00001-of-${String(files.length).padStart(5, "0")}.safetensors`);
    for (const file of files) {
      expect((await stat(join(to, file))).size).toBeLessThanOrEqual(limitBytes);
    }
    expect(valuesIn(found)).toEqual(valuesOf(weights()));
    expect(converted.tensors).toBe(whole.tensors);
    const index = JSON.parse(await readFile(join(to, "model.safetensors.index.json"), "utf8"));
    expect(Object.keys(index.weight_map).toSorted()).toEqual([...found.keys()].toSorted());
    const numbers = [...found.values()].reduce((sum, { values }) => sum + values.length, 0);
    expect(index.metadata.total_size).toBe(4 * numbers);
    expect(whole.files).toEqual(["model.safetensors"]);
  });

  it("says which tensor alone is above the limit", async () => {
    const { from, to } = await folder({ [BIN]: saved(weights()) });
    const { notes } = await convertFolder(from, to, { limitBytes: 200 });
    expect(notes.join()).toContain("bert.embeddings.word_embeddings.weight cannot be split");
  });

  it("comes from several files with an index, too", async () => {
    const all = Object.entries(weights());
    const halves = { "a.bin": all.slice(0, 5), "b.bin": all.slice(5) };
    const map = Object.entries(halves).flatMap(([file, half]) =>
      half.map(([name]) => [name, file]),
    );
    const { from, to } = await folder({
      "a.bin": saved(Object.fromEntries(halves["a.bin"])),
      "b.bin": saved(Object.fromEntries(halves["b.bin"])),
      "pytorch_model.bin.index.json": JSON.stringify({ weight_map: Object.fromEntries(map) }),
    });
    await convertFolder(from, to);
    expect(valuesIn((await readFolder(to)).found)).toEqual(valuesOf(weights()));
  });

  it("replaces an earlier one only with force, and never other files", async () => {
    const { from, to } = await folder({ [BIN]: saved(weights()) });
    await mkdir(to);
    await convertFolder(from, to, { limitBytes: 500 });
    expect(await failed(from, to)).toBe(`${to}: is there already; --force replaces it`);
    await convertFolder(from, to, { force: true });
    expect((await readFolder(to)).files).toEqual(["model.safetensors"]);
    expect(await readdir(root)).toEqual(["from", "to"]);
    await writeFile(join(to, "thesis.tex"), "");
    expect(await failed(from, to, { force: true })).toContain("thesis.tex in it would be lost");
    expect(await failed(from, from, { force: true })).toContain("holds the folder that is to be");
    expect(await failed(from, root, { force: true })).toContain("holds the folder that is to be");
  });
});

describe("a failed conversion leaves nothing behind", () => {
  it.each([
    ["a family that is not known", { "config.json": '{"model_type":"t5"}' }, 'model_type is "t5"'],
    ["no weights", {}, `neither pytorch_model.bin.index.json nor ${BIN} found`],
    ["weights that need no conversion", { "model.safetensors": "" }, "nothing to convert"],
    [
      "an index without its file",
      { "pytorch_model.bin.index.json": '{"weight_map":{"a":"a.bin"}}' },
      "a.bin not found",
    ],
    [
      "an index that reaches outside",
      { "pytorch_model.bin.index.json": '{"weight_map":{"a":"../a.bin"}}' },
      "of the same folder",
    ],
  ])("with %s", async (_, files: Record<string, string>, fault) => {
    const { from, to } = await folder(files);
    expect(await failed(from, to)).toContain(fault);
  });

  it.each<[string, (all: Weights) => Record<string, object>, string]>([
    ["a missing weight", (all) => without(all, "classifier.bias"), "1 missing from"],
    [
      "a wrong shape",
      (all) => ({ ...all, "classifier.bias": { shape: [2, 1], data: new Float32Array(2) } }),
      "classifier.bias in pytorch_model.bin: expected shape (2), found (2, 1)",
    ],
    [
      "a weight of integers",
      (all) => ({ ...all, "classifier.bias": { shape: [2], data: new BigInt64Array(2) } }),
      "unsupported dtype I64 in classifier.bias",
    ],
    [
      "a NaN",
      (all) => ({ ...all, "classifier.bias": { shape: [2], data: Float32Array.of(0, NaN) } }),
      "classifier.bias in model.safetensors is not finite at element 1: NaN",
    ],
    [
      "a number too large for F32",
      (all) => ({ ...all, "classifier.bias": { shape: [2], data: Float64Array.of(1e300, 0) } }),
      "not finite at element 0: Infinity",
    ],
  ])("with %s", async (_, change, fault) => {
    const changed = change(weights()) as Parameters<typeof saved>[0];
    const { from, to } = await folder({ [BIN]: saved(changed) });
    expect(await failed(from, to)).toContain(fault);
  });

  it("with an index that places a tensor elsewhere, or twice", async () => {
    const all = saved(weights());
    const map = { "classifier.bias": "b.bin", "classifier.weight": "a.bin" };
    const index = { "pytorch_model.bin.index.json": JSON.stringify({ weight_map: map }) };
    const { from, to } = await folder({ "a.bin": all, "b.bin": all, ...index });
    expect(await failed(from, to)).toMatch(/stands in a\.bin and in b\.bin$/);
    await writeFile(join(from, "b.bin"), saved({}));
    expect(await failed(from, to)).toContain(
      "classifier.bias not in b.bin, where pytorch_model.bin",
    );
  });

  it("when it is interrupted, and keeps the folder that it was to replace", async () => {
    const { from, to } = await folder({ [BIN]: saved(weights()) });
    await convertFolder(from, to);
    const before = await readFile(join(to, "model.safetensors"));
    const interrupt = new AbortController();
    const onProgress = () => interrupt.abort(new Error("enough"));
    const options = { force: true, signal: interrupt.signal, onProgress };
    expect(await failed(from, to, options)).toBe("enough");
    expect(await readFile(join(to, "model.safetensors"))).toEqual(before);
  });

  it("even of a process that was killed outright", async () => {
    const { from, to } = await folder({ [BIN]: saved(weights()) });
    // Above every process id that Linux gives out, so certainly not running.
    await mkdir(`${to}.partial-99999999`);
    await mkdir(`${to}.partial-${process.pid}-mine`);
    await convertFolder(from, to);
    expect(await readdir(root)).toEqual(["from", "to", `to.partial-${process.pid}-mine`]);
  });
});

// Each run starts a process, which takes its time on a busy machine.
describe("npm run convert", { timeout: 60_000 }, () => {
  const script = fileURLToPath(new URL("../scripts/convert.ts", import.meta.url));
  const run = (...args: string[]) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((done) => {
      execFile(process.execPath, [script, ...args], (error, stdout, stderr) => {
        done({ code: error?.code ?? 0, stdout, stderr });
      });
    });

  it("converts, and ends with the command to explain with", async () => {
    const { from } = await folder({ [BIN]: saved(weights()) });
    const to = join(root, "it's converted");
    const { code, stdout, stderr } = await run(from, "--to", to);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("no tokenizer.json");
    const quoted = `'${to.replace("'", `'\\''`)}'`;
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(
      `  npm run explain -- --ids 0,1,2 --checkpoint ${quoted}`,
    );
  });

  it("fails in one line, and teaches in its help", async () => {
    const { from, to } = await folder({ [BIN]: "version https://git-lfs.github.com/spec/v1\n" });
    const refused = await run(from, "--to", to);
    expect(refused.code).toBe(1);
    expect(refused.stderr.trimEnd().split("\n")).toEqual([
      `pytorch: ${BIN} begins with "version http", expected a zip archive of torch.save`,
    ]);
    expect(await run(from)).toMatchObject({ code: 2, stderr: expect.stringContaining("--to") });
    const help = await run("--help");
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("npm run convert -- ~/models/my-bert --to");
  });
});

describe("a checkpoint from the hub", () => {
  const from = fileURLToPath(new URL("../../shared/models/tiny-random-bert", import.meta.url));

  it("explains after its conversion", async ({ skip }) => {
    skip(
      !existsSync(from),
      `${from} is absent: the only .bin that PyTorch itself wrote is not tried`,
    );
    const to = join(root, "tiny");
    const { tensors, notes } = await convertFolder(from, to);
    expect(tensors).toBe(89);
    expect(notes).toEqual([`skipped, no floating-point numbers: ${POSITION_IDS} (I64)`]);
    const { found } = await readFolder(to);
    // Values as torch.load of PyTorch 1.13 reads them.
    const value = (name: string, at: number) => found.get(name)!.values[at];
    expect(value("bert.encoder.layer.2.attention.self.query.weight", 3 * 32 + 17)).toBe(
      0.027988554909825325,
    );
    expect(value("classifier.weight", 32 + 31)).toBe(0.01088737417012453);
    expect(value("bert.embeddings.word_embeddings.weight", 1123 * 32 + 5)).toBe(
      0.0006248499266803265,
    );

    const explainer = await createExplainer({
      name: "tiny",
      source: folderSource(to),
      backend: await createBackend("reference"),
    });
    const answer = await explainer.explain({ text: "hello world" });
    expect(answer.tokens.length).toBeGreaterThan(3);
    expect(answer.tokens[0]?.text).toBe("[CLS]");
    expect(answer.attributions.length).toBeGreaterThan(0);
    for (const { scores } of answer.attributions) {
      expect(scores).toHaveLength(answer.tokens.length);
      expect(scores.every((score) => Number.isFinite(score))).toBe(true);
      expect(scores.some((score) => score !== 0)).toBe(true);
    }
  });
});
