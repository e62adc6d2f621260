// Attention and its pullback of one backend against the oracle, over packed batches of every kind.
import { describe, expect, test } from "vitest";
import {
  type AttentionShape,
  type AttentionShares,
  passesThroughSoftmax,
  type Segment,
} from "../../src/backend/backend.ts";
import {
  normals,
  withScratch,
  type BackendUnderTest,
  type Judge,
  type Numbers,
  type Scratch,
} from "./compare.ts";

type Hidden = "none" | "some" | "all";

export interface Packing {
  readonly segments: readonly Segment[];
  readonly hidden: Uint8Array;
  readonly queryRows: number;
  readonly keyRows: number;
}

/** Sequences laid end to end; `gap` key rows after each belong to none. */
export function pack(
  sequences: readonly { readonly queries: number; readonly keys: number; readonly hide?: Hidden }[],
  gap = 0,
): Packing {
  const segments: Segment[] = [];
  const hidden: number[] = [];
  let queryRows = 0;
  for (const { queries, keys, hide = "none" } of sequences) {
    segments.push({ queryStart: queryRows, queries, keyStart: hidden.length, keys });
    queryRows += queries;
    for (let j = 0; j < keys; j++) {
      hidden.push(Number(hide === "all" || (hide === "some" && (j % 3 === 1 || j === keys - 1))));
    }
    for (let j = 0; j < gap; j++) hidden.push(0);
  }
  return { segments, hidden: Uint8Array.from(hidden), queryRows, keyRows: hidden.length };
}

const square = (T: number, hide: Hidden = "none") => ({ queries: T, keys: T, hide });
const one = (keys: number, hide: Hidden = "none") => ({ queries: 1, keys, hide });

const short = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const packings: Readonly<Record<string, readonly Packing[]>> = {
  "one short sequence": short.map((T) => pack([square(T)])),
  "one short sequence, some keys hidden": short.slice(1).map((T) => pack([square(T, "some")])),
  "one short sequence, all keys hidden": short.map((T) => pack([square(T, "all")])),
  "one long sequence": [17, 64, 129].flatMap((T) => [pack([square(T)]), pack([square(T, "some")])]),
  "sequences of different length": [
    pack([square(5), square(1), square(17, "some"), square(9, "all"), square(4), square(1, "all")]),
  ],
  "one query row per sequence": [
    pack([one(17), one(4, "some"), one(1), one(65, "some"), one(9, "all"), one(129)]),
  ],
  "some query rows per sequence": [
    pack([
      { queries: 3, keys: 10 },
      { queries: 7, keys: 2 },
      { queries: 2, keys: 33, hide: "some" },
    ]),
  ],
  "key rows of no sequence": [pack([square(3), one(5, "some"), square(6, "all")], 2)],
};

const gradient: AttentionShares = { weights: 1, values: 1, query: 1, key: 1 };
const attnlrp: AttentionShares = { weights: 0.5, values: 0.5, query: 0.5, key: 0.5 };
const cplrp: AttentionShares = { weights: 0, values: 1, query: 0, key: 0 };
const uneven: AttentionShares = { weights: 0.3, values: 0.7, query: 0.2, key: 0.9 };
const passes: readonly (readonly AttentionShares[])[] = [
  [attnlrp],
  [gradient, cplrp],
  [gradient, attnlrp, cplrp, uneven, attnlrp],
  [cplrp, cplrp],
];

export interface AttentionInputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  /** (P*Q, C) for as many passes as it has rows. */
  readonly c: Float32Array;
}

export type AttentionRun = {
  readonly out: Numbers;
  /** The same without kept probabilities. */
  readonly bare: Numbers;
  /** Of all segments, without what may lie between them. */
  readonly probabilities: Numbers;
  readonly query?: Numbers;
  readonly key?: Numbers;
  readonly value: Numbers;
};

/** Attention forward, with and without kept probabilities, and back. */
export async function runAttention(
  { backend, floats, empty }: Scratch,
  { segments, hidden, queryRows: Q, keyRows: K }: Packing,
  inputs: AttentionInputs,
  shares: readonly AttentionShares[],
  { heads, D, scale = 1 / Math.sqrt(D) }: { heads: number; D: number; scale?: number },
): Promise<AttentionRun> {
  const C = heads * D;
  const P = shares.length;
  const [q, k, v] = [floats(inputs.q, Q, C), floats(inputs.k, K, C), floats(inputs.v, K, C)];
  const c = floats(inputs.c, P * Q, C);
  const layout = backend.attentionLayout(segments, hidden, heads);
  try {
    const shape: AttentionShape = { layout, heads, scale };
    const probabilities = empty(1, layout.probabilityCount);
    const [out, bare] = [empty(Q, C), empty(Q, C)];
    backend.attention(out, probabilities, q, k, v, shape);
    backend.attention(bare, undefined, q, k, v, shape);
    const through = passesThroughSoftmax(shares);
    const value = empty(P * K, C);
    const softmax = through > 0 ? { query: empty(through * Q, C), key: empty(through * K, C) } : {};
    backend.attentionPullback({ ...softmax, value }, c, q, k, v, probabilities, shares, shape);
    const kept = await backend.read(probabilities);
    return {
      out: await backend.read(out),
      bare: await backend.read(bare),
      probabilities: Float64Array.from(
        segments.flatMap(({ queries, keys }, b) => {
          const start = layout.probabilityStarts[b]!;
          return [...kept.subarray(start, start + heads * queries * keys)];
        }),
      ),
      value: await backend.read(value),
      ...(softmax.query && { query: await backend.read(softmax.query) }),
      ...(softmax.key && { key: await backend.read(softmax.key) }),
    };
  } finally {
    backend.freeLayout(layout);
  }
}

export function attentionInputs(
  { queryRows: Q, keyRows: K }: Packing,
  C: number,
  P: number,
  spread = 1,
): AttentionInputs {
  return {
    q: normals(1)(Q * C, spread),
    k: normals(2)(K * C, spread),
    v: normals(3)(K * C),
    c: normals(4)(P * Q * C),
  };
}

const headSizes = [
  [1, 12],
  [2, 12],
  [4, 12],
  [1, 32],
  [2, 32],
  [4, 32],
  [1, 64],
  [2, 64],
  [4, 64],
  [1, 1],
  [3, 5],
] as const;

export function attentionTests({ compare }: Judge): void {
  describe.each(headSizes)("attention with %i heads of %i", (heads, D) => {
    test.each(Object.keys(packings))("%s", async (name) => {
      for (const packing of packings[name]!) {
        const T = packing.keyRows;
        // Heads do not meet, so for the longest two of them say what four would.
        if (T > 100 && packing.segments.length === 1 && heads > 2) continue;
        const sizes = packing.segments.map(({ queries, keys }) => `${queries}x${keys}`).join(" ");
        for (const shares of passes) {
          if (T >= 64 && shares.length > 2) continue;
          await compare(
            "attention",
            `H ${heads}, D ${D}, P ${shares.length}, ${name}: ${sizes}`,
            (scratch) => {
              const inputs = attentionInputs(packing, heads * D, shares.length);
              return runAttention(scratch, packing, inputs, shares, { heads, D });
            },
            5e-6,
          );
        }
      }
    });
  });

  test.each([3, 10, 40, 1000])("attention with scores spread by %i", async (spread) => {
    const packing = pack([square(9), square(17, "some"), one(33)]);
    await compare(
      "attention, large scores",
      `spread ${spread}`,
      async (scratch) => {
        const inputs = attentionInputs(packing, 24, 2, Math.sqrt(spread));
        return runAttention(scratch, packing, inputs, passes[1]!, { heads: 2, D: 12 });
      },
      // A float32 score of size s is off by 6e-8 s, and its exp by the same factor.
      2e-6 * spread,
    );
  });
}

export function hiddenKeyTests(make: BackendUnderTest["make"]): void {
  test("hidden keys get exactly 0, and a query that sees none sends nothing through its softmax", async () => {
    const packing = pack([square(5, "some"), square(9, "all"), square(17, "some")], 1);
    const [heads, D] = [2, 12];
    const C = heads * D;
    const backend = await make();
    await withScratch(backend, async (scratch) => {
      const inputs = attentionInputs(packing, C, 2);
      const run = await runAttention(scratch, packing, inputs, passes[1]!, { heads, D });
      let start = 0;
      for (const { queries, keys, keyStart, queryStart } of packing.segments) {
        const hidden = packing.hidden.subarray(keyStart, keyStart + keys);
        const blind = hidden.every((flag) => flag === 1);
        for (let row = 0; row < heads * queries; row++) {
          const weights = run.probabilities.subarray(start, (start += keys));
          if (blind) for (const weight of weights) expect(weight).toBeCloseTo(1 / keys, 6);
          else for (const [j, flag] of hidden.entries()) if (flag) expect(weights[j]).toBe(0);
        }
        for (let pass = 0; pass < 2; pass++) {
          for (let j = 0; j < keys; j++) {
            if (hidden[j] !== 1) continue;
            const at = (pass * packing.keyRows + keyStart + j) * C;
            expect(run.key!.subarray(at, at + C).every((number) => number === 0)).toBe(true);
            const value = run.value.subarray(at, at + C);
            expect(value.every((number) => number === 0)).toBe(!blind);
          }
          if (!blind) continue;
          const at = (pass * packing.queryRows + queryStart) * C;
          const query = run.query!.subarray(at, at + queries * C);
          expect(query.every((number) => number === 0)).toBe(true);
        }
      }
    });
  });
}
