// A row, a sequence or a pass gives the same bits whatever else is in the batch.
import { expect, test } from "vitest";
import type { AttentionShares, Backend, Slope } from "../../src/backend/backend.ts";
import { attentionInputs, pack, runAttention, type Packing } from "./attention.ts";
import {
  expectSameBits,
  normals,
  withScratch,
  type BackendUnderTest,
  type Numbers,
} from "./compare.ts";
import { activationNames } from "./rows.ts";

const shares: readonly AttentionShares[] = [
  { weights: 1, values: 1, query: 1, key: 1 },
  { weights: 0.5, values: 0.5, query: 0.5, key: 0.5 },
  { weights: 0, values: 1, query: 0, key: 0 },
];

export function bitTests(make: BackendUnderTest["make"]): void {
  const all = 64;

  test.each([
    [48, 100],
    [100, 36],
    [7, 1024],
    [5, 7],
    [2, 48],
    [1, 12],
  ])("a row's product to N = %i over K = %i", async (N, K) => {
    const backend = await make();
    for (const transposeB of [true, false]) {
      for (const epilogue of ["plain", "bias", "start", "scale"]) {
        const run = (first: number, count: number) =>
          withScratch(backend, async ({ floats, empty }) => {
            const a = floats(normals(1)(all * K).slice(first * K, (first + count) * K), count, K);
            const b = floats(normals(2)(N * K), transposeB ? N : K, transposeB ? K : N);
            const start = normals(3)(all * N).slice(first * N, (first + count) * N);
            const out = empty(count, N);
            backend.matmul(out, a, b, {
              transposeB,
              ...(epilogue === "bias" && { bias: floats(normals(4)(N), 1, N) }),
              ...(epilogue === "start" && { start: floats(start, count, N) }),
              ...(epilogue === "scale" && { scale: 0.7 }),
            });
            return backend.read(out);
          });
        const whole = await run(0, all);
        for (const count of [1, 2, 3, 6, 7, 11, 12, 64]) {
          for (const first of new Set([0, 5, all - count])) {
            if (first + count > all) continue;
            const where = `${count} rows from ${first}, transposeB ${transposeB}, ${epilogue}`;
            const want = whole.subarray(first * N, (first + count) * N);
            expectSameBits(await run(first, count), want, where);
          }
        }
      }
    }
  });

  test.each([12, 48, 100])("a row's norm and activation, C = %i", async (C) => {
    const backend = await make();
    const R = 13;
    const run = (first: number, count: number) =>
      withScratch(backend, async ({ floats, empty }) => {
        const part = (seed: number) => normals(seed)(R * C).slice(first * C, (first + count) * C);
        const x = floats(part(1), count, C);
        const c = floats(part(2), count, C);
        const weight = floats(normals(3)(C), 1, C);
        const outputs: Record<string, Numbers> = {};
        const out = empty(count, C);
        const statistics = empty(count, 2);
        for (const centred of [true, false]) {
          const options = { centred, epsilon: 1e-6 };
          backend.norm(out, statistics, x, weight, undefined, options);
          outputs[`norm, centred ${centred}`] = await backend.read(out);
          backend.normPullback(out, c, x, weight, statistics, [1], options);
          outputs[`normPullback, centred ${centred}`] = await backend.read(out);
        }
        for (const activation of activationNames) {
          backend.activate(out, x, activation);
          outputs[activation] = await backend.read(out);
          for (const slope of ["derivative", "ratio"] as const) {
            backend.activatePullback(out, c, x, activation, [slope]);
            outputs[`${activation} ${slope}`] = await backend.read(out);
          }
        }
        const sum = empty(count, 1);
        backend.relevance(sum, c, x);
        outputs["relevance"] = await backend.read(sum);
        return outputs;
      });
    const whole = await run(0, R);
    for (const [first, count] of [
      [0, 1],
      [1, 1],
      [12, 1],
      [3, 2],
      [5, 7],
    ] as const) {
      for (const [name, got] of Object.entries(await run(first, count))) {
        const width = got.length / count;
        const want = whole[name]!.subarray(first * width, (first + count) * width);
        expectSameBits(got, want, `${name}, ${count} rows from ${first}`);
      }
    }
  });

  test("a pass alone and among others", async () => {
    const backend = await make();
    const [R, C] = [7, 20];
    const slopes: readonly Slope[] = ["derivative", "ratio", "derivative"];
    const run = (passes: readonly number[]) =>
      withScratch(backend, async (scratch) => {
        const { floats, empty } = scratch;
        const P = passes.length;
        const x = floats(normals(1)(R * C), R, C);
        const all = normals(2)(3 * R * C);
        const parts = passes.flatMap((p) => [...all.subarray(p * R * C, (p + 1) * R * C)]);
        const c = floats(parts, P * R, C);
        const weight = floats(normals(3)(C), 1, C);
        const [out, y, statistics] = [empty(P * R, C), empty(R, C), empty(R, 2)];
        const outputs: Record<string, Numbers> = {};
        const options = { centred: true, epsilon: 1e-6 };
        backend.norm(y, statistics, x, weight, undefined, options);
        const pick = <Item>(items: readonly Item[]) => passes.map((p) => items[p]!);
        backend.normPullback(out, c, x, weight, statistics, pick([1, 0, 1]), options);
        outputs["normPullback"] = await backend.read(out);
        backend.activatePullback(out, c, x, "gelu", pick(slopes));
        outputs["activatePullback"] = await backend.read(out);
        backend.multiplyPullback(out, c, x, pick([1, 0.5, 0.3]));
        outputs["multiplyPullback"] = await backend.read(out);
        backend.stabilise(out, c, x, pick([0.1, 0, 1e-6]));
        outputs["stabilise"] = await backend.read(out);
        const packing = pack([
          { queries: 3, keys: 3 },
          { queries: 4, keys: 4, hide: "some" },
        ]);
        const inputs = { q: normals(5)(R * C), k: normals(6)(R * C), v: normals(7)(R * C) };
        const given = { ...inputs, c: Float32Array.from(parts) };
        // The third pass alone has no query and key.
        const { query, key, value } = await runAttention(scratch, packing, given, pick(shares), {
          heads: 2,
          D: 10,
        });
        return { ...outputs, ...(query && { query }), ...(key && { key }), value };
      });
    const whole = await run([0, 1, 2]);
    for (const p of [0, 1, 2]) {
      for (const [name, got] of Object.entries(await run([p]))) {
        const want = (whole as Record<string, Numbers>)[name]!.subarray(p * R * C, (p + 1) * R * C);
        expectSameBits(got!, want, `${name}, pass ${p}`);
      }
    }
  });

  test.each([
    [1, 12],
    [4, 12],
    [2, 32],
    [2, 64],
  ])("attention of a sequence alone and in a batch, %i heads of %i", async (heads, D) => {
    const backend = await make();
    const C = heads * D;
    const sequences = [
      { queries: 4, keys: 4 },
      { queries: 1, keys: 9 },
      { queries: 13, keys: 13, hide: "some" },
      { queries: 3, keys: 3, hide: "all" },
      { queries: 6, keys: 17 },
    ] as const;
    const batch = pack(sequences, 1);
    const inputs = attentionInputs(batch, C, 3);
    const run = (packing: Packing, given: typeof inputs) =>
      withScratch(backend, (scratch) =>
        runAttention(scratch, packing, given, shares, { heads, D }),
      );
    const whole = await run(batch, inputs);
    let probability = 0;
    for (const [b, sequence] of sequences.entries()) {
      const { queryStart, queries, keyStart, keys } = batch.segments[b]!;
      const queryPart = (all: Float32Array) =>
        all.slice(queryStart * C, (queryStart + queries) * C);
      const keyPart = (all: Float32Array) => all.slice(keyStart * C, (keyStart + keys) * C);
      const given = {
        q: queryPart(inputs.q),
        k: keyPart(inputs.k),
        v: keyPart(inputs.v),
        c: Float32Array.from(everyPass(inputs.c, batch.queryRows * C, queryStart * C, queries * C)),
      };
      const alone = await run(pack([sequence]), given);
      const queryRows = (all: Numbers) =>
        everyPass(all, batch.queryRows * C, queryStart * C, queries * C);
      const keyRows = (all: Numbers) => everyPass(all, batch.keyRows * C, keyStart * C, keys * C);
      expectSameBits(alone.out, queryRows(whole.out), `out of ${b}`);
      expectSameBits(alone.bare, alone.out, `out of ${b} without kept probabilities`);
      expectSameBits(alone.query!, queryRows(whole.query!), `query of ${b}`);
      expectSameBits(alone.key!, keyRows(whole.key!), `key of ${b}`);
      expectSameBits(alone.value, keyRows(whole.value), `value of ${b}`);
      const end = probability + heads * queries * keys;
      const kept = whole.probabilities.subarray(probability, end);
      expectSameBits(alone.probabilities, kept, `probabilities of ${b}`);
      probability = end;
    }
  });

  test("attention of one query row and of all", async () => {
    const backend = await make();
    const [T, heads, D] = [13, 2, 12];
    const C = heads * D;
    const run = (first: number, queries: number) => {
      const packing = pack([{ queries, keys: T, hide: "some" }]);
      const all = attentionInputs(pack([{ queries: T, keys: T }]), C, 1);
      const part = (values: Float32Array) => values.slice(first * C, (first + queries) * C);
      const given = { ...all, q: part(all.q), c: part(all.c) };
      return withScratch(backend, (scratch) =>
        runAttention(scratch, packing, given, shares.slice(0, 1), { heads, D }),
      );
    };
    const whole = await run(0, T);
    for (const [first, queries] of [
      [0, 1],
      [6, 1],
      [12, 1],
      [3, 7],
    ] as const) {
      const got = await run(first, queries);
      const rows = (all: Numbers) => all.subarray(first * C, (first + queries) * C);
      expectSameBits(got.out, rows(whole.out), `out of rows from ${first}`);
      expectSameBits(got.query!, rows(whole.query!), `query of rows from ${first}`);
    }
  });

  test.each([1, 2, 3, 4, 5, 16])("attention with %i hidden keys appended", async (extra) => {
    const backend = await make();
    const [heads, D] = [2, 12];
    const C = heads * D;
    for (const T of [1, 2, 3, 4, 5, 7, 8, 9, 17]) {
      const plain = pack([{ queries: T, keys: T }]);
      const longer: Packing = {
        segments: [{ queryStart: 0, queries: T, keyStart: 0, keys: T + extra }],
        hidden: Uint8Array.from({ length: T + extra }, (_, j) => Number(j >= T)),
        queryRows: T,
        keyRows: T + extra,
      };
      const inputs = attentionInputs(longer, C, 3);
      const visible = { ...inputs, k: inputs.k.slice(0, T * C), v: inputs.v.slice(0, T * C) };
      const want = await attend(backend, plain, visible);
      const got = await attend(backend, longer, inputs);
      const where = `T ${T} and ${extra} hidden`;
      expectSameBits(got.out, want.out, `out, ${where}`);
      expectSameBits(got.query!, want.query!, `query, ${where}`);
      for (const part of ["key", "value"] as const) {
        const rows = everyPass(got[part]!, (T + extra) * C, 0, T * C);
        expectSameBits(rows, want[part]!, `${part}, ${where}`);
        const rest = everyPass(got[part]!, (T + extra) * C, T * C, extra * C);
        expect(
          rest.every((number) => number === 0),
          `${part} of the hidden, ${where}`,
        ).toBe(true);
      }
    }

    async function attend(
      on: Backend,
      packing: Packing,
      given: ReturnType<typeof attentionInputs>,
    ) {
      return withScratch(on, (scratch) =>
        runAttention(scratch, packing, given, shares, { heads, D }),
      );
    }
  });
}

/** Elements `start` to `start + count` of each stretch of `size`, one stretch per pass. */
function everyPass(all: Numbers, size: number, start: number, count: number): Float64Array {
  const parts: number[] = [];
  for (let at = start; at < all.length; at += size) parts.push(...all.subarray(at, at + count));
  return Float64Array.from(parts);
}
