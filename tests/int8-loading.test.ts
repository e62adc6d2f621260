// Int8 weights of a checkpoint: a matrix I8 with its scales, wherever they stand, and what is said when they do not fit.
import { describe, expect, test } from "vitest";
import { memorySource } from "../src/loading/byte-source.ts";
import { CheckpointError, WeightsMismatch } from "../src/loading/checkpoint-error.ts";
import { failure, INDEX, load, loadFile, planOf, scalesOf, valuesOf } from "./loading-fixtures.ts";
import { f32, i8, writeSafetensors, type WrittenTensor } from "./safetensors-writer.ts";

const NAME = "encoder.query.weight";
const SCALE = "encoder.query.weight_scale";
const plan = planOf({ [NAME]: [2, 3], "norm.weight": [3] });
const norm = { "norm.weight": f32([3], [1, 2, 3]) };
const integers = i8([2, 3], [1, -2, 127, -127, 0, -128]);
const scales = f32([2], [0.5, 0.25]);

describe("an int8 matrix", () => {
  test.each([
    ["before its scales", { ...norm, [NAME]: integers, [SCALE]: scales }],
    [
      "after its scales, which are a column",
      { [SCALE]: f32([2, 1], [0.5, 0.25]), ...norm, [NAME]: integers },
    ],
  ])("is read %s", async (_, tensors: Record<string, WrittenTensor>) => {
    const { weights, formats } = await loadFile(writeSafetensors(tensors, { pad: 3 }), plan);
    expect(valuesOf(weights.get(NAME))).toEqual(integers.data);
    expect([...scalesOf(weights.get(NAME))]).toEqual([0.5, 0.25]);
    expect(Object.fromEntries(formats)).toEqual({ [NAME]: "int8", "norm.weight": "f32" });
  });

  test.each([
    ["a.safetensors", "b.safetensors"],
    ["b.safetensors", "a.safetensors"],
  ])("stands in %s, and its scales in %s", async (file, scaleFile) => {
    const map = { [NAME]: file, "norm.weight": file, [SCALE]: scaleFile };
    const source = memorySource("memory", {
      [INDEX]: new TextEncoder().encode(JSON.stringify({ weight_map: map })),
      [file]: writeSafetensors({ ...norm, [NAME]: integers }),
      [scaleFile]: writeSafetensors({ [SCALE]: scales }),
    });
    const { weights } = await load(source, plan);
    expect(valuesOf(weights.get(NAME))).toEqual(integers.data);
    expect([...scalesOf(weights.get(NAME))]).toEqual([0.5, 0.25]);
  });

  test("may serve two planned weights", async () => {
    const tied = planOf({ first: [2, 3], second: [2, 3] }).map((each) => ({
      ...each,
      tensor: NAME,
    }));
    const file = writeSafetensors({ [NAME]: integers, [SCALE]: scales });
    const { weights, formats } = await loadFile(file, tied);
    expect(weights.get("first")).toBe(weights.get("second"));
    expect([...formats.values()]).toEqual(["int8", "int8"]);
  });
});

test("scales beside a float matrix are left alone, whatever they are", async () => {
  const stray = { dtype: "F8_E4M3", shape: [], data: new Uint8Array(1) };
  const float = f32([2, 3], [1, 2, 3, 4, 5, 6]);
  const file = writeSafetensors({ ...norm, [NAME]: float, [SCALE]: stray });
  const { weights, formats } = await loadFile(file, plan);
  expect(valuesOf(weights.get(NAME))).toEqual(float.data);
  expect(formats.get(NAME)).toBe("f32");
});

describe("refused:", () => {
  const refused = (tensors: Record<string, WrittenTensor>, culprit: string) =>
    failure(loadFile(writeSafetensors({ ...norm, ...tensors }), plan), culprit);

  test("an int8 matrix without scales", async () => {
    expect(await refused({ [NAME]: integers }, NAME)).toBe(
      `weights: ${NAME} in model.safetensors is I8 without ${SCALE}`,
    );
  });

  test("int8 for a vector", async () => {
    const tensors = { [NAME]: integers, [SCALE]: scales, "norm.weight": i8([3], [1, 2, 3]) };
    expect(await refused(tensors, "norm.weight")).toContain("is I8 and no matrix");
  });

  test.each([[[3]], [[1, 2]], [[2, 2]], [[]]])("scales of shape %j", async (shape) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const wrong = f32(
      shape,
      Array.from({ length: count }, () => 1),
    );
    const loading = loadFile(writeSafetensors({ ...norm, [NAME]: integers, [SCALE]: wrong }), plan);
    await expect(loading).rejects.toThrow(WeightsMismatch);
    await expect(loading).rejects.toThrow(`${SCALE} in model.safetensors: expected shape (2)`);
  });

  test.each([
    ["not positive at element 1: 0", [1, 0]],
    ["not positive at element 0: -0.5", [-0.5, 1]],
    ["not finite at element 1: NaN", [1, NaN]],
    ["not finite at element 0: Infinity", [Infinity, 1]],
  ])("scales that are %s", async (fault, values) => {
    expect(await refused({ [NAME]: integers, [SCALE]: f32([2], values) }, SCALE)).toContain(fault);
  });

  test("scales that are integers, or of a dtype that is not known", async () => {
    expect(await refused({ [NAME]: integers, [SCALE]: i8([2], [1, 1]) }, SCALE)).toContain("I8");
    const odd = { dtype: "F8_E4M3", shape: [2], data: new Uint8Array(2) };
    expect(await refused({ [NAME]: integers, [SCALE]: odd }, SCALE)).toContain("F8_E4M3");
  });

  test("integers around a zero point", async () => {
    const tensors = { [NAME]: integers, [SCALE]: scales, [`${NAME}_zero_point`]: i8([2], [1, 1]) };
    expect(await refused(tensors, NAME)).toContain("zero point, which is not supported");
  });

  test("integers of another shape", async () => {
    const tensors = { [NAME]: i8([3, 2], [1, 2, 3, 4, 5, 6]), [SCALE]: scales };
    expect(await refused(tensors, NAME)).toContain("expected shape (2, 3), found (3, 2)");
  });

  test("a torn int8 matrix", async () => {
    const whole = writeSafetensors({ ...norm, [SCALE]: scales, [NAME]: integers });
    await expect(loadFile(whole.slice(0, -2), plan)).rejects.toThrow(CheckpointError);
  });
});
