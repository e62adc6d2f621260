// Lays columns out in blocks that fit a width, and cuts and pads text by the cells it takes on a terminal.
// Knows no colours and no scores.
import stringWidth from "string-width";

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Cells that `text` takes on a terminal; escape codes take none, CJK and emoji two a character. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** `text` cut to at most `width` cells, the last of them "…" where something was cut off. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  for (const { segment } of segmenter.segment(text)) {
    if (widthOf(kept + segment) > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

export type Alignment = "left" | "right";

export function padTo(text: string, width: number, alignment: Alignment = "left"): string {
  const spaces = " ".repeat(Math.max(0, width - widthOf(text)));
  return alignment === "left" ? text + spaces : spaces + text;
}

/** `text` broken between words into lines of at most `width` cells; a longer word keeps a line to itself. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(`${last} ${word}`) <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}

export interface Span {
  readonly begin: number;
  /** Excluded. */
  readonly end: number;
}

export interface Cell {
  readonly width: number;
  /** Not to be parted from the cell before it, if that can be helped. */
  readonly joined: boolean;
}

/** Runs of cells that fit `available`; joined cells stay together unless they alone are too wide. */
export function blocksOf(cells: readonly Cell[], available: number): Span[] {
  const blocks: Span[] = [];
  let [begin, used] = [0, 0];
  for (const { begin: first, end } of groupsOf(cells)) {
    const group = widthBetween(cells, first, end);
    if (used > 0 && used + group > available) {
      blocks.push({ begin, end: first });
      [begin, used] = [first, 0];
    }
    for (let index = first; index < end; index++) {
      const width = cells[index]?.width ?? 0;
      if (used > 0 && used + width > available) {
        blocks.push({ begin, end: index });
        [begin, used] = [index, 0];
      }
      used += width;
    }
  }
  if (begin < cells.length) blocks.push({ begin, end: cells.length });
  return blocks;
}

function groupsOf(cells: readonly Cell[]): Span[] {
  const starts = cells.flatMap(({ joined }, index) => (joined && index > 0 ? [] : [index]));
  return starts.map((begin, group) => ({ begin, end: starts[group + 1] ?? cells.length }));
}

function widthBetween(cells: readonly Cell[], begin: number, end: number): number {
  return cells.slice(begin, end).reduce((sum, { width }) => sum + width, 0);
}
