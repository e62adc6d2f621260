// The command line of what writes a checkpoint folder again: FOLDER --to FOLDER, progress, interrupts, one-line errors.
// Knows not what is done to the weights.
import chalk from "chalk";
import { Command } from "commander";
import { createProgress } from "../progress.ts";
import type { WriteOptions, Written } from "./written-folder.ts";

export interface FolderCommand<T extends Written> {
  /** As npm run knows it. */
  readonly name: string;
  /** What the folder given has to hold. */
  readonly folder: string;
  readonly description: string;
  readonly details: string;
  run(from: string, to: string, options: WriteOptions): Promise<T>;
  /** Lines between the folder's name and the files taken over. */
  lines(result: T): readonly string[];
}

const MEBIBYTE = 1024 * 1024;

/** Exit status: 0 written, 1 not written, 2 wrong usage, 130 interrupted. */
export async function runFolderCommand<T extends Written & { readonly family: string }>(
  command: FolderCommand<T>,
): Promise<void> {
  const program = new Command(`npm run ${command.name} --`)
    .argument("<folder>", command.folder)
    .requiredOption("--to <folder>", "where the new model goes")
    .option("--force", "replace a model that is there already")
    .option("--debug", "print the stack of an error")
    .helpOption("-h, --help", "print this help")
    .configureHelp({ helpWidth: 96 })
    .addHelpText("before", command.description)
    .addHelpText("after", command.details)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .parse();

  const [from] = program.args as [string];
  const {
    to,
    force = false,
    debug = false,
  } = program.opts<{
    to: string;
    force?: boolean;
    debug?: boolean;
  }>();

  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => interrupt.abort(new Error(`${to}: not written, ${signal} came`)));
  }
  const progress = createProgress({ stream: process.stderr, lines: true });
  try {
    const result = await command.run(from, to, {
      force,
      signal: interrupt.signal,
      onProgress: (done, total) =>
        progress.report("MiB written", done / MEBIBYTE, Math.ceil(total / MEBIBYTE)),
    });
    progress.clear();
    process.stdout.write(report(to, result, command.lines(result)));
  } catch (error) {
    progress.clear();
    const message =
      error instanceof Error ? error.message.replace(/\s*\n\s*/g, " ") : String(error);
    process.stderr.write(`${debug && error instanceof Error ? error.stack : message}\n`);
    process.exitCode = interrupt.signal.aborted ? 130 : 1;
  }
}

function report(
  to: string,
  { family, tensors, bytes, files, copied, notes, revision }: Written & { family: string },
  lines: readonly string[],
): string {
  const [first] = files;
  const where = files.length === 1 ? first : `${files.length} files, ${first} the first,`;
  const hasTokenizer = copied.includes("tokenizer.json");
  const all = [
    `${chalk.bold(to)}: ${family}, revision ${revision}`,
    `  ${tensors} tensors, ${bytes.toLocaleString("en")} bytes in ${where}`,
    ...lines.map((line) => `  ${line}`),
    `  taken over: ${copied.join(", ")}`,
    ...notes.map((line) => `  ${line}`),
    ...(hasTokenizer ? [] : ["  no tokenizer.json: the model can be given --ids, and no text"]),
  ];
  const input = hasTokenizer ? '"hello world"' : "--ids 0,1,2";
  const folder = /^[\w@%+=:,./-]+$/.test(to) ? to : `'${to.replaceAll("'", `'\\''`)}'`;
  return `${all.join("\n")}\n\nExplain with it:\n  npm run explain -- ${input} --checkpoint ${folder}\n`;
}
