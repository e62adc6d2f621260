// Tokenizer: hand-checked tokens, offsets and words; llama.cpp's golden ids; laws over any text.

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

import { Tokenizer as Library } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { alignOriginal, cut, locate, rewrite } from "../src/tokenizer/aligned-text.ts";
import { createTokenizer, type Tokenizer, type TokenRecord } from "../src/tokenizer/tokenizer.ts";
import {
  type Definition,
  byteLevel,
  byteSymbols,
  cased,
  named,
  sentencePiece,
  special,
  suffixed,
  unigram,
  wordPiece,
  wordPieceNormalizer,
} from "./tokenizer-definitions.ts";

const shared = resolve(import.meta.dirname, "../../shared");
const readText = (path: string) => readFileSync(resolve(shared, path), "utf8");
const readJson = (path: string): unknown => JSON.parse(readText(path));

/** A token as `text@start-end/word`; `*` marks a special one. */
const written = ({ text, start, end, word, special: marked }: TokenRecord) =>
  `${text}${marked ? "*" : ""}@${start}-${end}/${word}`;
const row = (tokens: readonly TokenRecord[]) => tokens.map(written).join(" | ");
const fromText = (tokenizer: Tokenizer, text: string) =>
  tokenizer.encode(text).tokens.filter((token) => token.sequence !== null);
const idsOf = (tokens: readonly TokenRecord[]) => tokens.map((token) => token.id);

describe("WordPiece, by hand", () => {
  const tokenizer = createTokenizer(wordPiece, named);
  const entry = (id: number) => tokenizer.describe([id]).tokens[0]?.text;
  const long = "a".repeat(21);
  const letters = Array.from({ length: 20 }, (_, index) => `a@${index}-${index + 1}/0`);
  type Row = readonly [name: string, text: string, tokens: string, entries?: string];
  const rows: readonly Row[] = [
    ["pieces", "unbelievable", "un@0-2/0 | believ@2-8/0 | able@8-12/0"],
    ["case, accent", "A Führer", "A@0-1/0 | Fü@2-4/1 | hrer@4-8/1", "a fu ##hrer"],
    ["combining", "cafe\u0301 Fu\u0308hrer", "cafe\u0301@0-5/0 | Fu\u0308@6-9/1 | hrer@9-13/1"],
    ["two marks", "a\u0301\u0323b", "a\u0301\u0323@0-3/0 | b@3-4/0", "a ##b"],
    ["a mark alone", "\u0301 a", "a@2-3/0"],
    ["punctuation", "hello, world!", "hello@0-5/0 | ,@5-6/1 | world@7-12/2 | !@12-13/3"],
    ["repeated words", "hello hello hello", "hello@0-5/0 | hello@6-11/1 | hello@12-17/2"],
    ["white space", "\ta\u00a0\n b\r", "a@1-2/0 | b@5-6/1"],
    ["control characters", "hel\u0000lo\u200b \u0001a\ufeff", "hel\u0000lo@0-6/0 | a@9-10/1"],
    ["an unknown word", "a €uro b", "a@0-1/0 | €uro@2-6/1 | b@7-8/2", "a [UNK] b"],
    ["too long a word", `${long}!`, `${long}@0-21/0 | !@21-22/1`, "[UNK] !"],
    ["the longest word", "a".repeat(20), letters.join(" | ")],
    ["emoji", "😀😀 a", "😀😀@0-4/0 | a@5-6/1", "[UNK] a"],
    ["joined emoji", "😶‍🌫️ a", "😶‍🌫️@0-6/0 | a@7-8/1", "[UNK] a"],
    ["Chinese", "a中国b", "a@0-1/0 | 中@1-2/1 | 国@2-3/2 | b@3-4/3", "a 中 国 b"],
    ["longer in lower case", "İstanbul", "İstanbul@0-8/0", "istanbul"],
    ["final sigma", "ΟΔΣ Σ", "Ο@0-1/0 | Δ@1-2/0 | Σ@2-3/0 | Σ@4-5/1", "ο ##δ ##ς σ"],
    ["character of many", "각", "각@0-1/0 | 각@0-1/0 | 각@0-1/0", "ᄀ ##ᅡ ##ᆨ"],
    ["Hangul spelled out", "\u1100\u1161", "\u1100@0-1/0 | \u1161@1-2/0"],
    ["a literal mask", "a [MASK].", "a@0-1/0 | [MASK]*@2-8/1 | .@8-9/2", "a [MASK] ."],
    ["glued specials", "a[SEP][SEP]b", "a@0-1/0 | [SEP]*@1-6/1 | [SEP]*@6-11/2 | b@11-12/3"],
    ["not a special", "[sep", "[@0-1/0 | s@1-2/1 | e@2-3/1 | p@3-4/1", "[ s ##e ##p"],
    ["nothing", "", ""],
    ["only white space", " \n\t ", ""],
    ["lone surrogates", "a\ud83d b\ude00\ud83d", "a@0-1/0 | b@3-4/1"],
  ];
  it.each(rows.map((values) => ({ values, name: values[0] })))("$name", ({ values }) => {
    const [, text, tokens, entries] = values;
    const found = fromText(tokenizer, text);
    expect(row(found)).toBe(tokens);
    if (entries) expect(found.map((token) => entry(token.id)).join(" ")).toBe(entries);
    const inner = tokens === "" ? "" : `${tokens} | `;
    const whole = `[CLS]*@0-0/null | ${inner}[SEP]*@0-0/null`;
    expect(row(tokenizer.encode(text).tokens)).toBe(whole);
  });

  it("keeps marks and case where the normaliser does", () => {
    expect(row(fromText(createTokenizer(cased, {}), "a\u0301 ö"))).toBe(
      "a@0-1/0 | \u0301@1-2/0 | ö@3-4/1",
    );
    const normalizer = { ...wordPieceNormalizer, strip_accents: false };
    const marked = createTokenizer({ ...wordPiece, normalizer }, {});
    expect(row(fromText(marked, "İa"))).toBe("İ@0-1/0 | İ@0-1/0 | a@1-2/0");
    expect(row(fromText(marked, "A\u0301"))).toBe("A@0-1/0 | \u0301@1-2/0");
  });

  it("finds the longest added token, in the text or in the normalised text", () => {
    const plain = { special: false };
    const added = [special("ab", 500, plain), special("abc", 501, plain)];
    const normalized = special("Zed", 502, { ...plain, normalized: true });
    const definition = { ...wordPiece, added_tokens: [...added, normalized] };
    const found = fromText(createTokenizer(definition, {}), "abcab ZED.");
    expect(row(found)).toBe("abc@0-3/0 | ab@3-5/1 | ZED@6-9/2 | .@9-10/3");
    expect(idsOf(found).slice(0, 3)).toEqual([501, 500, 502]);
  });

  it("gives each text of a pair its own offsets, and words that continue", () => {
    const { tokens } = tokenizer.encode("hello, a", "world b");
    expect(row(tokens)).toBe(
      "[CLS]*@0-0/null | hello@0-5/0 | ,@5-6/1 | a@7-8/2 | [SEP]*@0-0/null | " +
        "world@0-5/3 | b@6-7/4 | [SEP]*@0-0/null",
    );
    expect(tokens.map((token) => token.typeId)).toEqual([0, 0, 0, 0, 0, 1, 1, 1]);
    expect(tokens.map((token) => token.sequence)).toEqual([null, 0, 0, 0, null, 1, 1, null]);
    expect(tokenizer.encode("a", "")).toEqual(tokenizer.encode("a"));
  });

  it("never truncates or pads", () => {
    const limited = createTokenizer(
      {
        ...wordPiece,
        truncation: { direction: "Right", max_length: 4, strategy: "LongestFirst", stride: 0 },
        padding: { strategy: { Fixed: 4 }, direction: "Right", pad_id: 0, pad_token: "[PAD]" },
      },
      named,
    );
    for (const text of ["a", "a b c d e f g"]) {
      expect(limited.encode(text)).toEqual(tokenizer.encode(text));
    }
  });

  it("describes ids without a text", () => {
    const { tokens } = tokenizer.describe([2, tokenizer.idOf("##ing")!, 3], [0, 1, 1]);
    expect(row(tokens)).toBe("[CLS]*@0-0/null | ##ing@0-0/null | [SEP]*@0-0/null");
    expect(tokens.map((token) => token.typeId)).toEqual([0, 1, 1]);
    expect(tokens.every((token) => token.sequence === null)).toBe(true);
    const beyond = tokenizer.vocabularySize;
    expect(() => tokenizer.describe([beyond])).toThrow(`not in the vocabulary: ${beyond}`);
    expect(() => tokenizer.describe([1.5])).toThrow("not in the vocabulary: 1.5");
    expect(() => tokenizer.describe([1, 2], [0])).toThrow("2 ids need as many type ids, got 1");
  });

  it("knows its named tokens", () => {
    const { maskId, padId, unknownId } = tokenizer;
    expect([maskId, padId, unknownId]).toEqual([4, 0, 1]);
    expect(tokenizer.idOf("[MASK]")).toBe(4);
    expect(tokenizer.idOf("no such entry")).toBeUndefined();
    expect(createTokenizer(wordPiece, {}).maskId).toBeUndefined();
  });
});

describe("other families", () => {
  it("byte-level: spaces belong to tokens, bytes of a character cover it", () => {
    const found = fromText(createTokenizer(byteLevel, {}), "hello hello é😀 w");
    expect(row(found)).toBe(
      "hello@0-5/0 |  hello@5-11/1 |  @11-12/2 | é@12-13/2 | " +
        `${"😀@13-15/3 | ".repeat(4)} w@15-17/4`,
    );
  });

  it("byte-level: an inserted space covers the first character", () => {
    const preTokenizer = { type: "ByteLevel", add_prefix_space: true, use_regex: true };
    const tokenizer = createTokenizer({ ...byteLevel, pre_tokenizer: preTokenizer }, {});
    expect(row(fromText(tokenizer, "hello"))).toBe("hello@0-5/0");
    expect(row(fromText(tokenizer, "é"))).toBe("é@0-1/0 | é@0-1/0");
  });

  it("RoBERTa's post-processor gives type 0 to both texts", () => {
    const { tokens } = createTokenizer(byteLevel, {}).encode("a", "b");
    expect(tokens.map((token) => token.text)).toEqual(["<s>", "a", "</s>", "</s>", "b", "</s>"]);
    expect(tokens.every((token) => token.typeId === 0)).toBe(true);
  });

  it("SentencePiece: a word begins at every run of marks, bytes stand for characters", () => {
    const found = fromText(createTokenizer(sentencePiece, {}), "hello  he €");
    expect(row(found)).toBe(
      "he@0-2/0 | ll@2-4/0 | o@4-5/0 |  @5-6/1 |  he@6-9/1 |  @9-10/2 | " +
        "€@10-11/2 | €@10-11/2 | €@10-11/2",
    );
    expect(row(fromText(createTokenizer(sentencePiece, {}), " <mask> o"))).toBe(
      "<mask>*@1-7/0 | o@8-9/1 | o@8-9/1",
    );
  });

  it("SentencePiece: nothing but an inserted mark stands for the whole text", () => {
    const strip = { type: "Strip", strip_left: true, strip_right: true };
    const prepend = { type: "Prepend", prepend: "▁" };
    const normalizer = { type: "Sequence", normalizers: [strip, prepend] };
    const tokenizer = createTokenizer({ ...sentencePiece, normalizer }, {});
    expect(row(fromText(tokenizer, " \n"))).toBe(" \n@0-2/0");
  });

  it("BPE: unknowns fused over several words leave no gap in the words", () => {
    const model = {
      type: "BPE",
      unk_token: "u",
      fuse_unk: true,
      vocab: { u: 0, a: 1 },
      merges: [],
    };
    const tokenizer = createTokenizer({ ...sentencePiece, added_tokens: [], model }, {});
    expect(row(fromText(tokenizer, "€ € a"))).toBe("€ € @0-4/0 | a@4-5/1");
  });

  it("BPE: a suffix ends words, a known word is not merged", () => {
    const found = fromText(createTokenizer(suffixed, {}), "he hhe eh");
    expect(row(found)).toBe("he@0-2/0 | hhe@3-6/1 | e@7-8/2 | h@8-9/2");
    expect(idsOf(found)).toEqual([3, 4, 1, 2]);
  });

  it("Unigram: unknown characters fuse, compatibility forms cover their origin", () => {
    const found = fromText(createTokenizer(unigram, {}), "Hi  ﬁ €¥ <mask> hi");
    expect(row(found)).toBe(
      "Hi@0-2/0 |   @2-4/1 | ﬁ@4-5/1 |  @5-6/2 | €¥@6-8/2 | <mask>*@9-15/3 | hi@16-18/4",
    );
    // The accent composes with the letter once the control character between them is gone.
    const composed = fromText(createTokenizer(unigram, {}), "a e\u0001\u0301");
    expect(row(composed)).toBe("a@0-1/0 | a@0-1/0 |  @1-2/1 | e\u0001\u0301@2-5/1");
  });

  it("refuses what it cannot do", () => {
    const gpt = createTokenizer({ ...byteLevel, post_processor: { type: "ByteLevel" } }, {});
    expect(() => gpt.encode("a", "b")).toThrow("keeps 1 of 2 tokens of a pair of texts");
    const model = { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" };
    expect(() => createTokenizer({ ...wordPiece, model }, {})).toThrow("unsupported kind of model");
    expect(() => createTokenizer(null, {})).toThrow("tokenizer.json is not an object");
  });
});

describe("aligned text", () => {
  it("is rewritten, cut and located with its origin", () => {
    const original = alignOriginal("a😀b");
    const text = rewrite(original, [
      { from: 0, to: 0, text: "_" },
      { from: 1, to: 3, text: "xyz" },
    ]);
    expect(text.text).toBe("_axyzb");
    expect(text.starts).toEqual([0, 0, 1, 1, 1, 3]);
    expect(text.ends).toEqual([1, 1, 3, 3, 3, 4]);
    expect(cut(text, 2, 4).origin).toEqual({ start: 1, end: 3 });
    const found = locate(alignOriginal("ab ab"), ["ab", "ab"]);
    expect(found?.map((part) => part.starts[0])).toEqual([0, 3]);
  });

  it("is not located where two places fit", () => {
    expect(locate(alignOriginal("aba"), ["a"])).toBeUndefined();
    expect(locate(alignOriginal("ab"), ["c"])).toBeUndefined();
  });
});

function goldenCases(name: string): readonly (readonly [text: string, ids: number[]])[] {
  const path = `tokenizers/llama.cpp-golden/ggml-vocab-${name}.gguf`;
  const rows = readText(`${path}.out`).split("\n");
  return readText(`${path}.inp`)
    .split("\n__ggml_vocab_test__\n")
    .map((text, index) => [text, (rows[index]?.match(/\d+/g) ?? []).map(Number)]);
}

describe("golden tokenisations of llama.cpp", () => {
  const absent = !existsSync(resolve(shared, "tokenizers"));
  const why = `no ${shared}/tokenizers on this machine`;

  it("bert-base-uncased", (ctx) => {
    if (absent) ctx.skip(why);
    const folder = "tokenizers/bert-base-uncased";
    const tokenizer = createTokenizer(
      readJson(`${folder}/tokenizer.json`),
      readJson(`${folder}/tokenizer_config.json`),
    );
    expect(tokenizer.vocabularySize).toBe(30522);
    const cases = goldenCases("bert-bge");
    expect(cases.length).toBe(47);
    for (const [text, ids] of cases) {
      expect(idsOf(fromText(tokenizer, text)), JSON.stringify(text)).toEqual(ids);
    }
  });

  it("gpt-2", (ctx) => {
    if (absent) ctx.skip(why);
    const definition = {
      added_tokens: [],
      normalizer: null,
      post_processor: null,
      decoder: null,
      pre_tokenizer: byteLevel["pre_tokenizer"],
      model: {
        type: "BPE",
        vocab: readJson("tokenizers/gpt2/encoder.json"),
        merges: readText("tokenizers/gpt2/vocab.bpe").trimEnd().split("\n").slice(1),
      },
    };
    const tokenizer = createTokenizer(definition, {});
    expect(tokenizer.vocabularySize).toBe(50257);
    for (const [text, ids] of goldenCases("gpt-2")) {
      expect(idsOf(fromText(tokenizer, text)), JSON.stringify(text)).toEqual(ids);
    }
  });

  it("the ids a Llama trained on stories begins with", (ctx) => {
    const folder = "models/stories260K-hf";
    if (!existsSync(resolve(shared, folder))) ctx.skip(`no ${shared}/${folder} on this machine`);
    const tokenizer = createTokenizer(readJson(`${folder}/tokenizer.json`), {});
    const { tokens } = tokenizer.encode("Once upon a time");
    const golden = readJson(`${folder}/golden.json`) as { greedy_ids_from_bos: number[] };
    expect(idsOf(tokens)).toEqual(golden.greedy_ids_from_bos.slice(0, tokens.length));
    expect(tokens.map((token) => token.word)).toEqual([null, 0, 1, 2, 3]);
  });
});

const awkward = fc.constantFrom(
  ..."[MASK]|[SEP]|<mask>|<s>|hello| hello|  |\n|\u00a0|\u3000|▁|##|'s|.|€|a|B|1".split("|"),
  ..."Σ|ΑΣ|İ|ß|e\u0301|\u0301|\u0323|\u302e|\u200d|\ufe0f|😀|🌫|中|𠀀|각|\u1100|\u1161".split("|"),
  ..."ｶ|ﾞ|ﬁ|½|～|\u0000|\ufffd|\ue000|\ud83d|\ude00|\u000b|\u0085|\ufeff|e\u0001\u0301".split("|"),
);
const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc
    .array(fc.oneof({ weight: 4, arbitrary: awkward }, unit), { maxLength: 24 })
    .map((parts) => parts.join("")),
);

const droppedByBert = /^[\s\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Mn}\ufffd]$/u;
const droppedByUnigram = /^[\s\p{Cc}\p{Cf}\ufffd▁]$/u;
const families: readonly (readonly [name: string, Definition, dropped: RegExp])[] = [
  ["WordPiece", wordPiece, droppedByBert],
  ["WordPiece with case and accents", cased, droppedByBert],
  ["byte-level", byteLevel, /$^/],
  ["SentencePiece with bytes", sentencePiece, /^\s$/], // beside <mask>
  ["Unigram", unigram, droppedByUnigram],
];

describe.each(families)("laws for any text: %s", (_, definition, dropped) => {
  const tokenizer = createTokenizer(definition, {});
  const library = new Library(definition, {});
  const entry = (id: number) => tokenizer.describe([id]).tokens[0]?.text ?? "";

  it("ids are the library's, offsets ordered and not empty, nothing lost", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { tokens } = tokenizer.encode(text);
        expect(idsOf(tokens)).toEqual(library.encode(text).ids);
        const covered = new Set<number>();
        let previous = { start: 0, end: 0, word: -1 };
        for (const token of tokens) {
          if (token.sequence === null) continue;
          const { start, end, word } = { ...token, word: token.word ?? Number.NaN };
          expect(start).toBeGreaterThanOrEqual(previous.start);
          expect(end).toBeGreaterThanOrEqual(previous.end);
          expect(end).toBeGreaterThan(start);
          expect(end).toBeLessThanOrEqual(text.length);
          expect([previous.word, previous.word + 1]).toContain(word);
          expect(token.text).toBe(text.slice(start, end));
          for (let index = start; index < end; index++) covered.add(index);
          previous = { start, end, word };
        }
        let index = 0;
        for (const character of text) {
          if (!covered.has(index)) expect(character).toMatch(dropped);
          index += character.length;
        }
      }),
      { numRuns: 400 },
    );
  });

  it("a pair is its two texts", () => {
    fc.assert(
      fc.property(anyText, anyText, (text, pair) => {
        const { tokens } = tokenizer.encode(text, pair);
        expect(idsOf(tokens)).toEqual(library.encode(text, { text_pair: pair }).ids);
        const own = (part: string) =>
          fromText(tokenizer, part).map(({ start, end }) => [start, end]);
        const spans = (sequence: 0 | 1) =>
          tokens
            .filter((token) => token.sequence === sequence)
            .map(({ start, end }) => [start, end]);
        expect(spans(0)).toEqual(own(text));
        expect(spans(1)).toEqual(own(pair));
      }),
      { numRuns: 100 },
    );
  });

  it("a token's piece comes from the characters it covers", () => {
    // Judged from outside: the covered characters, as the model would see them alone, contain the
    // piece. Sigma is folded, since its form depends on what follows.
    const folded = (part: string) => part.replaceAll("ς", "σ").replaceAll("▁", "");
    const seen = (part: string) =>
      library.normalizer?.normalize(part) ??
      Array.from(new TextEncoder().encode(part), (byte) => byteSymbols[byte]).join("");
    fc.assert(
      fc.property(anyText, (text) => {
        for (const token of fromText(tokenizer, text)) {
          const piece = entry(token.id);
          if (token.special || /^(\[UNK\]|<unk>|<0x..>)$/.test(piece)) continue;
          expect(folded(seen(token.text))).toContain(folded(piece.replace(/^##/, "")));
        }
      }),
      { numRuns: 300 },
    );
  });
});
