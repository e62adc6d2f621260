// Which of tied tensors are written, and how tensors are laid out in files of limited size.
import { describe, expect, it } from "vitest";
import { planConversion } from "../src/loading/conversion.ts";
import { openStateDict } from "../src/loading/pytorch.ts";
import type { TensorEntry } from "../src/loading/safetensors-header.ts";
import { layOut } from "../src/loading/safetensors-writer.ts";
import { readSafetensors } from "../src/loading/safetensors.ts";
import type { PlannedWeight } from "../src/loading/plan.ts";
import { planOf } from "./loading-fixtures.ts";
import { archive, type SavedTensor, statePickle } from "./pytorch-fixtures.ts";

const BIN = "pytorch_model.bin";

describe("tied tensors", () => {
  const tensor: SavedTensor = { storage: "FloatStorage", key: "0", numel: 6, shape: [2, 3] };
  const plan = (head: readonly string[]): PlannedWeight[] => {
    const [embedding, last] = planOf({ "wte.weight": [2, 3], head: [2, 3] });
    return [embedding!, { ...last!, tensor: head }];
  };
  async function tie(head: readonly string[], others: Record<string, SavedTensor> = {}) {
    const pickled = statePickle({ "lm_head.weight": tensor, "wte.weight": tensor, ...others });
    const bytes = archive(pickled, { 0: new Float32Array(6) });
    const dict = await openStateDict(BIN, new Blob([bytes]));
    const { files, notes } = planConversion([dict], plan(head), { where: "memory" });
    return { names: files.flatMap(({ tensors }) => tensors.map(({ name }) => name)), notes };
  }

  it("are written once where the model finds that one", async () => {
    const { names, notes } = await tie(["lm_head.weight", "wte.weight"]);
    expect(names).toEqual(["wte.weight"]);
    expect(notes).toEqual(["skipped, the same storage as another: lm_head.weight (wte.weight)"]);
  });

  it("are written each where the model asks for each", async () => {
    expect((await tie(["lm_head.weight"])).names).toEqual(["lm_head.weight", "wte.weight"]);
  });

  it("stay apart where the views differ", async () => {
    const turned = { ...tensor, shape: [3, 2], strides: [1, 3] };
    const { names } = await tie(["lm_head.weight", "wte.weight"], { turned });
    expect(names).toEqual(["wte.weight", "turned"]);
  });
});

describe("layout", () => {
  const sized = (name: string, bytes: number) => ({
    name,
    dtype: "F32",
    shape: [bytes / 4],
    bytes,
  });

  it("keeps every file within the limit and fills it", () => {
    const tensors = Array.from({ length: 40 }, (_, i) => sized(`ü${"x".repeat(i)}`, 4 * (i % 13)));
    for (const limitBytes of [300, 500, 1000, 1001, 1007]) {
      const { files } = layOut(tensors, { limitBytes });
      expect(files.flatMap((file) => file.tensors)).toEqual(tensors);
      for (const [i, file] of files.entries()) {
        expect(file.bytes).toBeLessThanOrEqual(limitBytes);
        const next = files[i + 1]?.tensors[0];
        if (next === undefined) continue;
        const [fuller] = layOut([...file.tensors, next]).files;
        expect(fuller!.bytes).toBeGreaterThan(limitBytes);
      }
    }
  });

  it("holds names that JSON or JavaScript could trip over", async () => {
    const names = ["__proto__", 'a"b\\c', "ü☃", "constructor"];
    const { files, index } = layOut(
      names.map((name) => sized(name, 4)),
      { limitBytes: 120 },
    );
    expect(Object.keys(JSON.parse(index!).weight_map).toSorted()).toEqual(names.toSorted());
    for (const { file, header, tensors } of files) {
      const stream = new Blob([header, new Uint8Array(4 * tensors.length)]).stream();
      const seen: string[] = [];
      const choose = (found: ReadonlyMap<string, TensorEntry>) => {
        seen.push(...found.keys());
        return new Set<string>();
      };
      await readSafetensors(file, stream, { choose, begin: () => () => {} });
      expect(seen).toEqual(tensors.map(({ name }) => name));
      expect(header.length % 8).toBe(0);
    }
    expect(() => layOut([sized("__metadata__", 4)])).toThrow(
      "no tensor may be called __metadata__",
    );
  });
});
