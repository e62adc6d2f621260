// How the command fails: its exit statuses, and one line, or one JSON object, per failure. Prints nothing itself.
import { type Problem, RequestError } from "../../src/explainer/request-error.ts";

export const exitStatus = { ok: 0, refused: 1, usage: 2, model: 3 } as const;
export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** A command line that cannot be understood. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** A model, or the backend that would hold it, cannot be loaded; `cause` says why. */
export class LoadError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = "LoadError";
  }
}

const kinds = [
  { type: UsageError, status: exitStatus.usage, title: "wrong usage" },
  { type: LoadError, status: exitStatus.model, title: "model cannot be loaded" },
  { type: RequestError, status: exitStatus.refused, title: "request refused" },
] as const;

/** A number that is not finite, memory that ran out, a defect: this request has no answer, the next may have one. */
const failed = { status: exitStatus.refused, title: "explanation failed" };

const kindOf = (error: unknown) => kinds.find(({ type }) => error instanceof type) ?? failed;

/** What an error means for the process. */
export function statusOf(error: unknown): ExitStatus {
  return kindOf(error).status;
}

export interface FailureOptions {
  readonly json: boolean;
  /** Adds the stack, and that of the cause. */
  readonly debug: boolean;
  /** Line of `--input`, counted from 1. */
  readonly line?: number | undefined;
}

/** One line without its end: the subject first, or an object in the shape of RFC 9457. */
export function failureText(error: unknown, { json, debug, line }: FailureOptions): string {
  const detail = messageOf(error)
    .replace(/\s*\n\s*/g, " ")
    .trim();
  const stack = debug ? stackOf(error) : undefined;
  if (!json) {
    const where = line === undefined ? "" : `line ${line}: `;
    return `${where}${detail}${stack === undefined ? "" : `\n${stack}`}`;
  }
  const errors: readonly Problem[] = error instanceof RequestError ? error.problems : [];
  return JSON.stringify({ title: kindOf(error).title, detail, errors, line, stack });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
