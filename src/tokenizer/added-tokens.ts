// Cuts a text at the added tokens that stand in it literally ("[MASK]"), in the order and with the
// stripping of the library. Knows no model.

import type { Normalizer } from "@huggingface/tokenizers";
import { type AlignedText, cut } from "./aligned-text.ts";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Takes the white space before (after) it along. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Is looked for in the normalised text instead of the original. */
  readonly normalized: boolean;
}

export interface AddedTokens {
  /** By content, as written and as normalised. */
  readonly byText: ReadonlyMap<string, AddedToken>;
  readonly inOriginal: RegExp | null;
  readonly inNormalized: RegExp | null;
}

export function addedTokensOf(
  tokens: readonly AddedToken[],
  normalizer: Normalizer | null,
): AddedTokens {
  const byText = new Map<string, AddedToken>();
  const original: string[] = [];
  const normalized: string[] = [];
  for (const token of tokens) {
    byText.set(token.content, token);
    if (token.normalized && normalizer !== null) {
      const content = normalizer.normalize(token.content);
      byText.set(content, token);
      normalized.push(content);
    } else {
      original.push(token.content);
    }
  }
  return { byText, inOriginal: anyOf(original), inNormalized: anyOf(normalized) };
}

/** Cuts at every match of `pattern`; parts may be empty after stripping. */
export function cutAtAddedTokens(
  aligned: AlignedText,
  pattern: RegExp | null,
  byText: ReadonlyMap<string, AddedToken>,
): readonly AlignedText[] {
  const parts: AlignedText[] = [];
  let done = 0;
  for (const match of pattern === null ? [] : aligned.text.matchAll(pattern)) {
    if (match.index > done) parts.push(cut(aligned, done, match.index));
    done = match.index + match[0].length;
    parts.push(cut(aligned, match.index, done));
  }
  if (done < aligned.text.length) parts.push(cut(aligned, done, aligned.text.length));
  for (let index = 0; index < parts.length; index++) {
    const token = byText.get(parts[index]?.text ?? "");
    const before = parts[index - 1];
    const after = parts[index + 1];
    if (token?.lstrip && before !== undefined) {
      parts[index - 1] = cut(before, 0, before.text.trimEnd().length);
    }
    if (token?.rstrip && after !== undefined) {
      const from = after.text.length - after.text.trimStart().length;
      parts[index + 1] = cut(after, from, after.text.length);
    }
  }
  return parts;
}

/** Matches the longest of `contents` at the first place where one of them stands. */
function anyOf(contents: readonly string[]): RegExp | null {
  const alternatives = contents
    .filter((content) => content !== "")
    .toSorted((a, b) => b.length - a.length)
    .map((content) => content.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  return alternatives.length === 0 ? null : new RegExp(alternatives.join("|"), "g");
}
