// The heatmap on a terminal: a row per method, tokens across, in blocks as wide as the terminal. Where there are colours
// the tokens stand on them; elsewhere, and where asked for, signed numbers stand under the tokens.
import type { ChalkInstance } from "chalk";
import type { Column, Row } from "./columns.ts";
import { blocksOf, cutTo, padTo, type Span, widthOf } from "./grid.ts";
import { signed, size } from "./numbers.ts";
import { fillOf, indexedFillOf, inkOn } from "./palette.ts";

export interface HeatmapOptions {
  readonly chalk: ChalkInstance;
  /** Cells of a line. */
  readonly width: number;
  /** Numbers although there are colours. */
  readonly numbers?: boolean;
}

/** Fewer colours than 256 cannot show a scale. */
export const showsScale = ({ level }: ChalkInstance) => level >= 2;

export const showsNumbers = ({ chalk, numbers = false }: HeatmapOptions) =>
  numbers || !showsScale(chalk);

/** Lines without their ends; an empty one parts two blocks. */
export function heatmap(
  columns: readonly Column[],
  rows: readonly Row[],
  options: HeatmapOptions,
): string[] {
  return showsNumbers(options)
    ? numberBlocks(columns, rows, options)
    : colourBlocks(columns, rows, options);
}

/** `text` in the colours of a score that is this share of the largest. */
export function painted(chalk: ChalkInstance, share: number, text: string): string {
  if (chalk.level < 3) {
    // chalk's own way to 256 colours turns the pale ones pink and lilac.
    const { index, colour } = indexedFillOf(share);
    return chalk.bgAnsi256(index).ansi256(inkOn(colour)[0] === 0 ? 16 : 231)(text);
  }
  const fill = fillOf(share);
  return chalk.bgRgb(...fill).rgb(...inkOn(fill))(text);
}

const share = (score: number, { largest }: Row) => (largest === 0 ? 0 : score / largest);

function colourBlocks(
  columns: readonly Column[],
  rows: readonly Row[],
  { chalk, width }: HeatmapOptions,
): string[] {
  const labels = labelsOf(
    rows.map(({ title }) => title),
    rows.map(({ largest }) => `±${size(largest)}`),
    width,
  );
  const available = Math.max(width - widthOf(labels[0] ?? ""), 8);
  const cells = columns.map(({ text, joined, special }, index) => {
    const ends = columns[index + 1]?.joined ? "" : " ";
    const cell = `${joined ? "" : " "}${cutTo(text, available - 2)}${ends}`;
    return { cell, joined, special, width: widthOf(cell) };
  });
  const line = (row: Row, label: string, { begin, end }: Span) =>
    label +
    cells
      .slice(begin, end)
      .map(({ cell, special }, index) =>
        special
          ? chalk.dim(cell)
          : painted(chalk, share(row.scores[begin + index] ?? 0, row), cell),
      )
      .join("");
  // A special token shows no colour, so a last line of nothing else would say nothing.
  const blocks = blocksOf(cells, available);
  const telling = blocks.filter(({ begin, end }) =>
    cells.slice(begin, end).some(({ special }) => !special),
  );
  return inBlocks(telling.length > 0 ? telling : blocks, (span) =>
    rows.map((row, index) => line(row, labels[index] ?? "", span)),
  );
}

function numberBlocks(
  columns: readonly Column[],
  rows: readonly Row[],
  { chalk, width }: HeatmapOptions,
): string[] {
  const titles = rows.map(({ title }) => title);
  const labels = labelsOf(titles, [], width);
  const margin = widthOf(labels[0] ?? "");
  const available = Math.max(width - margin, 12);
  const numbers = rows.map(({ scores, largest }) => scores.map((score) => signed(score, largest)));
  const cells = columns.map(({ text, joined, special }, index) => {
    const own = numbers.map((row) => widthOf(row[index] ?? ""));
    const cut = cutTo(text, available - 2);
    const inner = Math.max(widthOf(cut), ...own);
    // A word's pieces are tied together by dots, words are parted by spaces.
    const tied = columns[index + 1]?.joined ?? false;
    return { text: cut, joined, special, tied, inner, width: inner + (tied ? 1 : 2) };
  });
  type Cell = (typeof cells)[number];
  const header = (cell: Cell) => {
    const fill = (cell.tied ? "·" : " ").repeat(cell.width - widthOf(cell.text));
    return `${cell.special ? chalk.dim(cell.text) : cell.text}${chalk.dim(fill)}`;
  };
  const number = (cell: Cell, text: string, part: number) => {
    const padded = padTo(text, cell.inner);
    const gap = " ".repeat(cell.width - cell.inner);
    if (cell.special) return chalk.dim(padded) + gap;
    return (showsScale(chalk) ? painted(chalk, part, padded) : padded) + gap;
  };
  return inBlocks(blocksOf(cells, available), ({ begin, end }) => {
    const shown = cells.slice(begin, end);
    return [
      " ".repeat(margin) + shown.map(header).join(""),
      ...rows.map((row, index) => {
        const texts = numbers[index] ?? [];
        const parts = shown.map((cell, offset) => {
          const column = begin + offset;
          return number(cell, texts[column] ?? "", share(row.scores[column] ?? 0, row));
        });
        return (labels[index] ?? "") + parts.join("");
      }),
    ].map((line) => line.trimEnd());
  });
}

/** Titles, and what stands behind them, all of one width with a gap after them. */
function labelsOf(titles: readonly string[], behind: readonly string[], width: number): string[] {
  const longest = Math.min(Math.max(0, ...titles.map(widthOf)), Math.floor(width * 0.4));
  const widest = Math.max(0, ...behind.map(widthOf));
  return titles.map((title, index) => {
    const label = padTo(cutTo(title, longest), longest);
    return `${label}  ${widest > 0 ? `${padTo(behind[index] ?? "", widest, "right")} ` : ""}`;
  });
}

function inBlocks(spans: readonly Span[], lines: (span: Span) => string[]): string[] {
  return spans.flatMap((span, index) => [...(index > 0 ? [""] : []), ...lines(span)]);
}
