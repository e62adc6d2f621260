// The ledger of a backward pass: sums do not depend on who came first, shared tensors are not written to, nothing leaks.
import { describe, expect, test } from "vitest";
import type { Tensor } from "../src/tensor.ts";
import { Coefficients } from "../src/engine/coefficients.ts";
import { createReferenceBackend } from "../src/backend/reference.ts";

/** Two passes of two rows, and one of the first pass alone. */
const full = [1, 2, 3, 4];
const first = [10, 20];
const sum = [11, 22, 3, 4];

describe.for([
  { order: "all passes first", given: [full, first] },
  { order: "the first pass first", given: [first, full] },
])("$order", ({ given }) => {
  const setUp = () => {
    const backend = createReferenceBackend();
    const coefficients = new Coefficients(backend);
    const tensors = given.map((values) => backend.floats(values, values.length, 1));
    const taken = async (id: number) => {
      const tensor = coefficients.take(id);
      if (tensor === undefined) throw new Error(`nothing for ${id}`);
      const values = [...(await backend.read(tensor))];
      coefficients.release(tensor);
      return values;
    };
    return { backend, coefficients, tensors, taken };
  };

  test("given as tensors", async () => {
    const { backend, coefficients, tensors, taken } = setUp();
    for (const tensor of tensors) coefficients.give(0, tensor);
    expect(await taken(0)).toEqual(sum);
    expect(backend.memory().live).toBe(0);
  });

  test("accumulated in place", async () => {
    const { backend, coefficients, tensors, taken } = setUp();
    for (const tensor of tensors) {
      coefficients.accumulate(0, tensor.rows, 1, (out: Tensor, start) => {
        if (start) backend.add(out, start, tensor);
        else backend.multiplyPullback(out, tensor, ones(tensor), [1]);
      });
    }
    expect(await taken(0)).toEqual(sum);
    function ones({ rows }: Tensor) {
      return backend.floats(
        Array.from({ length: rows }, () => 1),
        rows,
        1,
      );
    }
  });

  test("shared with another node, whose own stays as it was", async () => {
    const { backend, coefficients, tensors, taken } = setUp();
    const [shared, added] = tensors as [Tensor, Tensor];
    coefficients.give(0, shared);
    coefficients.give(1, shared);
    coefficients.give(0, added);
    expect(await taken(0)).toEqual(sum);
    expect(await taken(1)).toEqual(given[0]);
    expect(backend.memory().live).toBe(0);
  });
});
