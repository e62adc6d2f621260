// Text to ids, each with its characters, its word and its part in a pair, from tokenizer.json. Ids
// are the library's. Knows no model family, no length limit: truncation and padding are ignored.

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { type AddedToken, addedTokensOf } from "./added-tokens.ts";
import { type AlignedToken, type Pipeline, alignTokens } from "./alignment.ts";
import { layoutOf } from "./layout.ts";
import { normalizationSteps } from "./normalization.ts";
import { pieceFinder } from "./pieces.ts";
import { spaceMarks } from "./pre-tokenization.ts";

export interface TokenRecord {
  /** What stands in the text; for special tokens, and without a text, the vocabulary's entry. */
  readonly text: string;
  readonly id: number;
  /**
   * UTF-16 units of the text that `sequence` names, end excluded; 0, 0 for tokens from no text.
   * Tokens that share a character each cover all of it. A space that a token carries (byte-level,
   * metaspace) belongs to it; marks that normalisation takes off a character stay with it.
   */
  readonly start: number;
  readonly end: number;
  /**
   * Counted from 0 over both texts, without gaps, as pre-tokenisation cuts them; a special token
   * that stands in the text is a word too. Null for tokens from no text.
   */
  readonly word: number | null;
  /** Added by the post-processor, or a special added token that stands in the text. */
  readonly special: boolean;
  readonly typeId: number;
  /** Which text it came from; null where the post-processor added it or only ids were given. */
  readonly sequence: 0 | 1 | null;
}

export interface Encoding {
  readonly tokens: readonly TokenRecord[];
}

export interface Tokenizer {
  /** Highest id + 1: the least number of rows that an embedding must have. */
  readonly vocabularySize: number;
  /** The ids of the tokens that tokenizer_config.json names, where it does. */
  readonly maskId: number | undefined;
  readonly padId: number | undefined;
  readonly unknownId: number | undefined;
  /** Adds special tokens as the post-processor says. An empty `pair` is no pair. */
  encode(text: string, pair?: string): Encoding;
  /** Ids without a text; raises on an id that the vocabulary has not. */
  describe(ids: readonly number[], typeIds?: readonly number[]): Encoding;
  /** The id of an exact vocabulary entry, such as "[MASK]" or "##ing". */
  idOf(token: string): number | undefined;
}

/** Raises on kinds of tokenizer for which offsets are not known. */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
  const definition = record(tokenizerJson, "tokenizer.json");
  const configuration = record(tokenizerConfig, "tokenizer_config.json");
  const added = addedTokenList(definition["added_tokens"]);
  const library = new Library({ ...definition, added_tokens: added }, configuration);
  const { model, normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor } = library;
  if (model === null) throw new Error("tokenizer: tokenizer.json has no model");
  const pipeline: Pipeline = {
    addedTokens: addedTokensOf(added, normalizer),
    steps: normalizationSteps(normalizer, {
      removeSpace: configuration["remove_space"] === true,
      lowercaseAndRemoveAccents: configuration["do_lowercase_and_remove_accent"] === true,
    }),
    preTokenizer,
    marks: spaceMarks(normalizer, preTokenizer),
    model,
    pieces: pieceFinder(model),
  };
  const specialIds = new Set(added.filter((token) => token.special).map((token) => token.id));
  const namedId = (name: string): number | undefined => {
    const token = tokenName(configuration[name]);
    return token === undefined ? undefined : library.token_to_id(token);
  };

  // Errors name positions, never the text: they may end up in a log.
  function encode(text: string, pair?: string): Encoding {
    const texts = pair === undefined || pair === "" ? [text] : [text, pair];
    const aligned = texts.map((part) => alignTokens(pipeline, part));
    const slots = layoutOf(
      postProcessor,
      aligned.map((tokens) => tokens.length),
    );
    const { ids, tokens } = library.encode(text, { text_pair: texts[1] ?? null });
    if (ids.length !== slots.length) {
      throw new Error(`tokenizer: the library gives ${ids.length} tokens, not ${slots.length}`);
    }
    const wordsBefore = [0, (aligned[0]?.at(-1)?.word ?? -1) + 1];
    return {
      tokens: slots.map(({ typeId, source }, position): TokenRecord => {
        const id = ids[position];
        const token = tokens[position] ?? "";
        if (id === undefined) throw new Error(`tokenizer: no id for the token at ${position}`);
        if (source === null) return withoutText(token, id, true, typeId);
        const { sequence, index } = source;
        const origin = aligned[sequence]?.[index];
        if (origin?.token !== token) {
          throw new Error(`tokenizer: offsets do not fit the library's token at ${position}`);
        }
        return {
          text: surface(texts[sequence] ?? "", origin),
          id,
          start: origin.start,
          end: origin.end,
          word: origin.word + (wordsBefore[sequence] ?? 0),
          special: origin.added?.special ?? false,
          typeId,
          sequence,
        };
      }),
    };
  }

  function describe(ids: readonly number[], typeIds?: readonly number[]): Encoding {
    if (typeIds !== undefined && typeIds.length !== ids.length) {
      throw new Error(`tokenizer: ${ids.length} ids need as many type ids, got ${typeIds.length}`);
    }
    return {
      tokens: ids.map((id, position) => {
        const token = library.id_to_token(id);
        if (token === undefined) throw new Error(`tokenizer: id not in the vocabulary: ${id}`);
        return withoutText(token, id, specialIds.has(id), typeIds?.[position] ?? 0);
      }),
    };
  }

  return {
    vocabularySize: model.vocab.length,
    maskId: namedId("mask_token"),
    padId: namedId("pad_token"),
    unknownId: model.unk_token_id ?? namedId("unk_token"),
    encode,
    describe,
    idOf: (token) => library.token_to_id(token),
  };
}

function withoutText(text: string, id: number, special: boolean, typeId: number): TokenRecord {
  return { text, id, start: 0, end: 0, word: null, special, typeId, sequence: null };
}

function surface(text: string, token: AlignedToken): string {
  return token.added?.special ? token.added.content : text.slice(token.start, token.end);
}

function record(value: unknown, file: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`tokenizer: ${file} is not an object`);
  }
  return value as Record<string, unknown>;
}

/** The library's defaults, filled in once so that nobody else needs to know them. */
function addedTokenList(value: unknown): readonly AddedToken[] {
  return (Array.isArray(value) ? value : []).map((entry: unknown) => {
    const token = record(entry, "tokenizer.json: added token");
    const special = token["special"] === true;
    return {
      id: Number(token["id"]),
      content: String(token["content"]),
      special,
      lstrip: token["lstrip"] === true,
      rstrip: token["rstrip"] === true,
      normalized: typeof token["normalized"] === "boolean" ? token["normalized"] : !special,
    };
  });
}

/** A token's name as tokenizer_config.json writes it: plain, or as a record with its options. */
function tokenName(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content =
    typeof value === "object" && value !== null && "content" in value && value.content;
  return typeof content === "string" ? content : undefined;
}
