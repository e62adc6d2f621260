// Small tokenizer.json objects for the tokenizer tests, one per family, made by hand.

export const vocabularyOf = (entries: readonly string[]) =>
  Object.fromEntries(entries.map((entry, id) => [entry, id]));

export type Definition = Readonly<Record<string, unknown>>;

const specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
export const special = (content: string, id: number, more: Definition = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});
const template = {
  type: "TemplateProcessing",
  single: [
    { SpecialToken: { id: "[CLS]", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "[SEP]", type_id: 0 } },
  ],
  pair: [
    { SpecialToken: { id: "[CLS]", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { SpecialToken: { id: "[SEP]", type_id: 0 } },
    { Sequence: { id: "B", type_id: 1 } },
    { SpecialToken: { id: "[SEP]", type_id: 1 } },
  ],
  special_tokens: {},
};
const pieces = [
  ..."abcdefghijklmnopqrstuvwxyz0123456789".split("").flatMap((letter) => [letter, `##${letter}`]),
  ...".,!?'\"()[]-#中国οδσᄀö½".split(""),
  ..."fu ##hrer cafe ing ##ing hello world un ##believ ##able istanbul straße".split(" "),
  ..."##ο ##δ ##σ ##ς ##ᅡ ##ᆨ ##\u0301 ##\u0307".split(" "),
];
export const wordPieceNormalizer = {
  type: "BertNormalizer",
  clean_text: true,
  handle_chinese_chars: true,
  strip_accents: null,
  lowercase: true,
};
export const wordPiece: Definition = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: specials.map((content, id) => special(content, id)),
  normalizer: wordPieceNormalizer,
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: template,
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 20,
    vocab: vocabularyOf([...specials, ...new Set(pieces)]),
  },
};
export const cased: Definition = {
  ...wordPiece,
  normalizer: { ...wordPieceNormalizer, strip_accents: false, lowercase: false },
};
export const named = { mask_token: "[MASK]", pad_token: { content: "[PAD]" }, unk_token: "[UNK]" };

// The alphabet of byte-level vocabularies: printable bytes stand for themselves, the others for
// U+0100 and on, in order.
const alphabet = Array.from({ length: 256 }, (_, byte) => byte);
const printable = (byte: number) =>
  (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte !== 173);
const shifted = alphabet.filter((byte) => !printable(byte));
export const byteSymbols = alphabet.map((byte) =>
  String.fromCharCode(printable(byte) ? byte : 256 + shifted.indexOf(byte)),
);
const merges = ["h e", "l l", "he ll", "hell o", "Ġ hello", "Ġ w", "Ã ©"];
export const byteLevel: Definition = {
  added_tokens: [special("<s>", 300), special("</s>", 301), special("<mask>", 302)],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
  post_processor: { type: "RobertaProcessing", sep: ["</s>", 301], cls: ["<s>", 300] },
  decoder: { type: "ByteLevel" },
  model: {
    type: "BPE",
    vocab: vocabularyOf([...byteSymbols, ...merges.map((merge) => merge.replace(" ", ""))]),
    merges,
  },
};
const byteNames = alphabet.map((byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
export const sentencePiece: Definition = {
  added_tokens: [special("<unk>", 0), special("<mask>", 1, { lstrip: true, rstrip: true })],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: {
    type: "BPE",
    unk_token: "<unk>",
    fuse_unk: true,
    byte_fallback: true,
    vocab: vocabularyOf(["<unk>", "<mask>", ...byteNames, ..."▁helo", "he", "ll", "▁he", "▁▁"]),
    merges: ["h e", "l l", "▁ he", "▁ ▁"],
  },
};
export const unigram: Definition = {
  added_tokens: [special("<unk>", 0), special("<mask>", 1, { lstrip: true, rstrip: true })],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Precompiled", precompiled_charsmap: "" },
      { type: "Strip", strip_left: false, strip_right: true },
      { type: "Lowercase" },
      { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
    ],
  },
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
  post_processor: null,
  decoder: null,
  model: {
    type: "Unigram",
    unk_id: 0,
    vocab: ["<unk>", "<mask>", "▁", ..."abcdefghio", "▁hi", "fi"].map((entry) => [
      entry,
      -entry.length,
    ]),
  },
};

// Marks the end of a word, and looks a word up before it merges.
export const suffixed: Definition = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: "WhitespaceSplit" },
  post_processor: null,
  decoder: null,
  model: {
    type: "BPE",
    end_of_word_suffix: "</w>",
    ignore_merges: true,
    vocab: vocabularyOf(["h", "e", "h</w>", "he</w>", "hhe"]),
    merges: ["h e</w>"],
  },
};
