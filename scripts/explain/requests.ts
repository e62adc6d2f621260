// From the command line, standard input or a file of lines to requests. Knows the contract, not the model.
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { text as readAll } from "node:stream/consumers";
import type { ExplainRequestInput } from "../../src/contract/request.ts";
import { parse } from "../../src/explainer/explainer.ts";
import { RequestError } from "../../src/explainer/request-error.ts";
import { messageOf, UsageError } from "./failure.ts";
import type { Arguments, Options } from "./options.ts";
import { methodsOf, removalsOf, targetOf, wholeNumbers } from "./spelling.ts";

type Fields = Partial<ExplainRequestInput>;

/** What the options say about a request, text and ids left out. Throws `UsageError`. */
export function optionFields({ target, methods, removal, unit, at }: Options): Fields {
  return {
    ...(target === undefined ? {} : { target: targetOf(target) }),
    ...(methods === undefined ? {} : { methods: methodsOf(methods) }),
    ...(removal === undefined ? {} : { removal: removalsOf(removal) }),
    ...(unit === undefined ? {} : { unit }),
    ...(at === undefined ? {} : { at }),
  };
}

/** The one request of a command line without --input, valid by the contract. Throws `UsageError`. */
export async function singleRequest({ text, options }: Arguments): Promise<ExplainRequestInput> {
  const { pair, ids, typeIds, attentionMask } = options;
  const given = text ?? (ids === undefined ? await pipedText() : undefined);
  const request = {
    ...(given === undefined ? {} : { text: given }),
    ...(pair === undefined ? {} : { text_pair: pair }),
    ...(ids === undefined ? {} : { ids: wholeNumbers("--ids", ids) }),
    ...(typeIds === undefined ? {} : { type_ids: wholeNumbers("--type-ids", typeIds) }),
    ...(attentionMask === undefined
      ? {}
      : { attention_mask: wholeNumbers("--attention-mask", attentionMask) as (0 | 1)[] }),
    ...optionFields(options),
  };
  try {
    parse(request);
  } catch (error) {
    throw error instanceof RequestError ? new UsageError(inOptions(error, options)) : error;
  }
  return request;
}

async function pipedText(): Promise<string> {
  if (process.stdin.isTTY) {
    throw new UsageError("text: is missing; give a text, --ids or --input (--help has examples)");
  }
  const text = (await readAll(process.stdin)).replace(/\r?\n$/, "");
  if (text.trim() === "")
    throw new UsageError("text: standard input is empty, and no text is given");
  return text;
}

const optionOf: Readonly<Record<string, string>> = {
  text: "text",
  text_pair: "--pair",
  ids: "--ids",
  type_ids: "--type-ids",
  attention_mask: "--attention-mask",
  methods: "--methods",
  removal: "--removal",
  target: "--target",
};

/** The same problems, naming options where the contract names fields. */
function inOptions({ problems }: RequestError, { methods }: Options): string {
  const [first] = problems;
  const [field = "", index, ...rest] = (first?.path ?? "").split(".");
  const spelled = field === "methods" && index ? methods?.split(",")[Number(index)] : index;
  const place = [spelled, ...rest].filter((part) => part !== undefined).join(" ");
  return `${optionOf[field] ?? field}: ${place === "" ? "" : `${place} `}${first?.message ?? ""}`;
}

/** A line of --input: its number, counted from 1, and its request or what is wrong with it. */
export type InputLine = { readonly line: number } & (
  | { readonly request: ExplainRequestInput; readonly error?: undefined }
  | { readonly request?: undefined; readonly error: Error }
);

/** Options that speak of one text cannot stand beside --input. Throws `UsageError`. */
export function refuseSingle({ text, options }: Arguments): void {
  const { pair, ids, typeIds, attentionMask } = options;
  const single = { text, "--pair": pair, "--ids": ids, "--type-ids": typeIds };
  for (const [name, value] of Object.entries({ ...single, "--attention-mask": attentionMask })) {
    if (value !== undefined) throw new UsageError(`${name}: cannot stand beside --input`);
  }
}

/** Throws `UsageError` where the file cannot be read. Empty lines are passed over. */
export async function* inputLines(
  path: string,
  defaults: Fields,
  model: string,
): AsyncGenerator<InputLine> {
  const stream = path === "-" ? process.stdin : (await openFile(path)).createReadStream();
  let line = 0;
  for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
    line++;
    if (text.trim() !== "") yield { line, ...requestOfLine(text, defaults, model) };
  }
}

/** How many requests a file holds; undefined for a pipe, which can be read once only. Throws `UsageError`. */
export async function countRequests(path: string): Promise<number | undefined> {
  if (path === "-") return undefined;
  const file = await openFile(path);
  const isFile = (await file.stat()).isFile();
  await file.close();
  if (!isFile) return undefined;
  let count = 0;
  for await (const text of createInterface({ input: createReadStream(path) })) {
    if (text.trim() !== "") count++;
  }
  return count;
}

async function openFile(path: string) {
  try {
    return await open(path);
  } catch (error) {
    throw new UsageError(`--input: cannot be read: ${messageOf(error)}`);
  }
}

function requestOfLine(text: string, defaults: Fields, model: string) {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    const request = (isObject ? { ...defaults, ...value } : value) as ExplainRequestInput;
    const wanted = parse(request).model;
    if (wanted !== undefined && wanted !== model) {
      const message = `is ${JSON.stringify(wanted)}, this run has ${JSON.stringify(model)}`;
      throw new RequestError({ path: "model", message });
    }
    return { request };
  } catch (error) {
    if (error instanceof RequestError) return { error };
    return { error: new RequestError({ path: "", message: `not JSON: ${messageOf(error)}` }) };
  }
}
