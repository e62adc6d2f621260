// The comparison with leave-one-out as a table. Chooses no colours; the best row is bold where there is bold.
import type { ChalkInstance } from "chalk";
import type { Comparison, Verdict } from "../../src/contract/answer.ts";
import { methodTitle } from "../../src/explainer/compare.ts";
import { type Alignment, padTo, widthOf } from "./grid.ts";
import { decimals, percent } from "./numbers.ts";

type ComparisonRow = Comparison["rows"][number];

interface TableColumn {
  readonly head: string;
  readonly alignment: Alignment;
  /** Left out where the line is too short, the lowest number first. */
  readonly rank?: number;
  readonly cell: (row: ComparisonRow, index: number) => string;
}

export interface TableOptions {
  readonly chalk: ChalkInstance;
  readonly width: number;
}

/** Lines without their ends, the head first. */
export function comparisonTable(
  { rows, ceiling }: Comparison,
  { best, levels }: Verdict,
  { chalk, width }: TableOptions,
): string[] {
  if (rows.length === 0) return [];
  const titles = rows.map((row) => methodTitle({ ...row, scores: [] }));
  const bestRow = titles.findIndex((title) => title === best);
  const [first] = rows;
  const columns: readonly TableColumn[] = [
    { head: "method", alignment: "left", cell: (_, index) => titles[index] ?? "" },
    { head: "pearson", alignment: "right", rank: 3, cell: ({ pearson }) => shown(pearson) },
    { head: "spearman", alignment: "right", cell: ({ spearman }) => shown(spearman) },
    {
      head: "95 % interval",
      alignment: "left",
      rank: 1,
      cell: ({ interval }) => shownRange(interval),
    },
    { head: "kendall", alignment: "right", rank: 2, cell: ({ kendall }) => shown(kendall) },
    { head: `top ${first?.top_k?.k ?? "k"}`, alignment: "right", cell: topOf },
    { head: "sign", alignment: "right", cell: ({ sign_agreement: sign }) => shown(sign, percent) },
    {
      head: "",
      alignment: "left",
      cell: ({ note }, index) =>
        note ?? `${levels[index]?.level ?? ""}${index === bestRow ? ", best" : ""}`,
    },
  ];
  const body = rows.map((row, index) => columns.map(({ cell }) => cell(row, index)));
  if (ceiling !== undefined) {
    const cells: Readonly<Record<string, string>> = {
      method: "ceiling",
      spearman: decimals(ceiling.spearman),
      "": `of ${ceiling.removals.join(", ")}`,
    };
    body.push(columns.map(({ head }) => cells[head] ?? ""));
  }
  const cells = [columns.map(({ head }) => head), ...body];
  const lines = fitted(columns, cells, width);
  return lines.map((line, index) =>
    index === 0 ? chalk.dim(line) : index === bestRow + 1 && bestRow >= 0 ? chalk.bold(line) : line,
  );
}

/** Cells in columns, two spaces apart, without the optional columns that do not fit or are empty. */
function fitted(
  columns: readonly TableColumn[],
  cells: readonly (readonly string[])[],
  width: number,
): string[] {
  const widths = columns.map((_, index) =>
    Math.max(...cells.map((line) => widthOf(line[index] ?? ""))),
  );
  const kept = new Set(columns.keys());
  columns.forEach(({ rank }, index) => {
    const saysNothing = cells.slice(1).every((line) => ["", "-"].includes(line[index] ?? ""));
    if (rank !== undefined && saysNothing) kept.delete(index);
  });
  const total = () => [...kept].reduce((sum, index) => sum + (widths[index] ?? 0) + 2, -2);
  const optional = [...columns.keys()]
    .filter((index) => columns[index]?.rank !== undefined)
    .toSorted((a, b) => (columns[a]?.rank ?? 0) - (columns[b]?.rank ?? 0));
  for (const index of optional) {
    if (total() > width) kept.delete(index);
  }
  return cells.map((line) =>
    [...kept]
      .map((index) => padTo(line[index] ?? "", widths[index] ?? 0, columns[index]?.alignment))
      .join("  ")
      .trimEnd(),
  );
}

function shown(value: number | undefined, format: (value: number) => string = decimals): string {
  return value === undefined ? "-" : format(value);
}

function shownRange(interval: readonly [number, number] | undefined): string {
  return interval === undefined ? "-" : `[${decimals(interval[0])}, ${decimals(interval[1])}]`;
}

/** "2/3" of the top three; ties can share a place, which then counts in part. */
function topOf({ top_k: top }: ComparisonRow): string {
  return top === undefined ? "-" : `${Number((top.overlap * top.k).toFixed(1))}/${top.k}`;
}
