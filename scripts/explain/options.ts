// The options of the command and its help. Turns arguments into strings by name, and does not know what they mean.
import { Command, CommanderError, Option } from "commander";
import { backendNames, type BackendName } from "../../src/node.ts";
import { UsageError } from "./failure.ts";

/** As commander hands them over: only what was given, and the defaults of `model` and `backend`. */
export interface Options {
  readonly pair?: string;
  readonly model: string;
  readonly checkpoint?: string;
  readonly ids?: string;
  readonly typeIds?: string;
  readonly attentionMask?: string;
  readonly input?: string;
  readonly backend: BackendName;
  readonly target?: string;
  readonly methods?: string;
  readonly removal?: string;
  readonly unit?: "token" | "word";
  readonly at?: "word" | "emb";
  readonly json?: boolean;
  readonly numbers?: boolean;
  readonly width?: string;
  readonly debug?: boolean;
}

export interface Arguments {
  readonly text: string | undefined;
  readonly options: Options;
}

const before = `Explains one prediction of a transformer: what it says, which tokens speak for it by
leave-one-out and by relevance methods, how far these agree, and a verdict.

Examples:
  npm run explain -- "an oddly charming film"
  npm run explain -- "good, not great" --target positive,negative --unit word
  npm run explain -- "not bad at all" --methods loo,attnlrp,cp-lrp:from=4 --removal attention,mask
  npm run explain -- "any text" --checkpoint ~/models/my-bert --backend reference
  npm run -s explain -- --input requests.jsonl --json > answers.jsonl
`;

const after = `
Methods, separated by commas, settings after colons:
  loo                    leave-one-out: the model is run without each token
  attnlrp                AttnLRP; attnlrp-unhalved without its halving of products
  cp-lrp                 softmax bypassed in all layers, or in some, counted from 0:
                         cp-lrp:from=4  cp-lrp:up-to=2  cp-lrp:only=2  cp-lrp:set=1+3
  cp-lrp-ali             cp-lrp with the true gradient of activations (Ali et al. 2022); layers as above
  gradient-x-input       gradient times input
  integrated-gradients   integrated-gradients:steps=100
  rollout                attention rollout, which has no signs
  attnlrp and cp-lrp take a stabiliser: attnlrp:epsilon=1e-6

Removals, what leave-one-out means by "without"; several give a ceiling for any method:
  attention (not attended to), mask, zero, delete, replace=TOKEN or replace=ID

A line of --input is one request of the HTTP API, for example
  {"text": "an oddly charming film", "methods": ["loo", {"method": "cp-lrp", "layers": {"from": 4}}]}
Options given beside --input hold for the lines that do not say otherwise.

Colours follow the terminal; NO_COLOR=1 and FORCE_COLOR=3 are honoured.

Exit status: 0 all answered, 1 a request was refused or failed, 2 wrong usage,
3 the model cannot be loaded.`;

/** Throws `UsageError`. Returns undefined where help was asked for; it is then printed. */
export function readArguments(argv: readonly string[]): Arguments | undefined {
  const program = describe();
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new UsageError(error.message.replace(/^error: /, ""));
  }
  const [text, ...rest] = program.args;
  if (rest.length > 0) {
    throw new UsageError(`text: is ${program.args.length} arguments; put it in quotes`);
  }
  return { text, options: program.opts<Options>() };
}

function describe(): Command {
  return new Command("npm run explain --")
    .argument("[text]", "the text to explain; standard input where it is piped")
    .allowExcessArguments()
    .addHelpOption(new Option("-h, --help", "print this help").helpGroup("Output:"))
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ helpWidth: 96 })
    .addHelpText("before", before)
    .addHelpText("after", after)
    .optionsGroup("Input:")
    .option("--pair <text>", "second text, for models of text pairs")
    .option("--ids <ids>", "token ids instead of a text, special tokens included: 2,11,183,3")
    .option("--type-ids <ids>", "token types of --ids (default: all 0)")
    .option("--attention-mask <bits>", "0 marks padding among --ids (default: all 1)")
    .option("--input <file>", 'a request of the HTTP API a line, as JSON; "-" is standard input')
    .optionsGroup("Model:")
    .option("--model <name>", "folder below public/models", "sst2")
    .addOption(
      new Option(
        "--checkpoint <folder>",
        "a Hugging Face folder anywhere, instead of --model",
      ).conflicts("model"),
    )
    .addOption(
      new Option("--backend <name>", "what computes; wasm takes the fastest build that runs here")
        .choices(backendNames)
        .default("wasm"),
    )
    .optionsGroup("Explanation:")
    .option("--target <label>", "predicted, a label, its index, or two to contrast: A,B")
    .option("--methods <list>", "default: loo,attnlrp,cp-lrp,gradient-x-input")
    .option("--removal <list>", "what leave-one-out does to a token (default: attention)")
    .addOption(unit())
    .addOption(at())
    .optionsGroup("Output:")
    .option("--json", "one answer of the HTTP API a line, and nothing else, on standard output")
    .option("--numbers", "scores instead of the tokens' text in the coloured rows")
    .option("--width <columns>", "instead of the terminal's (100 where there is none)")
    .option("--debug", "print the stack of an error");
}

const unit = () =>
  new Option("--unit <unit>", "what is removed at a time (default: token)").choices([
    "token",
    "word",
  ]);

const at = () =>
  new Option("--at <place>", "relevance of word or of summed embeddings (default: word)").choices([
    "word",
    "emb",
  ]);
