// Runs the library's pre-tokenizer so that every pre-token keeps its origin, byte alphabets and
// metaspace included; and says where words begin. Knows no vocabulary.

import {
  ByteLevelPreTokenizer,
  MetaspacePreTokenizer,
  ReplaceNormalizer,
  ReplacePreTokenizer,
  SequenceNormalizer,
  SequencePreTokenizer,
  type Normalizer,
  type PreTokenizer,
} from "@huggingface/tokenizers";
import { type AlignedText, type Edit, locate, replaceMatches, rewrite } from "./aligned-text.ts";

const utf8 = new TextEncoder();

/** `section` counts the parts between added tokens: metaspace may treat the first differently. */
export function preTokens(
  aligned: AlignedText,
  preTokenizer: PreTokenizer | null,
  section: number,
): readonly AlignedText[] {
  if (preTokenizer === null) return [aligned];
  if (preTokenizer instanceof SequencePreTokenizer) {
    return preTokenizer.tokenizers.reduce<readonly AlignedText[]>(
      (parts, step) => parts.flatMap((part) => preTokens(part, step, section)),
      [aligned],
    );
  }
  const options = { section_index: section };
  const expected = preTokenizer.pre_tokenize_text(aligned.text, options);
  const found = locate(rewritten(aligned, preTokenizer, expected), expected);
  if (found === undefined) {
    throw new Error(
      `tokenizer: cannot follow offsets through the pre-tokenizer, pieces: ${expected.length}`,
    );
  }
  return found;
}

/** The text in which the pre-tokens `expected` can be found as they are. */
function rewritten(
  aligned: AlignedText,
  preTokenizer: PreTokenizer,
  expected: readonly string[],
): AlignedText {
  if (preTokenizer instanceof ByteLevelPreTokenizer) {
    const prefix = preTokenizer.add_prefix_space && !aligned.text.startsWith(" ");
    const whole = prefix ? rewrite(aligned, [{ from: 0, to: 0, text: " " }]) : aligned;
    return rewrite(whole, byteEdits(whole.text, preTokenizer.byte_encoder));
  }
  if (preTokenizer instanceof MetaspacePreTokenizer) {
    const mark = preTokenizer.str_rep;
    const marked = replaceMatches(aligned, / /g, mark);
    const prefix = expected[0]?.length !== marked.text.length;
    return prefix ? rewrite(marked, [{ from: 0, to: 0, text: mark }]) : marked;
  }
  if (preTokenizer instanceof ReplacePreTokenizer) {
    const { pattern, content } = preTokenizer;
    return pattern === null ? aligned : replaceMatches(aligned, pattern, content);
  }
  return aligned;
}

/** One edit per character, to its UTF-8 bytes in the alphabet of byte-level vocabularies. */
function byteEdits(text: string, alphabet: Readonly<Record<number, string>>): readonly Edit[] {
  const edits: Edit[] = [];
  let from = 0;
  for (const character of text) {
    const to = from + character.length;
    const bytes = Array.from(utf8.encode(character), (byte) => alphabet[byte] ?? "");
    edits.push({ from, to, text: bytes.join("") });
    from = to;
  }
  return edits;
}

/**
 * The characters that stand for a space in what the model sees (U+2581 in SentencePiece). The
 * library leaves texts marked so in one piece, and so does Hugging Face where the normalizer sets
 * the marks; a reader still sees words, so a word begins wherever a run of marks does.
 */
export function spaceMarks(
  normalizer: Normalizer | null,
  preTokenizer: PreTokenizer | null,
): ReadonlySet<string> {
  const marks = new Set<string>();
  const visitNormalizer = (part: Normalizer | null): void => {
    if (part instanceof SequenceNormalizer) part.normalizers.forEach(visitNormalizer);
    else if (part instanceof ReplaceNormalizer && part.config.pattern.String === " ") {
      marks.add(part.config.content);
    }
  };
  const visitPreTokenizer = (part: PreTokenizer | null): void => {
    if (part instanceof SequencePreTokenizer) part.tokenizers.forEach(visitPreTokenizer);
    else if (part instanceof MetaspacePreTokenizer) marks.add(part.str_rep);
  };
  visitNormalizer(normalizer);
  visitPreTokenizer(preTokenizer);
  marks.delete(" ");
  return marks;
}
