// From a request's text or ids to a sequence, its tokens, and the units that leave-one-out removes.
import type { TokenAnswer } from "../contract/answer.ts";
import type { ExplainRequest } from "../contract/request.ts";
import type { Model } from "../model/family.ts";
import type { Sequence } from "../model/sequence.ts";
import type { TokenRecord, Tokenizer } from "../tokenizer/tokenizer.ts";
import { RequestError } from "./request-error.ts";

/** What is removed at a time: one token, or all tokens of a word. */
export interface Unit {
  readonly tokens: readonly number[];
  /** Counts in the comparison; special tokens, the read token and padding do not. */
  readonly scored: boolean;
}

export interface Input {
  readonly sequence: Sequence;
  readonly tokens: readonly TokenAnswer[];
  readonly units: readonly Unit[];
}

export interface InputOptions {
  readonly model: Model;
  readonly tokenizer: Tokenizer | undefined;
  /** Longest sequence that is accepted. */
  readonly maximumTokens: number;
}

/** Throws `RequestError` for a text or ids that this model cannot take. */
export function readInput(request: ExplainRequest, options: InputOptions): Input {
  const records =
    request.text === undefined ? fromIds(request, options) : fromText(request, options);
  const { model, maximumTokens } = options;
  if (records.length > maximumTokens) {
    const field = request.text === undefined ? "ids" : "text";
    throw new RequestError({
      path: field,
      message: `has ${records.length} tokens, at most ${maximumTokens} fit`,
    });
  }
  const hidden = records.map((_, token) => request.attention_mask?.[token] === 0);
  const sequence = model.sequence({
    ids: records.map(({ id }) => id),
    types: records.map(({ typeId }) => typeId),
    hidden,
  });
  if (hidden[sequence.read]) {
    throw new RequestError({
      path: `attention_mask.${sequence.read}`,
      message: "is 0 for the token that the head reads",
    });
  }
  return {
    sequence,
    tokens: records.map((record) => answerOf(record, request)),
    units: unitsOf(request, records, sequence),
  };
}

function fromText({ text = "", text_pair: pair }: ExplainRequest, options: InputOptions) {
  const { tokenizer, model } = options;
  if (tokenizer === undefined) {
    throw new RequestError({
      path: "text",
      message: "cannot be read: the model came without tokenizer.json; send ids",
    });
  }
  refuseLength({ text, text_pair: pair }, options);
  const { tokens } = tokenizer.encode(text, pair);
  if (!tokens.some(({ sequence }) => sequence === 0)) {
    throw new RequestError({ path: "text", message: "holds no token" });
  }
  if (pair !== undefined && model.config.tokenTypes === 1) {
    throw new RequestError({ path: "text_pair", message: "is not known to this model" });
  }
  return tokens;
}

/** Longer tokens than this on average are not words of any language; such a text is not tokenized at all. */
const CHARACTERS_PER_TOKEN = 50;

/** Tokenizing a text far too long would take seconds before its tokens could be counted. */
function refuseLength(
  texts: { readonly text: string; readonly text_pair: string | undefined },
  { maximumTokens }: InputOptions,
): void {
  const most = maximumTokens * CHARACTERS_PER_TOKEN;
  for (const [path, text = ""] of Object.entries(texts)) {
    if (text.length <= most) continue;
    const message = `has ${text.length} characters, at most ${most} are read for ${maximumTokens} tokens`;
    throw new RequestError({ path, message });
  }
}

function fromIds(request: ExplainRequest, { model, tokenizer }: InputOptions): TokenRecord[] {
  const { ids = [], type_ids: types = ids.map(() => 0) } = request;
  const { vocabulary, tokenTypes } = model.config;
  const problems = [
    ...outOfRange("ids", ids, vocabulary),
    ...outOfRange("type_ids", types, Math.max(tokenTypes, 1)),
  ];
  if (problems.length > 0) throw new RequestError(...problems);
  const described = tokenizer && describe(tokenizer, ids, types);
  return ids.map(
    (id, token) =>
      described?.[token] ?? {
        text: String(id),
        id,
        start: 0,
        end: 0,
        word: null,
        special: false,
        typeId: types[token] ?? 0,
        sequence: null,
      },
  );
}

function describe(tokenizer: Tokenizer, ids: readonly number[], types: readonly number[]) {
  try {
    return tokenizer.describe(ids, types).tokens;
  } catch (cause) {
    throw new RequestError({
      path: "ids",
      message: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    });
  }
}

function outOfRange(path: string, values: readonly number[], limit: number) {
  return values.flatMap((value, position) =>
    value < limit
      ? []
      : [{ path: `${path}.${position}`, message: `is ${value}, the model has 0 to ${limit - 1}` }],
  );
}

function answerOf(record: TokenRecord, request: ExplainRequest): TokenAnswer {
  const { text, id, start, end, word, special, sequence } = record;
  return {
    text,
    id,
    ...(sequence === null ? {} : { start, end }),
    ...(word === null ? {} : { word }),
    special,
    ...(sequence === null || request.text_pair === undefined ? {} : { sequence }),
  };
}

function unitsOf(
  { unit }: ExplainRequest,
  records: readonly TokenRecord[],
  { read, hidden }: Sequence,
): Unit[] {
  const counts = (token: number) => !records[token]?.special && token !== read && !hidden[token];
  if (unit === "token")
    return records.map((_, token) => ({ tokens: [token], scored: counts(token) }));

  const groups = new Map<string, number[]>();
  records.forEach(({ word }, token) => {
    const key = word === null ? `token ${token}` : `word ${word}`;
    groups.set(key, [...(groups.get(key) ?? []), token]);
  });
  if (records.every(({ sequence }) => sequence === null)) {
    throw new RequestError({ path: "unit", message: "word needs text: ids carry no words" });
  }
  return [...groups.values()].map((tokens) => ({ tokens, scored: tokens.every(counts) }));
}
