// Which units of a pre-token each piece of the model covers: WordPiece, BPE with byte fallback,
// Unigram. Knows nothing of the original text.

import { BPE, Unigram, WordPiece, type Model } from "@huggingface/tokenizers";

/** A token as the library names it, and the units of its pre-token it covers. */
export interface Piece {
  readonly token: string;
  readonly from: number;
  readonly to: number;
}

export type PieceFinder = (word: string) => readonly Piece[];

/** Raises on a kind of model whose pieces nobody has taught this file to place. */
export function pieceFinder(model: Model | null): PieceFinder {
  if (model instanceof WordPiece) return (word) => wordPieces(model, word);
  if (model instanceof BPE) return (word) => bytePairPieces(model, word);
  if (model instanceof Unigram) return (word) => inOrder(word, model.encode([word]));
  throw new Error(`tokenizer: unsupported kind of model: ${model?.config.type ?? "none"}`);
}

/** Several pieces spell the word; a single one is the word, or stands for all of it as unknown. */
function wordPieces(model: WordPiece, word: string): readonly Piece[] {
  const tokens = model.encode([word]);
  const [only] = tokens;
  if (only === undefined) return [];
  if (tokens.length === 1) return [{ token: only, from: 0, to: word.length }];
  const prefix = model.config.continuing_subword_prefix ?? "";
  return inOrder(word, tokens, (token, index) =>
    index === 0 ? token : token.slice(prefix.length),
  );
}

function bytePairPieces(model: BPE, word: string): readonly Piece[] {
  if (word === "") return [];
  if (model.ignore_merges && model.tokens_to_ids.has(word)) {
    return [{ token: word, from: 0, to: word.length }];
  }
  const merged = model.bpe(word);
  const pieces = inOrder(word, merged, (token, index) => {
    const suffix =
      index === merged.length - 1 ? model.end_of_word_suffix : model.continuing_subword_suffix;
    return suffix ? token.slice(0, -suffix.length) : token;
  });
  return pieces.flatMap((piece) => {
    if (model.tokens_to_ids.has(piece.token)) return [piece];
    const bytes = model.byte_fallback ? byteTokens(piece.token) : [];
    if (bytes.length > 0 && bytes.every((token) => model.tokens_to_ids.has(token))) {
      return bytes.map((token) => ({ ...piece, token }));
    }
    return model.unk_token == null ? [] : [{ ...piece, token: model.unk_token }];
  });
}

function byteTokens(text: string): readonly string[] {
  return Array.from(
    new TextEncoder().encode(text),
    (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
}

/** Lays tokens end to end over the word; `spelling` is what of the word a token stands for. */
function inOrder(
  word: string,
  tokens: readonly string[],
  spelling: (token: string, index: number) => string = (token) => token,
): readonly Piece[] {
  let to = 0;
  const pieces = tokens.map((token, index) => {
    const from = to;
    const part = spelling(token, index);
    if (!word.startsWith(part, from)) throw misspelled(tokens.length);
    to += part.length;
    return { token, from, to };
  });
  if (to !== word.length) throw misspelled(tokens.length);
  return pieces;
}

function misspelled(pieces: number): Error {
  return new Error(`tokenizer: the model's pieces do not spell the word, pieces: ${pieces}`);
}
