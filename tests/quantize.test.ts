// Quantised folders: what becomes int8 and how exactly, what stays, and that nothing stays behind where it fails.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { quantizeFolder } from "../scripts/quantize/folder.ts";
import { createExplainer } from "../src/explainer/explainer.ts";
import { quantiseRow } from "../src/loading/quantisation.ts";
import { readSafetensors } from "../src/loading/safetensors.ts";
import { modelOf } from "../src/model/registry.ts";
import { createBackend, folderSource } from "../src/node.ts";
import { f32, writeSafetensors, type WrittenTensor } from "./safetensors-writer.ts";

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
const FILE = "model.safetensors";
const WORD = "bert.embeddings.word_embeddings.weight";
const POSITION = "bert.embeddings.position_embeddings.weight";
const QUERY = "bert.encoder.layer.0.attention.self.query.weight";

function weights(): Record<string, WrittenTensor> {
  return Object.fromEntries(
    modelOf(config).weights.map(({ tensor, shape, rows, columns }, which) => {
      const values = Array.from({ length: rows * columns }, (_, i) => Math.sin(i + 10 * which));
      return [[tensor].flat()[0]!, f32(shape, values)];
    }),
  );
}

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "plumbline-quantize-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A folder of these files, and where it is to be written again. */
async function folder(files: Record<string, string | Uint8Array>) {
  const from = join(root, "from");
  await mkdir(from);
  const all = { "config.json": JSON.stringify(config), ...files };
  for (const [file, content] of Object.entries(all)) await writeFile(join(from, file), content);
  return { from, to: join(root, "to") };
}

async function readFolder(path: string) {
  const found = new Map<string, { dtype: string; values: number[] }>();
  const files = (await readdir(path)).filter((file) => file.endsWith(".safetensors")).toSorted();
  for (const file of files) {
    await readSafetensors(file, await folderSource(path).open(file), {
      choose: (tensors) => new Set(tensors.keys()),
      begin({ name, dtype }) {
        const values: number[] = [];
        found.set(name, { dtype, values });
        return (_, piece) => void values.push(...piece);
      },
    });
  }
  return { files, found };
}

/** The error; `to` and its siblings are as they were. */
async function failed(from: string, to: string, options = {}): Promise<string> {
  const before = await readdir(root);
  const reason: unknown = await quantizeFolder(from, to, options).catch((error: unknown) => error);
  expect(reason).toBeInstanceOf(Error);
  expect(await readdir(root)).toEqual(before);
  return (reason as Error).message;
}

describe("a row", () => {
  it("is rounded half to even, with its largest weight at 127", () => {
    const { integers, scale } = quantiseRow(
      Float32Array.of(127, 2.5, 3.5, -2.5, -3.5, 0.4, -126.6),
    );
    expect(scale).toBe(1);
    expect([...integers]).toEqual([127, 2, 4, -2, -4, 0, -127]);
  });

  it("of zeros, of the smallest and of the largest numbers has a positive, finite scale", () => {
    for (const row of [
      [0, -0],
      [1e-45, 0],
      [1e-38, -1e-38],
      [3.4e38, -3.4e38],
    ]) {
      const { integers, scale } = quantiseRow(Float32Array.from(row));
      expect(scale).toBeGreaterThan(0);
      expect(Number.isFinite(Math.fround(scale))).toBe(true);
      expect(Math.fround(scale)).toBe(scale);
      row.forEach((value, i) => {
        expect(Math.abs(integers[i]! * scale - Math.fround(value))).toBeLessThanOrEqual(
          0.51 * scale,
        );
      });
    }
  });
});

describe("a quantised folder", () => {
  it("holds int8 matrices with scales, and the rest as it was", async () => {
    const position = weights()[POSITION]!;
    const bfloat16 = Uint16Array.from(position.data, (value) => {
      return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
    });
    const all = { ...weights(), [POSITION]: { ...position, dtype: "BF16", data: bfloat16 } };
    const { from, to } = await folder({
      [FILE]: writeSafetensors({ extra: f32([2], [1, 2]), ...all }),
      "vocab.txt": "[PAD]\n",
    });
    const quantised = await quantizeFolder(from, to);
    const { found } = await readFolder(to);
    expect([found.get(POSITION)!.dtype, found.get(WORD)!.dtype]).toEqual(["BF16", "I8"]);
    const matrices = modelOf(config)
      .graph.nodes.filter((node) => node.kind === "linear")
      .map(({ weight }) => weight);
    expect(quantised.errors).toHaveLength(matrices.length + 1);
    for (const [name, { data, shape }] of Object.entries(weights())) {
      const { dtype, values } = found.get(name)!;
      if (dtype !== "I8") {
        if (name !== POSITION) expect(values, name).toEqual([...data]);
        continue;
      }
      const scales = found.get(`${name}_scale`)!.values;
      expect(scales).toHaveLength(shape[0]!);
      data.forEach((value, i) => {
        const scale = scales[Math.floor(i / shape[1]!)]!;
        expect(Math.abs(values[i]! * scale - value)).toBeLessThanOrEqual(0.5001 * scale);
      });
    }
    expect(quantised.notes).toEqual(["left out, not needed by the model: extra"]);
    expect(quantised.copied).toEqual(["config.json", "vocab.txt"]);
    expect(quantised.bytesBefore).toBe((await stat(join(from, FILE))).size);
    expect(quantised.bytes).toBe((await stat(join(to, FILE))).size);
    for (const { rms, largest } of quantised.errors) {
      expect(rms).toBeGreaterThan(0);
      expect(Math.max(rms, largest)).toBeLessThan(0.01);
    }
    expect(await readdir(root)).toEqual(["from", "to"]);
  });

  it("is the same from half precision as from the same numbers in float32", async () => {
    const halves = Object.entries(weights()).map(([name, { shape, data }]) => {
      const rounded = Float16Array.from(data);
      const half = { dtype: "F16", shape, data: new Uint16Array(rounded.buffer) };
      return [name, half, f32(shape, rounded)] as const;
    });
    const { from, to } = await folder({
      [FILE]: writeSafetensors(Object.fromEntries(halves.map(([name, half]) => [name, half]))),
    });
    await quantizeFolder(from, to);
    const wide = Object.fromEntries(halves.map(([name, , float]) => [name, float]));
    await writeFile(join(from, FILE), writeSafetensors(wide));
    await quantizeFolder(from, join(root, "wide"));
    const [half, float] = [await readFolder(to), await readFolder(join(root, "wide"))];
    expect(half.found.get(QUERY)).toEqual(float.found.get(QUERY));
    expect(half.found.get(POSITION)!.dtype).toBe("F16");
  });

  it("is split where the limit asks for it, from shards too, and explains the same", async () => {
    const { from, to } = await folder({ [FILE]: writeSafetensors(weights()) });
    const limitBytes = 600;
    const { files } = await quantizeFolder(from, to, { limitBytes });
    expect(files.length).toBeGreaterThan(2);
    for (const file of files) {
      expect((await stat(join(to, file))).size).toBeLessThanOrEqual(limitBytes);
    }
    await quantizeFolder(from, join(root, "whole"));
    const explain = async (path: string) => {
      const backend = await createBackend("wasm");
      const explainer = await createExplainer({ name: "x", source: folderSource(path), backend });
      return (await explainer.explain({ ids: [1, 2, 3] })).attributions;
    };
    expect(await explain(to)).toEqual(await explain(join(root, "whole")));
    expect(await explain(to)).not.toEqual(await explain(from));
    expect(await failed(to, join(root, "again"))).toContain("is quantised already: I8");

    const all = Object.entries(weights());
    const parts = { "a.safetensors": all.slice(0, 5), "b.safetensors": all.slice(5) };
    const map = Object.entries(parts).flatMap(([file, part]) => part.map(([name]) => [name, file]));
    await rm(join(from, FILE));
    const index = JSON.stringify({ weight_map: Object.fromEntries(map) });
    await writeFile(join(from, `${FILE}.index.json`), index);
    for (const [file, part] of Object.entries(parts)) {
      await writeFile(join(from, file), writeSafetensors(Object.fromEntries(part)));
    }
    await quantizeFolder(from, join(root, "sharded"));
    expect((await readFolder(join(root, "sharded"))).found).toEqual((await readFolder(to)).found);
  });

  it("replaces an earlier one only with force", async () => {
    const { from, to } = await folder({ [FILE]: writeSafetensors(weights()) });
    await quantizeFolder(from, to);
    expect(await failed(from, to)).toBe(`${to}: is there already; --force replaces it`);
    await quantizeFolder(from, to, { force: true });
    expect(await readdir(root)).toEqual(["from", "to"]);
    expect(await failed(from, from, { force: true })).toContain("holds the folder");
  });
});

describe("nothing stays behind", () => {
  const spoilt = (name: string, tensor: WrittenTensor) => ({
    [FILE]: writeSafetensors({ ...weights(), [name]: tensor }),
  });
  const odd = { dtype: "F8_E4M3", shape: [7, 4], data: new Uint8Array(28) };
  const notFinite = f32(
    [7, 4],
    Array.from({ length: 28 }, (_, i) => (i === 9 ? NaN : 1)),
  );

  it.each([
    ["without weights", {}, `neither ${FILE}.index.json nor ${FILE} found`],
    ["with a missing weight", { [FILE]: writeSafetensors({}) }, "missing from"],
    ["with a torn file", { [FILE]: writeSafetensors(weights()).slice(0, -3) }, "expected"],
    ["with no safetensors", { [FILE]: "version https://git-lfs" }, "begins with"],
    ["with an unknown dtype", spoilt(WORD, odd), `unsupported dtype F8_E4M3 in ${WORD}`],
    ["with a wrong shape", spoilt(WORD, f32([2, 2], [1, 2, 3, 4])), "expected shape (7, 4)"],
    [
      "with a NaN in a matrix",
      spoilt(WORD, notFinite),
      `${WORD} in ${FILE} is not finite at element 9: NaN`,
    ],
    [
      "with a NaN in a vector",
      spoilt("classifier.bias", f32([2], [1, NaN])),
      "not finite at element 1",
    ],
  ])("%s", async (_, files: Record<string, string | Uint8Array>, fault) => {
    const { from, to } = await folder(files);
    expect(await failed(from, to)).toContain(fault);
  });

  it("when it is interrupted", async () => {
    const { from, to } = await folder({ [FILE]: writeSafetensors(weights()) });
    await quantizeFolder(from, to);
    const before = await readFile(join(to, FILE));
    const interrupt = new AbortController();
    const onProgress = () => interrupt.abort(new Error("enough"));
    const options = { force: true, signal: interrupt.signal, onProgress };
    expect(await failed(from, to, options)).toBe("enough");
    expect(await readFile(join(to, FILE))).toEqual(before);
  });
});

// Each run starts a process, which takes its time on a busy machine.
describe("npm run quantize", { timeout: 60_000 }, () => {
  const script = fileURLToPath(new URL("../scripts/quantize.ts", import.meta.url));
  const run = (...args: string[]) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((done) => {
      execFile(process.execPath, [script, ...args], (error, stdout, stderr) => {
        done({ code: error?.code ?? 0, stdout, stderr });
      });
    });

  it("says what it saved and what it lost, and ends with the command to explain with", async () => {
    const { from, to } = await folder({ [FILE]: writeSafetensors(weights()) });
    const { code, stdout } = await run(from, "--to", to);
    expect(code).toBe(0);
    expect(stdout).toMatch(/bytes before, [\d.]+ times as many/);
    expect(stdout).toMatch(/9 tensors are int8; the largest error is 0\.\d\d %/);
    expect(stdout).toMatch(/largest rms error.* [\d.]+ %, in /);
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(
      `  npm run explain -- --ids 0,1,2 --checkpoint ${to}`,
    );
    expect(await run(from, "--to", to)).toMatchObject({
      code: 1,
      stderr: `${to}: is there already; --force replaces it\n`,
    });
  });
});
