// The command from arguments to exit status: reads requests, explains them one after the other, prints answers.
import { Chalk, type ChalkInstance } from "chalk";
import type { Explanation } from "../../src/contract/answer.ts";
import type { ExplainRequestInput } from "../../src/contract/request.ts";
import type { Explainer } from "../../src/explainer/explainer.ts";
import { exitStatus, type ExitStatus, failureText, statusOf, UsageError } from "./failure.ts";
import { loadExplainer, modelName } from "./load.ts";
import { type Arguments, type Options, readArguments } from "./options.ts";
import { createProgress, type Progress, type Report } from "../progress.ts";
import { report as reportOf } from "./report.ts";
import {
  countRequests,
  inputLines,
  optionFields,
  refuseSingle,
  singleRequest,
} from "./requests.ts";
import { wholeNumber } from "./spelling.ts";

/** Exit status of `npm run explain -- ...argv`. Answers go to standard output, everything else to standard error. */
export async function main(argv: readonly string[]): Promise<ExitStatus> {
  const json = argv.includes("--json");
  const debug = argv.includes("--debug");
  const progress = createProgress({ stream: process.stderr, lines: !json });
  const fail = (error: unknown, line?: number): ExitStatus => {
    progress.clear();
    process.stderr.write(`${failureText(error, { json, debug, line })}\n`);
    return statusOf(error);
  };
  try {
    const given = readArguments(argv);
    if (given === undefined) return exitStatus.ok;
    const { input } = given.options;
    return await (input === undefined
      ? explainOne(given, progress)
      : explainLines(given, progress, fail));
  } catch (error) {
    return fail(error);
  }
}

async function explainOne(given: Arguments, progress: Progress): Promise<ExitStatus> {
  const { options } = given;
  const print = printer(options, progress);
  const request = await singleRequest(given);
  const explainer = await loadExplainer(options, progress.report);
  print(await timed(() => explainWith(explainer, request, progress.report)));
  return exitStatus.ok;
}

async function explainLines(
  given: Arguments,
  progress: Progress,
  fail: (error: unknown, line: number) => ExitStatus,
): Promise<ExitStatus> {
  const { options } = given;
  const { input = "-" } = options;
  refuseSingle(given);
  const print = printer(options, progress);
  const defaults = optionFields(options);
  const total = await countRequests(input);
  const explainer = await loadExplainer(options, progress.report);

  let status: ExitStatus = exitStatus.ok;
  let begun = 0;
  for await (const { line, request, error } of inputLines(input, defaults, modelName(options))) {
    const before = begun++;
    const report: Report = (label, done, all) =>
      total === undefined
        ? progress.report(`line ${line}: ${label}`, done, all)
        : progress.report("requests", before + done / all, total);
    try {
      if (error !== undefined) throw error;
      print(await timed(() => explainWith(explainer, request, report)), line);
    } catch (problem) {
      status = fail(problem, line);
    }
    if (total !== undefined) progress.report("requests", begun, total);
  }
  return status;
}

/** Reports how much of leave-one-out is done, all removals together. */
async function explainWith(
  explainer: Explainer,
  request: ExplainRequestInput,
  report: Report,
): Promise<Explanation> {
  const removals = [request.removal ?? "attention"].flat();
  const finished = new Set<string>();
  for await (const event of explainer.events(request)) {
    if (event.type === "done") return event.data;
    if (event.type !== "loo") continue;
    const { removal, measured } = event.data;
    const done = measured.filter(Boolean).length;
    report(
      "leave-one-out",
      finished.size * measured.length + done,
      removals.length * measured.length,
    );
    if (done === measured.length) finished.add(JSON.stringify(removal));
  }
  throw new Error("explainer: the events ended without an answer");
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const begin = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - begin) / 1000 };
}

type Print = (answer: { value: Explanation; seconds: number }, line?: number) => void;

/** Throws `UsageError` for a width that is none. */
function printer({ json, numbers = false, width: asked }: Options, progress: Progress): Print {
  const chalk = chalkOf(process.env);
  const width = lineWidth(asked);
  return ({ value, seconds }, line) => {
    progress.clear();
    if (json) {
      process.stdout.write(`${JSON.stringify(value)}\n`);
      return;
    }
    if (line !== undefined) process.stdout.write(`${chalk.inverse(` line ${line} `)}\n\n`);
    process.stdout.write(reportOf(value, { chalk, width, numbers, seconds }));
    if (line !== undefined) process.stdout.write("\n");
  };
}

const NARROWEST = 40;

/** A terminal that does not know its width says 0. Throws `UsageError` for a width that is none, or too little. */
function lineWidth(asked: string | undefined): number {
  if (asked === undefined) return Math.max(process.stdout.columns || 100, NARROWEST);
  const width = wholeNumber("--width", asked);
  if (width >= NARROWEST) return width;
  throw new UsageError(`--width: is ${width}, at least ${NARROWEST} are needed`);
}

/** chalk heeds FORCE_COLOR and the terminal; NO_COLOR (no-color.org) it leaves to its caller. */
function chalkOf({ NO_COLOR, FORCE_COLOR }: NodeJS.ProcessEnv): ChalkInstance {
  return NO_COLOR && FORCE_COLOR === undefined ? new Chalk({ level: 0 }) : new Chalk();
}
