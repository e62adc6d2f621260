// One text to tokens with their origin in it and their word, the way of the library's `encode`
// before post-processing. Gives no ids: those are the library's.

import type { Model, PreTokenizer } from "@huggingface/tokenizers";
import { type AddedToken, type AddedTokens, cutAtAddedTokens } from "./added-tokens.ts";
import { type AlignedText, alignOriginal, spanOf } from "./aligned-text.ts";
import type { NormalizationStep } from "./normalization.ts";
import type { PieceFinder } from "./pieces.ts";
import { preTokens } from "./pre-tokenization.ts";

/** The parts of a tokenizer that decide which characters become which token. */
export interface Pipeline {
  readonly addedTokens: AddedTokens;
  readonly steps: readonly NormalizationStep[];
  readonly preTokenizer: PreTokenizer | null;
  readonly marks: ReadonlySet<string>;
  readonly model: Model;
  readonly pieces: PieceFinder;
}

export interface AlignedToken {
  readonly token: string;
  readonly start: number;
  readonly end: number;
  /** From 0, without gaps. */
  readonly word: number;
  /** The added token that stood in the text literally, if it is one. */
  readonly added: AddedToken | null;
}

export function alignTokens(pipeline: Pipeline, text: string): readonly AlignedToken[] {
  const { byText, inOriginal, inNormalized } = pipeline.addedTokens;
  const tokens: AlignedToken[] = [];
  const nextWord = (): number => (tokens.at(-1)?.word ?? -1) + 1;
  const addWhole = (part: AlignedText, added: AddedToken): void => {
    const span = spanOf(part, 0, part.text.length);
    tokens.push({ token: part.text, ...span, word: nextWord(), added });
  };

  const sections = cutAtAddedTokens(alignOriginal(text), inOriginal, byText);
  for (const [index, section] of sections.entries()) {
    if (section.text === "") continue;
    const added = byText.get(section.text);
    if (added !== undefined) {
      addWhole(section, added);
      continue;
    }
    const normalized = pipeline.steps.reduce((part, step) => step(part), section);
    for (const part of cutAtAddedTokens(normalized, inNormalized, byText)) {
      if (part.text === "") continue;
      const addedHere = byText.get(part.text);
      if (addedHere !== undefined) addWhole(part, addedHere);
      else for (const token of wordsToTokens(pipeline, part, index, nextWord())) tokens.push(token);
    }
  }
  return withoutWordGaps(tokens);
}

/** Tokens of a part without added tokens; words are counted from `firstWord`. */
function wordsToTokens(
  pipeline: Pipeline,
  part: AlignedText,
  section: number,
  firstWord: number,
): readonly AlignedToken[] {
  const tokens: AlignedToken[] = [];
  let word = firstWord - 1;
  for (const preToken of preTokens(part, pipeline.preTokenizer, section)) {
    const ordinals = wordOrdinals(preToken.text, pipeline.marks);
    let ordinal = -1;
    for (const piece of pipeline.pieces(preToken.text)) {
      // A piece over two words belongs to the first.
      const current = ordinals[piece.from] ?? 0;
      if (current !== ordinal) word++;
      ordinal = current;
      const span = spanOf(preToken, piece.from, piece.to);
      tokens.push({ token: piece.token, ...span, word, added: null });
    }
  }
  return pipeline.model.fuse_unk ? fuseUnknown(tokens, pipeline.model) : tokens;
}

/** Per unit of a pre-token, which of its words it is in: a new one begins at every run of marks. */
function wordOrdinals(text: string, marks: ReadonlySet<string>): readonly number[] {
  const ordinals: number[] = [];
  let ordinal = 0;
  for (let unit = 0; unit < text.length; unit++) {
    const begins = marks.has(text.charAt(unit)) && !marks.has(text.charAt(unit - 1));
    if (begins && unit > 0) ordinal++;
    ordinals.push(ordinal);
  }
  return ordinals;
}

/** Neighbouring unknowns become one token where the model says so, named as the library names it. */
function fuseUnknown(tokens: readonly AlignedToken[], model: Model): readonly AlignedToken[] {
  const idOf = (token: string) => model.tokens_to_ids.get(token) ?? model.unk_token_id;
  const fused: AlignedToken[] = [];
  let afterUnknown = false;
  for (const token of tokens) {
    const unknown = idOf(token.token) === model.unk_token_id;
    const previous = fused.at(-1);
    if (unknown && afterUnknown && previous !== undefined) {
      const named = model.tokens_to_ids.get(previous.token) === model.unk_token_id;
      const name = named ? previous.token : previous.token + token.token;
      fused[fused.length - 1] = { ...previous, token: name, end: token.end };
    } else {
      fused.push(token);
    }
    afterUnknown = unknown;
  }
  return fused;
}

/** Words of which no token is left (fused, or dropped by the model) must not leave a hole. */
function withoutWordGaps(tokens: readonly AlignedToken[]): readonly AlignedToken[] {
  let word = -1;
  return tokens.map((token, index) => {
    if (token.word !== tokens[index - 1]?.word) word++;
    return { ...token, word };
  });
}
