// Comparison of score vectors: values known from elsewhere, edge cases, laws, and the verdict.

import fc from "fast-check";
import { sampleRankCorrelation } from "simple-statistics";
import { describe, expect, it } from "vitest";

import { chanceLevel } from "../src/comparison/chance.ts";
import { agreementOfRemovals, compareScores } from "../src/comparison/compare.ts";
import { kendall, pearson, spearman, spearmanInterval } from "../src/comparison/correlation.ts";
import { DEFAULT_THRESHOLDS, levelOf, type MethodRow } from "../src/comparison/levels.ts";
import { defaultTop, signAgreement, topOverlap } from "../src/comparison/overlap.ts";
import { averageRanks } from "../src/comparison/ranks.ts";
import { judge } from "../src/comparison/verdict.ts";

const correlations = { pearson, spearman, kendall };
const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);

// Signed scores with ties and zeros among them, and scores of any magnitude a double holds.
const coarse = fc.integer({ min: -4, max: 4 });
const wild = fc.double({ noNaN: true, noDefaultInfinity: true });
const pairOf = (score: fc.Arbitrary<number>, minLength = 0) =>
  fc
    .array(fc.tuple(score, score), { minLength, maxLength: 24 })
    .map((pairs) => [pairs.map(([left]) => left), pairs.map(([, right]) => right)] as const);
const anyPair = fc.oneof(pairOf(coarse), pairOf(wild));

// How many orders of n ranks have each sum of squared rank differences: ranks are given out one by
// one, and orders that have given out the same ranks with the same sum are counted together.
function ordersByDistance(n: number): Float64Array {
  const empty = () => new Float64Array((n ** 3 - n) / 3 + 1);
  const counts = Array.from({ length: 2 ** n }, empty);
  counts[0]![0] = 1;
  for (let given = 0; given < 2 ** n - 1; given += 1) {
    const place = upTo(n).filter((rank) => (given >> (rank - 1)) & 1).length + 1;
    for (const rank of upTo(n)) {
      if ((given >> (rank - 1)) & 1) continue;
      const next = counts[given | (1 << (rank - 1))]!;
      const step = (rank - place) ** 2;
      for (const [sum, count] of counts[given]!.entries()) {
        if (count > 0) next[sum + step]! += count;
      }
    }
  }
  return counts.at(-1)!;
}

describe("ranks", () => {
  it.each([
    [[], []],
    [[7], [1]],
    [
      [3, 1, 2],
      [3, 1, 2],
    ],
    [
      [12, 2, 1, 12, 2],
      [4.5, 2.5, 1, 4.5, 2.5],
    ],
    [
      [0.9, -0.2, 0.4, 0.4, 0, 0.1, -0.7, 0.4],
      [8, 2, 6, 6, 3, 4, 1, 6],
    ],
    [
      [5, 5, 5],
      [2, 2, 2],
    ],
    [
      [0, -0, 1],
      [1.5, 1.5, 3],
    ],
  ])("averageRanks(%j) is %j", (scores, ranks) => {
    expect(averageRanks(scores)).toEqual(ranks);
  });

  it("leaves its input alone and sums to n (n + 1) / 2", () => {
    fc.assert(
      fc.property(fc.array(coarse), (scores) => {
        const ranks = averageRanks(Object.freeze([...scores]));
        const sum = ranks.reduce((total, rank) => total + rank, 0);
        expect(sum).toBe((scores.length * (scores.length + 1)) / 2);
      }),
    );
  });
});

describe("correlation values", () => {
  // Computed with numpy; the first Kendall is the example of scipy.stats.kendalltau.
  it.each([
    {
      left: [12, 2, 1, 12, 2],
      right: [1, 4, 7, 1, 0],
      p: -0.5566399985665698,
      s: -0.5407380704358752,
      k: -0.47140452079103173,
    },
    {
      left: [0.9, -0.2, 0.4, 0.4, 0, 0.1, -0.7, 0.4],
      right: [1.2, 0.1, 0.3, 0.5, 0.1, -0.1, -0.4, 0.3],
      p: 0.9093177260224982,
      s: 0.9013032569427506,
      k: 0.7844645405527362,
    },
    { left: [1, 2, 3, 4, 5], right: [2, 1, 4, 3, 5], p: 0.8, s: 0.8, k: 0.6 },
    // By hand: ranks (1.5, 1.5, 3) against (1, 2, 3), deviations dot 1.5, squares 1.5 and 2.
    {
      left: [1, 1, 2],
      right: [1, 2, 3],
      p: Math.sqrt(3) / 2,
      s: Math.sqrt(3) / 2,
      k: 2 / Math.sqrt(6),
    },
    { left: [1, 2], right: [5, -5], p: -1, s: -1, k: -1 },
    { left: [1, 0, -1], right: [1, -2, 1], p: 0, s: 0, k: 0 },
  ])("$left against $right", ({ left, right, p, s, k }) => {
    expect(pearson(left, right)).toBeCloseTo(p, 14);
    expect(spearman(left, right)).toBeCloseTo(s, 14);
    expect(kendall(left, right)).toBeCloseTo(k, 14);
  });

  it.each(Object.entries(correlations))(
    "%s is exactly 1 or -1, and 0 is not -0",
    (_, correlate) => {
      for (const n of [2, 3, 5, 7, 10, 16, 100]) {
        expect(correlate(upTo(n), upTo(n))).toBe(1);
        expect(correlate(upTo(n), upTo(n).toReversed())).toBe(-1);
      }
      expect(correlate([1, 0, -1], [1, -2, 1])).toBe(0);
      expect(correlate([-1, 0, 1], [1, -2, 1])).toBe(0);
    },
  );

  it.each(Object.entries(correlations))("%s is not defined without spread", (_, correlate) => {
    expect(correlate([], [])).toBeUndefined();
    expect(correlate([1], [2])).toBeUndefined();
    expect(correlate([0.1, 0.1, 0.1], [1, 2, 3])).toBeUndefined();
    expect(correlate([1, 2, 3], [-4, -4, -4])).toBeUndefined();
    expect(correlate([0, -0], [1, 2])).toBeUndefined();
  });

  it.each(Object.entries(correlations))("%s refuses what it cannot compare", (_, correlate) => {
    expect(() => correlate([1, 2, 3, Number.NaN], [1, 2, 3, 4])).toThrow(
      "comparison: non-finite score at unit 3",
    );
    expect(() => correlate([1, 2], [1, Number.POSITIVE_INFINITY])).toThrow("at unit 1");
    expect(() => correlate([1, 2, 3], [1, 2])).toThrow(
      "comparison: score vectors differ in length: 3 and 2",
    );
  });

  it("survives the ends of the double range", () => {
    const largest = Number.MAX_VALUE;
    expect(pearson([largest, -largest, largest], [1, -1, 1])).toBe(1);
    expect(pearson([5e-324, 0, 1e-323], [2, 1, 3])).toBeCloseTo(1, 14);
    expect(spearman([largest, -largest, 0], [3, 1, 2])).toBe(1);
    expect(kendall([5e-324, 0, 1e-323], [2, 1, 3])).toBe(1);
    const tiny = 1.6e-162; // its square is the smallest double: the quotient would be -0
    const ones = [1, -1, 1, -1, 1, -1];
    const zeros = ones.map(() => 0);
    expect(pearson([...ones, tiny, -tiny, ...zeros], [...zeros, -tiny, tiny, ...ones])).toBe(0);
  });
});

describe("correlation laws", () => {
  it.each(Object.entries(correlations))("%s is bounded, symmetric, never NaN", (_, correlate) => {
    fc.assert(
      fc.property(anyPair, ([left, right]) => {
        const value = correlate(left, right);
        const spread = new Set(left).size > 1 && new Set(right).size > 1;
        // A Set tells 0 from -0 no more than the correlations do.
        expect(value !== undefined).toBe(spread);
        expect(correlate(right, left)).toBe(value);
        if (value === undefined) return;
        expect(Math.abs(value)).toBeLessThanOrEqual(1);
        expect(correlate(left, left)).toBe(1);
        expect(
          correlate(
            left,
            left.map((score) => -score),
          ),
        ).toBe(-1);
      }),
    );
  });

  it("pearson does not see an affine change", () => {
    const slope = fc.double({ min: 0.01, max: 100, noNaN: true });
    const shift = fc.double({ min: -100, max: 100, noNaN: true });
    fc.assert(
      fc.property(pairOf(coarse, 2), slope, shift, ([left, right], a, b) => {
        const value = pearson(left, right);
        fc.pre(value !== undefined);
        expect(
          pearson(
            left.map((score) => a * score + b),
            right,
          ),
        ).toBeCloseTo(value!, 9);
        expect(
          pearson(
            left.map((score) => -a * score + b),
            right,
          ),
        ).toBeCloseTo(-value!, 9);
      }),
    );
  });

  it("spearman and kendall do not see a monotone change", () => {
    fc.assert(
      fc.property(pairOf(coarse), ([left, right]) => {
        for (const rise of [Math.exp, (x: number) => x ** 3, (x: number) => 2 * x - 7]) {
          expect(spearman(left.map(rise), right)).toBe(spearman(left, right));
          expect(kendall(left.map(rise), right)).toBe(kendall(left, right));
        }
      }),
    );
  });

  it("no measure sees the order of the units", () => {
    const shuffled = pairOf(coarse, 2).chain(([left, right]) =>
      fc.tuple(
        fc.constant([left, right] as const),
        fc.shuffledSubarray([...left.keys()], { minLength: left.length }),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([[left, right], order]) => {
        const before = compareScores(left, right);
        const after = compareScores(
          order.map((unit) => left[unit]!),
          order.map((unit) => right[unit]!),
        );
        expect(Object.keys(after)).toEqual(Object.keys(before));
        expect(after.pearson ?? 0).toBeCloseTo(before.pearson ?? 0, 12);
        expect({ ...after, pearson: 0 }).toEqual({ ...before, pearson: 0 });
      }),
    );
  });

  it("spearman agrees with simple-statistics where that is defined", () => {
    fc.assert(
      fc.property(pairOf(coarse, 2), ([left, right]) => {
        const value = spearman(left, right);
        fc.pre(value !== undefined);
        expect(value).toBeCloseTo(sampleRankCorrelation(left, right), 12);
      }),
    );
  });
});

describe("interval of spearman", () => {
  it.each([
    [0.8, 16, 0.441480154941486, 0.938242025222084],
    [0.5, 10, -0.23211851750421186, 0.8704756951912238],
    [-0.3, 25, -0.6271374413081882, 0.11710488660018313],
  ])("of %d over %d units is [%d, %d]", (r, n, low, high) => {
    const interval = spearmanInterval(r, n)!;
    expect(interval[0]).toBeCloseTo(low, 12);
    expect(interval[1]).toBeCloseTo(high, 12);
  });

  it("is no point at 1 and -1", () => {
    expect(spearmanInterval(1, 4)).toEqual([expect.closeTo(-0.6915803986939829, 12), 1]);
    expect(spearmanInterval(1, 10)).toEqual([expect.closeTo(0.9634989418514084, 12), 1]);
    expect(spearmanInterval(-1, 10)).toEqual([-1, expect.closeTo(-0.9634989418514084, 12)]);
  });

  it("needs four units and a correlation", () => {
    expect(spearmanInterval(0.5, 3)).toBeUndefined();
    expect(() => spearmanInterval(1.1, 9)).toThrow("comparison: spearman outside [-1, 1]: 1.1");
    expect(() => spearmanInterval(Number.NaN, 9)).toThrow("outside");
  });

  it("holds the correlation, stays in bounds, rises with it and narrows with the units", () => {
    const correlation = fc.double({ min: -1, max: 1, noNaN: true });
    const units = fc.integer({ min: 4, max: 512 });
    fc.assert(
      fc.property(correlation, correlation, units, (one, other, n) => {
        const [r, larger] = one < other ? [one, other] : [other, one];
        const [low, high] = spearmanInterval(r, n)!;
        expect(-1 <= low && low <= r && r <= high && high <= 1).toBe(true);
        const above = spearmanInterval(larger, n)!;
        expect(above[1]).toBeGreaterThanOrEqual(high);
        const more = spearmanInterval(r, n + 1)!;
        expect(more[1] - more[0]).toBeLessThan(high - low + 1e-12);
      }),
    );
  });
});

describe("top-k overlap", () => {
  it("has a k that fits the units", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7, 100].map(defaultTop)).toEqual([1, 1, 1, 1, 2, 2, 3, 3, 3]);
  });

  it.each([
    { left: [5, 4, 3, 0, -9, 1], right: [5, 4, 0, 3, -9, 1], k: 3, overlap: 2 / 3 },
    // The largest signed scores: -9 is the strongest and not at the top.
    { left: [-9, 3, 2, 1], right: [9, 3, 2, 1], k: 2, overlap: 1 / 2 },
    { left: [4, 3, 2, 1], right: [1, 2, 3, 4], k: 2, overlap: 0 },
    // Three units tied for one place: each is a third of a member.
    { left: [9, 1, 1, 1], right: [9, 3, 2, 1], k: 2, overlap: 2 / 3 },
    { left: [9, 1, 1, 1], right: [9, 1, 1, 1], k: 2, overlap: 1 },
    { left: [9, 1, 1, 0], right: [0, 9, 1, 1], k: 2, overlap: 1 / 2 },
    { left: [2, 2, 2, 2], right: [4, 3, 2, 1], k: 2, overlap: 1 / 2 },
    { left: [1, 2], right: [1, 2], k: 2, overlap: 1 },
  ])("of $left and $right at $k is $overlap", ({ left, right, k, overlap }) => {
    expect(topOverlap(left, right, k)).toEqual({ k, overlap: expect.closeTo(overlap, 14) });
  });

  it("is not defined for one unit, and k must fit", () => {
    expect(topOverlap([], [])).toBeUndefined();
    expect(topOverlap([1], [1])).toBeUndefined();
    for (const k of [0, 4, 1.5, Number.NaN]) {
      expect(() => topOverlap([1, 2, 3], [1, 2, 3], k)).toThrow(
        `comparison: top k outside 1 to 3: ${k}`,
      );
    }
    expect(() => topOverlap([1, Number.NaN], [1, 2])).toThrow("non-finite score at unit 1");
  });

  it("is bounded, symmetric, 1 with itself, chance against a constant", () => {
    fc.assert(
      fc.property(anyPair, ([left, right]) => {
        fc.pre(left.length > 1);
        const { k, overlap } = topOverlap(left, right)!;
        expect(overlap).toBeGreaterThanOrEqual(0);
        expect(overlap).toBeLessThanOrEqual(1);
        expect(topOverlap(right, left)).toEqual({ k, overlap });
        expect(topOverlap(left, left)).toEqual({ k, overlap: 1 });
        const untied = upTo(left.length);
        expect(
          topOverlap(
            untied,
            untied.map(() => 0),
          )!.overlap,
        ).toBeCloseTo(k / left.length, 14);
      }),
    );
  });
});

describe("sign agreement", () => {
  it.each([
    [[1, -1, 0], [2, -3, 0], 1],
    [[1, -1, 0, 0], [-2, -3, 1, -1], 1 / 4],
    [[0], [-0], 1],
    [[3], [0], 0],
  ])("of %j and %j is %d", (left, right, share) => {
    expect(signAgreement(left, right)).toBe(share);
  });

  it("is not defined for no units and refuses bad ones", () => {
    expect(signAgreement([], [])).toBeUndefined();
    expect(() => signAgreement([1], [Number.NaN])).toThrow("at unit 0");
  });
});

describe("comparison row", () => {
  it("holds every measure", () => {
    expect(compareScores([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])).toEqual({
      pearson: 0.8,
      spearman: 0.8,
      kendall: 0.6,
      top_k: { k: 2, overlap: 0.5 },
      sign_agreement: 1,
      interval: [expect.closeTo(-0.4571243888052965, 12), expect.closeTo(0.9908429478778042, 12)],
    });
  });

  it("leaves out what is not defined and says why", () => {
    expect(compareScores([], [])).toEqual({ note: "fewer than two units" });
    expect(compareScores([1], [2])).toEqual({ sign_agreement: 1, note: "fewer than two units" });
    const row = { top_k: { k: 1, overlap: expect.closeTo(1 / 3, 14) }, sign_agreement: 0 };
    expect(compareScores([1, 2, 3], [0, 0, 0])).toEqual({ ...row, note: "constant scores" });
    expect(compareScores([0, 0, 0], [1, 2, 3])).toEqual({
      ...row,
      note: "constant reference scores",
    });
    expect(Object.keys(compareScores([1, 2, 3], [1, 2, 3]))).not.toContain("interval");
  });

  it("goes through JSON unchanged, with no null, for any scores", () => {
    fc.assert(
      fc.property(anyPair, ([reference, scores]) => {
        const row = compareScores(reference, scores);
        const text = JSON.stringify(row);
        expect(text).not.toMatch(/null|NaN/);
        expect(JSON.parse(text)).toStrictEqual(row);
        expect("note" in row).toBe(!("spearman" in row));
      }),
    );
  });

  it("refuses bad scores", () => {
    expect(() => compareScores([1, 2, 3, 4], [1, 2, 3, Number.NaN])).toThrow(
      "comparison: non-finite score at unit 3",
    );
    expect(() => compareScores([1], [1, 2])).toThrow("differ in length: 1 and 2");
  });
});

describe("agreement of removals", () => {
  const attention = { removal: "attention", scores: [1, 2, 3, 4, 5] };
  const mask = { removal: "mask", scores: [2, 1, 4, 3, 5] };
  const zero = { removal: "zero", scores: [5, 4, 3, 2, 1] };
  const flat = { removal: "delete", scores: [0, 0, 0, 0, 0] };

  it("is the mean over the pairs", () => {
    const ceiling = agreementOfRemovals([attention, mask, zero])!;
    expect(ceiling.removals).toEqual(["attention", "mask", "zero"]);
    expect(ceiling.spearman).toBeCloseTo((0.8 - 1 - 0.8) / 3, 14);
    expect(ceiling.pairs).toEqual([
      { removals: ["attention", "mask"], spearman: 0.8 },
      { removals: ["attention", "zero"], spearman: -1 },
      { removals: ["mask", "zero"], spearman: -0.8 },
    ]);
  });

  it("leaves out pairs that are not defined, and itself where none is", () => {
    const ceiling = agreementOfRemovals([attention, flat, mask])!;
    expect(ceiling.spearman).toBe(0.8);
    expect(ceiling.removals).toEqual(["attention", "mask"]);
    expect(ceiling.pairs[0]).toStrictEqual({
      removals: ["attention", "delete"],
      note: "constant delete scores",
    });
    expect(JSON.parse(JSON.stringify(ceiling))).toStrictEqual(ceiling);
    expect(agreementOfRemovals([attention, flat])).toBeUndefined();
    expect(agreementOfRemovals([attention])).toBeUndefined();
    expect(agreementOfRemovals([])).toBeUndefined();
  });

  it("names the removal with a bad score", () => {
    const broken = { removal: "mask", scores: [1, Number.NaN, 3, 4, 5] };
    expect(() => agreementOfRemovals([attention, broken])).toThrow(
      "comparison: non-finite score of mask at unit 1",
    );
  });
});

describe("chance level", () => {
  it.each([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])(
    "is the 95th percentile of all orders of %d",
    (n) => {
      const counts = ordersByDistance(n);
      const orders = upTo(n).reduce((product, factor) => product * factor, 1);
      expect(counts.reduce((total, count) => total + count, 0)).toBe(orders);
      // Small sums are large correlations: at most 5 % of the orders may lie above the percentile.
      let above = 0;
      let squares = 0;
      while (above + counts[squares]! <= 0.05 * orders) {
        above += counts[squares]!;
        squares += 1;
      }
      expect(chanceLevel(n)).toBeCloseTo(1 - (6 * squares) / (n ** 3 - n), 14);
    },
  );

  it("matches what was measured and falls with the units", () => {
    for (const [n, measured] of [
      [6, 0.77],
      [10, 0.55],
      [25, 0.33],
    ] as const) {
      expect(Math.abs(chanceLevel(n)! - measured)).toBeLessThan(0.01);
    }
    for (let n = 3; n < 512; n += 1) {
      expect(chanceLevel(n)!).toBeLessThanOrEqual(chanceLevel(n - 1)!);
    }
    expect(chanceLevel(1)).toBeUndefined();
    expect(chanceLevel(0)).toBeUndefined();
  });

  it("is within 0.004 of the exact value above the table", () => {
    // Sums of squared rank differences at the 95th percentile, from counting all orders.
    for (const [n, squares] of [
      [13, 190],
      [14, 246],
    ] as const) {
      const exact = 1 - (6 * squares) / (n ** 3 - n);
      expect(Math.abs(chanceLevel(n)! - exact)).toBeLessThan(0.004);
    }
  });
});

describe("verdict", () => {
  const at = (method: string, value: number, units = 16): MethodRow => ({
    method,
    spearman: value,
    ...(units < 4 ? {} : { interval: spearmanInterval(value, units)! }),
  });

  it("agrees with the best method and says what chance reaches", () => {
    const rows = [at("attnlrp", 0.8), at("cp-lrp", 0.93), at("gradient-x-input", 0.31)];
    expect(judge({ rows, units: 16 })).toEqual({
      level: "agrees",
      best: "cp-lrp",
      levels: [
        { method: "attnlrp", level: "agrees" },
        { method: "cp-lrp", level: "agrees" },
        { method: "gradient-x-input", level: "diverges" },
      ],
      reasons: [
        "spearman 0.93 over 16 units",
        "chance alone reaches 0.42 (95 %) at 16 units",
        "gradient-x-input diverges",
      ],
    });
  });

  it.each([
    [0.75, 25, "agrees"],
    [0.7499, 25, "mixed"],
    [0.5, 25, "mixed"],
    [0.4999, 25, "diverges"],
    [-1, 25, "diverges"],
    [0.9, 10, "mixed"], // its interval starts at 0.53, chance reaches 0.55
    [0.95, 10, "agrees"],
    [1, 9, "undecided"],
    [1, 0, "undecided"],
  ])("of spearman %d over %d units: %s", (value, units, level) => {
    const verdict = judge({ rows: [at("attnlrp", value, units)], units });
    expect(verdict.level).toBe(level);
    expect(verdict.levels).toEqual([{ method: "attnlrp", level }]);
    expect(levelOf(at("attnlrp", value, units), units, DEFAULT_THRESHOLDS)).toBe(level);
  });

  it("gives the reason for every level", () => {
    const reasons = (value: number, units: number) =>
      judge({ rows: [at("attnlrp", value, units)], units }).reasons;
    expect(reasons(0.62, 16).slice(0, 2)).toEqual([
      "spearman 0.62 over 16 units",
      "agreement starts at 0.75",
    ]);
    expect(reasons(0.31, 16)).toEqual([
      "spearman 0.31 over 16 units",
      "divergence is anything below 0.5",
      "chance alone reaches 0.42 (95 %) at 16 units",
    ]);
    expect(reasons(0.9, 10)[1]).toBe("its interval is not clear of chance");
    expect(reasons(0.9, 6)).toEqual([
      "spearman 0.90 over 6 units",
      "6 units scored, a verdict needs 10",
      "chance alone reaches 0.77 (95 %) at 6 units",
    ]);
  });

  it("never shows a value on the wrong side of a threshold, nor -0.00", () => {
    const first = (value: number) => judge({ rows: [at("a", value, 25)], units: 25 }).reasons[0];
    expect(first(0.7499)).toBe("spearman 0.7499 over 25 units");
    expect(first(0.4996)).toBe("spearman 0.4996 over 25 units");
    expect(first(0.749)).toBe("spearman 0.749 over 25 units");
    expect(first(-0.001)).toBe("spearman 0.00 over 25 units");
  });

  it("takes the first of equals as best", () => {
    const rows = [at("attnlrp", 0.6), at("cp-lrp", 0.7), at("rollout", 0.7)];
    expect(judge({ rows, units: 16 }).best).toBe("cp-lrp");
  });

  it("is undecided where nothing can be compared", () => {
    expect(judge({ rows: [], units: 16 })).toEqual({
      level: "undecided",
      levels: [],
      reasons: [
        "no relevance method to compare with leave-one-out",
        "chance alone reaches 0.42 (95 %) at 16 units",
      ],
    });
    const row = { method: "attnlrp", ...compareScores(Array(16).fill(0), upTo(16)) };
    const verdict = judge({ rows: [row], units: 16 });
    expect(verdict.level).toBe("undecided");
    expect(verdict).not.toHaveProperty("best");
    expect(verdict.reasons[0]).toBe(
      "no method can be compared with leave-one-out: constant reference scores",
    );
    expect(judge({ rows: [], units: 1 }).reasons[1]).toBe("1 unit scored, a verdict needs 10");
  });

  it("passes over a method that is not defined", () => {
    const flat = { method: "rollout", ...compareScores(upTo(16), Array(16).fill(1)) };
    const verdict = judge({ rows: [flat, at("cp-lrp", 0.9)], units: 16 });
    expect([verdict.level, verdict.best]).toEqual(["agrees", "cp-lrp"]);
    expect(verdict.levels[0]).toEqual({ method: "rollout", level: "undecided" });
  });

  it("prints the ceiling and saturation without changing the level", () => {
    const rows = [at("cp-lrp", 0.93)];
    const ceiling = { removals: ["attention", "mask"], spearman: 0.71 };
    const verdict = judge({ rows, units: 16, ceiling, saturated: true });
    expect(verdict.level).toBe("agrees");
    expect(verdict.reasons.slice(2)).toEqual([
      "two removals agree only to 0.71: " +
        "no method can be expected above that, unless made for one of them",
      "the prediction is saturated: removing one unit hardly moves it, so agreement says less here",
    ]);
    const close = { removals: ["attention", "mask", "zero"], spearman: 0.9 };
    expect(judge({ rows, units: 16, ceiling: close }).reasons[2]).toBe(
      "three removals agree to 0.90",
    );
  });

  it("takes thresholds from configuration and refuses senseless ones", () => {
    const rows = [at("cp-lrp", 0.9, 6)];
    const judged = (thresholds: Partial<typeof DEFAULT_THRESHOLDS>) =>
      judge({ rows, units: 6, thresholds }).level;
    expect(judged({ minimumUnits: 5 })).toBe("mixed");
    expect(judged({ minimumUnits: 5, diverges: 0.95, agrees: 0.99 })).toBe("diverges");
    expect(() => judged({ diverges: 0.8 })).toThrow(
      "verdict: thresholds must hold -1 <= diverges <= agrees <= 1: 0.8, 0.75",
    );
    expect(() => judged({ agrees: Number.NaN })).toThrow("thresholds must hold");
    expect(() => judged({ minimumUnits: 2.5 })).toThrow(
      "verdict: minimumUnits is not a count: 2.5",
    );
    expect(() => judge({ rows, units: -1 })).toThrow("verdict: units is not a count: -1");
  });

  it("goes through JSON unchanged, and the verdict is the best method's level", () => {
    fc.assert(
      fc.property(fc.array(pairOf(coarse, 12), { maxLength: 3 }), (pairs) => {
        const rows = pairs.map(([reference, scores], index) => ({
          method: `method ${index}`,
          ...compareScores(reference.slice(0, 12), scores.slice(0, 12)),
        }));
        const verdict = judge({ rows, units: 12 });
        expect(JSON.parse(JSON.stringify(verdict))).toStrictEqual(verdict);
        const best = verdict.levels.find(({ method }) => method === verdict.best);
        expect(verdict.level).toBe(best?.level ?? "undecided");
      }),
    );
  });
});
