// One answer as a page of text: prediction, target, heatmap, comparison, verdict, cost. Computes nothing.
import type { ChalkInstance } from "chalk";
import type {
  ExplainedTarget,
  Explanation,
  Prediction,
  Verdict,
} from "../../src/contract/answer.ts";
import { removalName } from "../../src/explainer/removal.ts";
import { columnsOf, printable, rowsOf } from "./columns.ts";
import { cutTo, padTo, widthOf, wrapped } from "./grid.ts";
import { heatmap, type HeatmapOptions, painted, showsNumbers } from "./heatmap.ts";
import { bar, counted, decimals, percent } from "./numbers.ts";
import { comparisonTable } from "./table.ts";

export interface ReportOptions extends HeatmapOptions {
  /** Seconds that the explanation took, loading left out. */
  readonly seconds: number;
}

/** Lines, each with its end. */
export function report(answer: Explanation, options: ReportOptions): string {
  const { chalk } = options;
  const columns = columnsOf(answer);
  const rows = rowsOf(answer, columns);
  const parts = [
    [...predictionLines(answer.prediction, chalk), targetLine(answer.target, chalk)],
    [...heatmap(columns, rows, options), "", ...legendLines(answer, options)],
    comparisonLines(answer, options),
    verdictLines(answer.verdict, options),
    costLines(answer, options),
  ];
  return parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `${line}\n`).join(""))
    .join("\n");
}

const LABELS = 8;
const BAR = 20;

/** Headings stand in a margin of their own, as wide as the longest of them. */
const margin = "prediction  ";
const heading = (text: string, chalk: ChalkInstance) => chalk.bold(padTo(text, margin.length));

function predictionLines(prediction: readonly Prediction[], chalk: ChalkInstance): string[] {
  const shown = prediction.slice(0, LABELS).map((each) => ({
    ...each,
    label: cutTo(printable(each.label), 30),
    logit: decimals(each.logit),
  }));
  const labels = Math.max(...shown.map(({ label }) => widthOf(label)));
  const logits = Math.max(...shown.map(({ logit }) => logit.length));
  const lines = shown.map(({ label, score, logit }, index) => {
    const name = padTo(label, labels);
    const filled = bar(score, BAR);
    return [
      `${index === 0 ? heading("prediction", chalk) : " ".repeat(margin.length)}`,
      `${index === 0 ? chalk.bold(name) : name}  ${percent(score, 1).padStart(7)}  `,
      `${filled}${chalk.dim("░".repeat(BAR - filled.length))}  logit ${logit.padStart(logits)}`,
    ].join("");
  });
  const left = prediction.length - shown.length;
  return left > 0
    ? [...lines, `${" ".repeat(margin.length)}and ${counted(left, "label")} more`]
    : lines;
}

function targetLine({ label, contrast, value }: ExplainedTarget, chalk: ChalkInstance): string {
  const what = contrast
    ? `logit of ${contrast.labels[0]} minus logit of ${contrast.labels[1]}`
    : `logit of ${label ?? ""}`;
  return `${heading("explained", chalk)}${printable(what)}: ${decimals(value)}`;
}

/** What a score speaks for, and what a negative one does. */
function sides({ label = "", contrast }: ExplainedTarget): readonly [string, string] {
  const [favoured, other] = contrast?.labels ?? [label];
  const named = cutTo(printable(favoured), 30);
  return [
    `for ${named}`,
    other === undefined ? `against ${named}` : `for ${cutTo(printable(other), 30)}`,
  ];
}

function legendLines({ target, tokens }: Explanation, options: HeatmapOptions): string[] {
  const { chalk, width } = options;
  const [positive, negative] = sides(target);
  const hasSpecial = tokens.some(({ special }) => special);
  if (showsNumbers(options)) {
    const note = hasSpecial ? "; special tokens are not compared" : "";
    const lines = wrapped(`+ speaks ${positive}, - ${negative}${note}`, width);
    return lines.map((line) => chalk.dim(line));
  }
  const steps = Array.from({ length: 13 }, (_, step) => painted(chalk, step / 6 - 1, " "));
  const scale = `${chalk.dim(`- ${negative}`)} ${steps.join("")} ${chalk.dim(`${positive} +`)}`;
  const note = `each row to its own ±largest${hasSpecial ? "; dim: special, not compared" : ""}`;
  return beside(scale, chalk.dim(note), width);
}

/** Two texts on a line, or on two where it is too short. */
function beside(left: string, right: string, width: number): string[] {
  const line = `${left}   ${right}`;
  return widthOf(line) <= width ? [line] : [left, right];
}

function comparisonLines(
  { comparison, verdict, attributions }: Explanation,
  options: ReportOptions,
): string[] {
  if (comparison === undefined || comparison.rows.length === 0) return [];
  const { reference, units, excluded } = comparison;
  const noun = attributions.some(({ unit }) => unit === "word") ? "word" : "token";
  const removal = removalName(reference.removal);
  const head = `agreement with leave-one-out (${removal}) over ${counted(units, noun)}`;
  return [
    ...beside(options.chalk.bold(head), options.chalk.dim(`without ${excluded}`), options.width),
    ...comparisonTable(comparison, verdict, options),
  ];
}

const meanings: Readonly<Record<Verdict["level"], string>> = {
  agrees: "relevance ranks the text much as leave-one-out does",
  mixed: "relevance agrees with leave-one-out in part",
  diverges: "no method ranks the text as leave-one-out does",
  undecided: "there is too little to compare",
};

function verdictLines({ level, best, reasons }: Verdict, options: ReportOptions): string[] {
  const { chalk } = options;
  const closest = best === undefined ? "" : `; closest is ${best}`;
  return [
    ...headed("verdict", `${chalk.bold(`${level}:`)} ${meanings[level]}${closest}`, options),
    ...reasons.flatMap((reason) => headed("", `- ${reason}`, options)),
  ];
}

function costLines({ cost, backend, model }: Explanation, options: ReportOptions): string[] {
  const parts = [
    counted(cost.forwards, "forward"),
    counted(cost.relevance_passes, "relevance pass", "relevance passes"),
    counted(cost.tokens, "token"),
    `${options.seconds.toFixed(2)} s`,
    backend,
    `${model.name} ${model.revision}`,
  ];
  return headed("cost", parts.join(", "), options);
}

/** Text beside its heading, wrapped in a column of its own. */
function headed(title: string, text: string, { chalk, width }: HeatmapOptions): string[] {
  const indent = " ".repeat(margin.length);
  return wrapped(text, width - margin.length).map((line, index) =>
    index === 0 ? `${title === "" ? indent : heading(title, chalk)}${line}` : `${indent}${line}`,
  );
}
