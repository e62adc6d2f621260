// A string that knows, for every UTF-16 unit, which range of the original text it came from; and
// the operations that keep this true: cut, rewrite, locate. Knows no tokenizer.

/** Range of UTF-16 units, end excluded. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface AlignedText {
  readonly text: string;
  /** Per UTF-16 unit of `text`: where its origin starts in the original. Never decreasing. */
  readonly starts: readonly number[];
  /** Per UTF-16 unit of `text`: where its origin ends in the original. Never decreasing. */
  readonly ends: readonly number[];
  /** The range the whole was cut from: what text inserted into nothing stands for. */
  readonly origin: Span;
}

/** Replaces units `from` to `to` (excluded) by `text`; `from === to` inserts. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** The original itself. Both halves of a surrogate pair stand for the whole character. */
export function alignOriginal(text: string): AlignedText {
  const starts: number[] = [];
  const ends: number[] = [];
  for (const character of text) {
    const start = starts.length;
    for (let unit = 0; unit < character.length; unit++) {
      starts.push(start);
      ends.push(start + character.length);
    }
  }
  return { text, starts, ends, origin: { start: 0, end: text.length } };
}

/** The range of the original that units `from` to `to` (excluded, not empty) came from. */
export function spanOf(aligned: AlignedText, from: number, to: number): Span {
  const start = aligned.starts[from];
  const end = aligned.ends[to - 1];
  if (start === undefined || end === undefined || to <= from) {
    throw new RangeError(`tokenizer: empty or out-of-range part of a text: ${from}..${to}`);
  }
  return { start, end };
}

export function cut(aligned: AlignedText, from: number, to: number): AlignedText {
  return {
    text: aligned.text.slice(from, to),
    starts: aligned.starts.slice(from, to),
    ends: aligned.ends.slice(from, to),
    origin: from < to ? spanOf(aligned, from, to) : aligned.origin,
  };
}

/**
 * Applies edits given from left to right without overlap. Replaced text stands for all it replaces;
 * inserted text for the character after it (before it at the end), as in Hugging Face's offsets.
 */
export function rewrite(aligned: AlignedText, edits: readonly Edit[]): AlignedText {
  const length = aligned.text.length;
  const starts: number[] = [];
  const ends: number[] = [];
  let text = "";
  let done = 0;
  const keep = (to: number): void => {
    text += aligned.text.slice(done, to);
    for (; done < to; done++) {
      starts.push(aligned.starts[done] ?? 0);
      ends.push(aligned.ends[done] ?? 0);
    }
  };
  for (const edit of edits) {
    keep(edit.from);
    if (edit.text === aligned.text.slice(edit.from, edit.to)) continue;
    const first = Math.min(edit.from, length - 1);
    const span =
      length === 0 ? aligned.origin : spanOf(aligned, first, Math.max(edit.to, first + 1));
    text += edit.text;
    for (let unit = 0; unit < edit.text.length; unit++) {
      starts.push(span.start);
      ends.push(span.end);
    }
    done = edit.to;
  }
  keep(length);
  return { text, starts, ends, origin: aligned.origin };
}

/** Every match of a global `pattern` becomes `content`, taken literally. */
export function replaceMatches(
  aligned: AlignedText,
  pattern: RegExp,
  content: string,
): AlignedText {
  const edits = Array.from(aligned.text.matchAll(pattern), (match) => ({
    from: match.index,
    to: match.index + match[0].length,
    text: content,
  }));
  return rewrite(aligned, edits);
}

/**
 * Finds `parts`, in order and without overlap, in the text. Undefined where they are missing or
 * could lie in more than one way: then nobody knows which characters a part came from.
 */
export function locate(
  aligned: AlignedText,
  parts: readonly string[],
): readonly AlignedText[] | undefined {
  const { text } = aligned;
  const leftmost: number[] = [];
  let from = 0;
  for (const part of parts) {
    const at = text.indexOf(part, from);
    if (at < 0) return undefined;
    leftmost.push(at);
    from = at + part.length;
  }
  // Every part now lies as far left as it goes; there is one way only if the far right is the same.
  let to = text.length;
  for (let index = parts.length - 1; index >= 0; index--) {
    const part = parts[index] ?? "";
    const at = text.lastIndexOf(part, to - part.length);
    if (at !== leftmost[index]) return undefined;
    to = at;
  }
  return parts.map((part, index) => {
    const at = leftmost[index] ?? 0;
    return cut(aligned, at, at + part.length);
  });
}
