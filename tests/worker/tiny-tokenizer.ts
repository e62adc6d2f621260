// A hand-made tokenizer.json of 200 entries, as many as tests/golden/bert has embeddings.

const specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789"];
const words =
  "an oddly charming film the plot is thin but it works a movie was not good and very bad of to in".split(
    " ",
  );
const entries = new Set([
  ...specials,
  ...letters.flatMap((letter) => [letter, `##${letter}`]),
  ...".,!?'\"()[]{}:;-_/\\#",
  ...words,
]);
for (let number = 0; entries.size < 200; number++) entries.add(`[unused${number}]`);

const special = (id: string, typeId: number) => ({ SpecialToken: { id, type_id: typeId } });
const text = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } });
const single = [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)];

export const tinyTokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: specials.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single,
    pair: [...single, text("B", 1), special("[SEP]", 1)],
    special_tokens: {},
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 20,
    vocab: Object.fromEntries([...entries].map((entry, id) => [entry, id])),
  },
};

export const tinyTokenizerConfig = {
  tokenizer_class: "BertTokenizer",
  mask_token: "[MASK]",
  pad_token: "[PAD]",
  unk_token: "[UNK]",
};
