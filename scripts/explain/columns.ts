// The columns of a heatmap: tokens, or words, as they stand in the text, and every method's score of each.
// Knows answers and no terminal.
import type { Attribution, Explanation, TokenAnswer } from "../../src/contract/answer.ts";
import { methodTitle } from "../../src/explainer/compare.ts";
import { removalName } from "../../src/explainer/removal.ts";

export interface Column {
  /** Printable: no line breaks, no control characters, no spaces around it. */
  readonly text: string;
  /** Follows the column before it without a space. */
  readonly joined: boolean;
  readonly special: boolean;
  /** Indices into the answer's tokens. */
  readonly tokens: readonly number[];
}

export interface Row {
  readonly title: string;
  /** One per column. */
  readonly scores: readonly number[];
  /** Largest absolute score of the columns that are not special, of all where all are. */
  readonly largest: number;
}

/** A column per token, or per word where leave-one-out removed words. */
export function columnsOf({ tokens, attributions }: Explanation): Column[] {
  const byWord = attributions.some(({ unit }) => unit === "word");
  const columns: Column[] = [];
  tokens.forEach((token, index) => {
    const before = tokens[index - 1];
    const column = columnOf(token, before, index);
    const last = columns.at(-1);
    if (byWord && last && token.word !== undefined && token.word === before?.word) {
      columns[columns.length - 1] = {
        ...last,
        text: last.text + column.text,
        tokens: [...last.tokens, index],
      };
    } else {
      columns.push(column);
    }
  });
  return columns;
}

function columnOf(token: TokenAnswer, before: TokenAnswer | undefined, index: number): Column {
  const { special } = token;
  const neighbours = before !== undefined && !before.special && !special;
  const sameText = neighbours && before.sequence === token.sequence;
  const { text, joined } = standingIn(token, sameText ? before : undefined);
  return { text: printable(text), joined, special, tokens: [index] };
}

/** Text of a token without what the token before it has shown, and whether it follows without a space. */
function standingIn({ text, start, end }: TokenAnswer, before: TokenAnswer | undefined) {
  if (start === undefined || end === undefined) {
    // Ids without a text: only WordPiece says that a piece goes on.
    const joined = before !== undefined && text.startsWith("##") && text.length > 2;
    return { text: joined ? text.slice(2) : text, joined };
  }
  if (before?.end === undefined) return { text, joined: false };
  const shown = Math.max(before.end - start, 0);
  const joined = start <= before.end && !/^\s/.test(text);
  // Pieces of one character (bytes of an emoji) each cover all of it; the first shows it.
  return { text: shown >= end - start ? "·" : text.slice(shown), joined };
}

/** A row per attribution; a word's relevance is the sum of its tokens', its leave-one-out score stands at each. */
export function rowsOf({ attributions }: Explanation, columns: readonly Column[]): Row[] {
  return attributions.map((attribution) => {
    const scores = columns.map(({ tokens }) => scoreOf(attribution, tokens));
    const counted = scores.filter((_, index) => !columns[index]?.special);
    const sizes = (counted.length > 0 ? counted : scores).map(Math.abs);
    return { title: titleOf(attribution), scores, largest: Math.max(0, ...sizes) };
  });
}

function scoreOf({ method, scores }: Attribution, tokens: readonly number[]): number {
  if (method === "loo") return scores[tokens[0] ?? 0] ?? 0;
  return tokens.reduce((sum, token) => sum + (scores[token] ?? 0), 0);
}

function titleOf(attribution: Attribution): string {
  const { removal } = attribution;
  return removal === undefined ? methodTitle(attribution) : `loo, ${removalName(removal)}`;
}

/** Without anything that would move the cursor, break the line or turn its direction. */
export function printable(text: string): string {
  const trimmed = text.trim();
  return (trimmed === "" ? "␣" : trimmed).replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu,
    "·",
  );
}
