// The parts of the command that need no process: how requests are spelled, how heatmaps are laid out and coloured, and
// when progress is shown.
import { Writable } from "node:stream";
import { Chalk } from "chalk";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columnsOf, rowsOf } from "../scripts/explain/columns.ts";
import { failureText, LoadError } from "../scripts/explain/failure.ts";
import { blocksOf, cutTo, padTo, widthOf, wrapped } from "../scripts/explain/grid.ts";
import { heatmap } from "../scripts/explain/heatmap.ts";
import { bar, signed } from "../scripts/explain/numbers.ts";
import { readArguments } from "../scripts/explain/options.ts";
import { contrast, fillOf, indexedFillOf, inkOn } from "../scripts/explain/palette.ts";
import { createProgress } from "../scripts/progress.ts";
import { singleRequest } from "../scripts/explain/requests.ts";
import { methodsOf, removalsOf, targetOf } from "../scripts/explain/spelling.ts";
import { comparisonTable } from "../scripts/explain/table.ts";
import type { Explanation, TokenAnswer } from "../src/contract/answer.ts";
import { RequestError } from "../src/explainer/request-error.ts";

const plain = new Chalk({ level: 0 });
const coloured = new Chalk({ level: 3 });

describe("spelling", () => {
  test("methods with their settings", () => {
    expect(
      methodsOf("loo, cp-lrp:from=4:epsilon=1e-6,cp-lrp-ali:set=1+3,integrated-gradients:steps=9"),
    ).toEqual([
      { method: "loo" },
      { method: "cp-lrp", layers: { from: 4 }, epsilon: 1e-6 },
      { method: "cp-lrp-ali", layers: { set: [1, 3] } },
      { method: "integrated-gradients", steps: 9 },
    ]);
    expect(methodsOf("cp-lrp:up-to=2,cp-lrp:up_to=2,cp-lrp:only=0")).toEqual([
      { method: "cp-lrp", layers: { up_to: 2 } },
      { method: "cp-lrp", layers: { up_to: 2 } },
      { method: "cp-lrp", layers: { only: 0 } },
    ]);
  });

  test("removals and targets", () => {
    expect(removalsOf("mask")).toBe("mask");
    expect(removalsOf("attention,replace=the,replace=103")).toEqual([
      "attention",
      { replace: "the" },
      { replace: 103 },
    ]);
    expect(targetOf("predicted")).toBe("predicted");
    expect(targetOf("positive")).toEqual({ label: "positive" });
    expect(targetOf("1")).toEqual({ index: 1 });
    expect(targetOf("positive,0")).toEqual({ contrast: ["positive", 0] });
  });

  test.each([
    [["x", "y"], "text: is 2 arguments; put it in quotes"],
    [["x", "--ids", "3"], "--ids: cannot stand beside text"],
    [["--ids", "2,-1"], '--ids: "-1" is not a whole number'],
    [["--ids", "2,3", "--type-ids", "0"], "--type-ids: has 1 entries, ids has 2"],
    [["--ids", "2", "--attention-mask", "2"], "--attention-mask: 0 is not valid: expected 0 or 1"],
    [["x", "--methods", "attnlrp:from=2"], '--methods: attnlrp takes epsilon, not "from"'],
    [["x", "--methods", "loo:k=2"], '--methods: loo takes no settings, not "k"'],
    [
      ["x", "--methods", "cp-lrp:from=1:only=2"],
      "--methods: cp-lrp:from=1:only=2 sets layers twice",
    ],
    [["x", "--methods", "attnlrp:epsilon=little"], '--methods: epsilon "little" is not a number'],
    [["x", "--methods", "loo,,rollout"], '--methods: "loo,,rollout" has an empty part'],
    [["x", "--removal", "replace="], /^--removal: "replace=" is no removal; there are attention/],
    [["x", "--target", "a,b,c"], /^--target: "a,b,c" names 3 labels/],
    [["x", "--backend", "cuda"], /'cuda' is invalid.*wasm-simd/],
    [["x", "--checkpoint", "a", "--model", "b"], /--checkpoint.*cannot be used with.*--model/],
    [["x", "--colour"], /unknown option '--colour'/],
  ])("%j is wrong usage", async (argv, message) => {
    const failure = async () => singleRequest(readArguments(argv)!);
    await expect(failure).rejects.toThrow(expect.objectContaining({ name: "UsageError" }));
    await expect(failure).rejects.toThrow(message);
  });

  test("a failure is one line, with its stack only where it is asked for", () => {
    const error = new Error("kernels: gone\n  for good", { cause: new Error("no such file") });
    expect(failureText(error, { json: false, debug: false, line: 7 })).toBe(
      "line 7: kernels: gone for good",
    );
    expect(failureText(error, { json: false, debug: true })).toMatch(
      /^kernels: gone for good\nError: kernels[^]*cli-parts\.test\.ts[^]*caused by Error: no such/,
    );
    const refused = new RequestError({ path: "ids.1", message: "is 900" });
    const asJson = (failure: unknown) =>
      JSON.parse(failureText(failure, { json: true, debug: false }));
    expect([refused, error, new LoadError("gone", error)].map(asJson)).toEqual([
      {
        title: "request refused",
        detail: "ids.1 is 900",
        errors: [{ path: "ids.1", message: "is 900" }],
      },
      { title: "explanation failed", detail: "kernels: gone for good", errors: [] },
      { title: "model cannot be loaded", detail: "gone", errors: [] },
    ]);
  });
});

describe("columns", () => {
  const at = (text: string, start: number, word: number): TokenAnswer => ({
    text,
    id: 1,
    start,
    end: start + text.length,
    word,
    special: false,
  });
  const special = (text: string): TokenAnswer => ({ text, id: 0, special: true });
  const answer = (tokens: TokenAnswer[], unit: "token" | "word" = "token") =>
    ({
      tokens,
      attributions: [
        { method: "loo", removal: "mask", unit, scores: tokens.map((_, index) => index) },
        { method: "attnlrp", scores: tokens.map((_, index) => -index) },
      ],
    }) as unknown as Explanation;
  const tokens = [
    special("[CLS]"),
    at("charm", 0, 0),
    at("ing", 5, 0),
    at("film", 9, 1),
    at("!", 13, 2),
  ];

  test("tokens as they stand in the text", () => {
    const columns = columnsOf(answer(tokens));
    expect(columns.map(({ text, joined }) => (joined ? "" : " ") + text).join("")).toBe(
      " [CLS] charming film!",
    );
    const [loo, attnlrp] = rowsOf(answer(tokens), columns);
    expect(loo).toEqual({ title: "loo, mask", scores: [0, 1, 2, 3, 4], largest: 4 });
    expect(attnlrp).toMatchObject({ title: "attnlrp", largest: 4 });
  });

  test("words where leave-one-out removed words: relevance is summed, leave-one-out is not", () => {
    const columns = columnsOf(answer(tokens, "word"));
    expect(columns.map(({ text }) => text)).toEqual(["[CLS]", "charming", "film", "!"]);
    const [loo, attnlrp] = rowsOf(answer(tokens, "word"), columns);
    expect(loo?.scores).toEqual([0, 1, 3, 4]);
    expect(attnlrp?.scores).toEqual([0, -3, -3, -4]);
  });

  test("special tokens do not set the scale", () => {
    const loud = answer([at("a", 0, 0), special("[SEP]")]);
    expect(rowsOf(loud, columnsOf(loud))[0]?.largest).toBe(0);
  });

  test("pieces of one character, spaces that tokens carry, ids, and what must not reach a terminal", () => {
    const shown = (...given: TokenAnswer[]) =>
      columnsOf(answer(given)).map(({ text, joined }) => [text, joined]);
    expect(shown(at("🎬", 0, 0), at("🎬", 0, 0))).toEqual([
      ["🎬", false],
      ["·", true],
    ]);
    expect(shown(at("a", 0, 0), at(" film", 1, 1))).toEqual([
      ["a", false],
      ["film", false],
    ]);
    const id = (text: string): TokenAnswer => ({ text, id: 1, special: false });
    expect(shown(id("charm"), id("##ing"))).toEqual([
      ["charm", false],
      ["ing", true],
    ]);
    expect(shown(id("\u001b[2J"), id("\n"), id("a\u202eb"))).toEqual([
      ["·[2J", false],
      ["␣", false],
      ["a·b", false],
    ]);
  });
});

describe("layout", () => {
  test("wide characters take two cells", () => {
    expect(widthOf("中国")).toBe(4);
    expect(widthOf("🎬")).toBe(2);
    expect(widthOf("cafe\u0301")).toBe(4);
    expect(widthOf(padTo("中", 5))).toBe(5);
    expect(cutTo("中国电影", 5)).toBe("中国…");
    expect(cutTo("film", 4)).toBe("film");
  });

  test("blocks hold every cell once, in order, and fit", () => {
    const cell = fc.record({ width: fc.integer({ min: 1, max: 9 }), joined: fc.boolean() });
    fc.assert(
      fc.property(fc.array(cell), fc.integer({ min: 9, max: 30 }), (cells, available) => {
        const blocks = blocksOf(cells, available);
        expect(blocks.flatMap(({ begin, end }) => cells.slice(begin, end))).toEqual(cells);
        for (const { begin, end } of blocks) {
          expect(end).toBeGreaterThan(begin);
          const width = cells.slice(begin, end).reduce((sum, each) => sum + each.width, 0);
          expect(width).toBeLessThanOrEqual(available);
        }
      }),
    );
  });

  test("the pieces of a word stay on one line, unless the word is longer than the line", () => {
    const cells = (...widths: number[]) =>
      widths.map((width) => ({ width: Math.abs(width), joined: width < 0 }));
    expect(blocksOf(cells(4, 3, -3, 2), 8)).toEqual([
      { begin: 0, end: 1 },
      { begin: 1, end: 4 },
    ]);
    expect(blocksOf(cells(4, -4, -4), 8)).toEqual([
      { begin: 0, end: 2 },
      { begin: 2, end: 3 },
    ]);
  });

  test("prose breaks between words", () => {
    expect(wrapped("one two three", 8)).toEqual(["one two", "three"]);
    expect(wrapped("antidisestablishment of", 8)).toEqual(["antidisestablishment", "of"]);
  });
});

describe("colours", () => {
  test("blue against, orange for, stronger with the score", () => {
    const [red, , blue] = fillOf(1);
    expect(red).toBeGreaterThan(blue);
    const [redAgainst, , blueAgainst] = fillOf(-1);
    expect(blueAgainst).toBeGreaterThan(redAgainst);
    expect(fillOf(5)).toEqual(fillOf(1));
    expect(fillOf(-5)).toEqual(fillOf(-1));
    const neutral = fillOf(0);
    for (const sign of [1, -1]) {
      const steps = [0.25, 0.5, 0.75, 1].map((size) => contrast(fillOf(sign * size), neutral));
      expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    }
  });

  test("text can be read on every fill", () => {
    for (let share = -1; share <= 1; share += 0.01) {
      const indexed = indexedFillOf(share).colour;
      for (const fill of [fillOf(share), indexed]) {
        expect(contrast(inkOn(fill), fill)).toBeGreaterThanOrEqual(4.5);
      }
    }
  });
});

describe("heatmap", () => {
  const columns = ["an", "odd", "ly", "中国"].map((text, index) => ({
    text,
    joined: text === "ly",
    special: false,
    tokens: [index],
  }));
  const rows = [
    { title: "loo, mask", scores: [0, 1.5, -0.25, 0.001], largest: 1.5 },
    { title: "attnlrp", scores: [-0.004, 0.002, 0, 0.001], largest: 0.004 },
  ];

  test("numbers line up under their tokens and carry their signs", () => {
    expect(heatmap(columns, rows, { chalk: plain, width: 80 })).toEqual([
      "           an       odd·····ly       中国",
      "loo, mask   0.00    +1.50   -0.25     0.00",
      "attnlrp    -0.0040  +0.0020  0.0000  +0.0010",
    ]);
  });

  test("rows line up method over method, in blocks that fit", () => {
    const lines = heatmap(columns, rows, { chalk: coloured, width: 30 });
    const widths = lines.map(widthOf);
    expect(lines).toHaveLength(5);
    expect(widths[0]).toBe(widths[1]);
    expect(widths[3]).toBe(widths[4]);
    expect(Math.max(...widths)).toBeLessThanOrEqual(30);
  });

  test("a score's colour is its share of the largest of its row", () => {
    const [loo] = heatmap(columns, rows, { chalk: coloured, width: 80 });
    const fill = (share: number) => coloured.bgRgb(...fillOf(share)).rgb(...inkOn(fillOf(share)));
    expect(loo).toContain(fill(1)(" odd"));
    expect(loo).toContain(fill(-0.25 / 1.5)("ly "));
    expect(loo).toContain(fill(0)(" an "));
  });

  test("special tokens are dimmed, and take no line of their own", () => {
    const ends = columns.map((column, index) => ({ ...column, special: index === 3 }));
    expect(heatmap(ends, rows, { chalk: coloured, width: 80 })[0]).toContain(
      coloured.dim(" 中国 "),
    );
    expect(heatmap(ends, rows, { chalk: coloured, width: 30 })).toHaveLength(2);
  });

  test("small and large numbers keep about three figures", () => {
    expect([signed(0.0412, 0.05), signed(-12.34, 20), signed(345.6, 400)]).toEqual([
      "+0.041",
      "-12.3",
      "+346",
    ]);
    expect([signed(-0.001, 1), signed(2e-6, 4e-6)]).toEqual([" 0.00", "+2.0e-6"]);
    expect([bar(1, 4), bar(0.5, 4), bar(0.28, 4), bar(0, 4)]).toEqual(["████", "██", "█▏", ""]);
  });
});

describe("comparison table", () => {
  const row = { pearson: 0.5, spearman: 0.75, kendall: 0.25, sign_agreement: 1 };
  const comparison = {
    reference: { method: "loo", removal: "mask" },
    units: 12,
    excluded: "special tokens",
    rows: [
      { method: "attnlrp", note: "constant scores" },
      {
        method: "cp-lrp",
        ...row,
        layers: { from: 2 },
        interval: [0.1, 0.9],
        top_k: { k: 3, overlap: 0.5 },
      },
    ],
    ceiling: { removals: ["mask", "zero"], spearman: 0.8, pairs: [] },
  } as unknown as NonNullable<Explanation["comparison"]>;
  const verdict: Explanation["verdict"] = {
    level: "mixed",
    best: "cp-lrp from 2",
    reasons: [],
    levels: [
      { method: "attnlrp", level: "undecided" },
      { method: "cp-lrp from 2", level: "mixed" },
    ],
  };

  test("marks the best, says what is not defined, and ends with the ceiling", () => {
    expect(comparisonTable(comparison, verdict, { chalk: plain, width: 100 })).toEqual([
      "method         pearson  spearman  95 % interval  kendall  top k   sign",
      "attnlrp              -         -  -                    -      -      -  constant scores",
      "cp-lrp from 2     0.50      0.75  [0.10, 0.90]      0.25  1.5/3  100 %  mixed, best",
      "ceiling                     0.80                                        of mask, zero",
    ]);
  });

  test("leaves columns out where the line is short", () => {
    const [head] = comparisonTable(comparison, verdict, { chalk: plain, width: 70 });
    expect(head).toBe("method         pearson  spearman  top k   sign");
  });
});

describe("progress", () => {
  function record({ isTTY = false, lines = true } = {}) {
    let output = "";
    let time = 0;
    const write = (chunk: unknown, _: unknown, done: () => void) => {
      output += String(chunk);
      done();
    };
    const stream = Object.assign(new Writable({ write }), { isTTY, columns: 80 });
    const progress = createProgress({ stream, lines, now: () => time });
    const at = (milliseconds: number, done: number, total: number) => {
      time = milliseconds;
      progress.report("leave-one-out", done, total);
    };
    return { at, progress, output: () => output };
  }

  test("a plain line every two seconds", () => {
    const { at, output } = record();
    for (let tick = 0; tick <= 10; tick++) at(tick * 500, tick, 10);
    expect(output()).toBe("leave-one-out 4/10\nleave-one-out 8/10\n");
  });

  test("nothing where it is not wanted, and nothing for short work", () => {
    const quiet = record({ lines: false });
    const short = record({ isTTY: true });
    for (let tick = 0; tick <= 10; tick++) {
      quiet.at(tick * 1000, tick, 10);
      short.at(tick * 150, tick, 10);
    }
    expect(quiet.output()).toBe("");
    expect(short.output()).toBe("");
  });

  test("a bar on a terminal, which is gone when the work is done", () => {
    const { at, output } = record({ isTTY: true });
    at(0, 0, 10);
    at(1000, 1, 10);
    expect(output()).toContain("1/10  9 s left");
    at(10_000, 10, 10);
    // The line is erased.
    expect(output().split("\u001b").at(-1)).toBe("[2K");
  });
});
