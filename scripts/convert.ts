// The command line: `npm run convert -- FOLDER --to FOLDER`. The work is done in convert/folder.ts.
import chalk from "chalk";
import { Command } from "commander";
import { type Converted, convertFolder } from "./convert/folder.ts";
import { createProgress } from "./progress.ts";

const description = `Converts a Hugging Face folder whose weights are a PyTorch pytorch_model.bin (PyTorch 1.6 or
later, one file or several with an index) into a folder with model.safetensors, which the
explainer reads.

Example:
  npm run convert -- ~/models/my-bert --to ~/models/my-bert-safetensors
  npm run explain -- "an oddly charming film" --checkpoint ~/models/my-bert-safetensors
`;

const details = `
A .bin is a Python pickle, which can hold any program. None is run here: only tensors are read,
and a file that asks for anything else is refused.

F32, F16 and BF16 stay what they are, F64 becomes F32, integer tensors such as position_ids are
left out. Every weight that the model needs is checked by name and shape, and the result is read
back before it takes its name: after an error or an interrupt nothing stays behind.

No weight file has more than 25 MiB where tensors allow it, so that Cloudflare can serve them as
assets; several have a model.safetensors.index.json.

Taken over as they are: config.json, tokenizer.json, tokenizer_config.json, vocab.txt and
special_tokens_map.json.

Exit status: 0 converted, 1 not converted, 2 wrong usage, 130 interrupted.`;

const MEBIBYTE = 1024 * 1024;

function report(to: string, converted: Converted): string {
  const { family, tensors, bytes, files, copied, notes, revision } = converted;
  const [first] = files;
  const where = files.length === 1 ? first : `${files.length} files, ${first} the first,`;
  const lines = [
    `${chalk.bold(to)}: ${family}, revision ${revision}`,
    `  ${tensors} tensors, ${bytes.toLocaleString("en")} bytes in ${where}`,
    `  taken over: ${copied.join(", ")}`,
    ...notes.map((note) => `  ${note}`),
  ];
  if (!copied.includes("tokenizer.json")) {
    lines.push("  no tokenizer.json: the model can be given --ids, and no text");
  }
  const input = copied.includes("tokenizer.json") ? '"hello world"' : "--ids 0,1,2";
  const folder = /^[\w@%+=:,./-]+$/.test(to) ? to : `'${to.replaceAll("'", `'\\''`)}'`;
  return `${lines.join("\n")}\n\nExplain with it:\n  npm run explain -- ${input} --checkpoint ${folder}\n`;
}

const program = new Command("npm run convert --")
  .argument("<folder>", "config.json, pytorch_model.bin, and the tokenizer's files")
  .requiredOption("--to <folder>", "where the converted model goes")
  .option("--force", "replace a model that is there already")
  .option("--debug", "print the stack of an error")
  .helpOption("-h, --help", "print this help")
  .configureHelp({ helpWidth: 96 })
  .addHelpText("before", description)
  .addHelpText("after", details)
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
  const converted = await convertFolder(from, to, {
    force,
    signal: interrupt.signal,
    onProgress: (done, total) =>
      progress.report("MiB written", done / MEBIBYTE, Math.ceil(total / MEBIBYTE)),
  });
  progress.clear();
  process.stdout.write(report(to, converted));
} catch (error) {
  progress.clear();
  const message = error instanceof Error ? error.message.replace(/\s*\n\s*/g, " ") : String(error);
  process.stderr.write(`${debug && error instanceof Error ? error.stack : message}\n`);
  process.exitCode = interrupt.signal.aborted ? 130 : 1;
}
