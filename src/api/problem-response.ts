// From any error to an RFC 9457 answer. The one place that decides a status; nothing of an unexpected error is sent.
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import { OutOfMemory } from "../backend/backend.ts";
import type { FieldProblem, Problem } from "../contract/problem.ts";
import { NonFinite } from "../explainer/finite.ts";
import { RequestError } from "../explainer/request-error.ts";
import { ApiError, kinds, type KindName } from "./api-error.ts";
import type { ApiEnvironment } from "./environment.ts";
import { ModelUnavailable, UnknownModel } from "./model-store.ts";

/** Longest message that is sent: messages quote what the caller wrote. */
const LONGEST = 2_000;
const MOST_FIELDS = 50;

/** When to come back for a model that did not load. */
const RETRY_SECONDS = "10";

interface Finding {
  readonly kind: KindName;
  readonly detail: string;
  readonly problems?: readonly FieldProblem[];
  readonly headers?: Readonly<Record<string, string>>;
}

type Row = readonly [new (...values: never[]) => Error, (error: never) => Finding];

/** Kinds of error -> what the caller is told. First match wins. */
const findings: readonly Row[] = [
  [
    ApiError,
    ({ kind, message: detail, problems, headers }: ApiError) => ({
      kind,
      detail,
      problems,
      headers,
    }),
  ],
  [
    UnknownModel,
    ({ message: detail, problems }: UnknownModel) => ({ kind: "unknown-model", detail, problems }),
  ],
  [
    RequestError,
    ({ message: detail, problems }: RequestError) => ({
      kind: "invalid-request",
      detail,
      problems,
    }),
  ],
  [
    ModelUnavailable,
    ({ message: detail }: ModelUnavailable) => ({
      kind: "model-unavailable",
      detail,
      headers: { "Retry-After": RETRY_SECONDS },
    }),
  ],
  [OutOfMemory, ({ message: detail }: OutOfMemory) => ({ kind: "too-much-memory", detail })],
  [NonFinite, ({ message: detail }: NonFinite) => ({ kind: "non-finite", detail })],
  // Raised by the framework for requests that it cannot route to a schema.
  [HTTPException, ({ message: detail }: HTTPException) => ({ kind: "malformed-body", detail })],
];

/** The error handler of the app. */
export function problemResponse(error: Error, context: Context<ApiEnvironment>): Response {
  const finding = findingOf(error, context.req.raw.signal);
  const { status, title } = kinds[finding.kind];
  const requestId = context.get("requestId");
  if (status >= 500) report(error, finding, requestId);

  const { problems = [] } = finding;
  const detail = clip(finding.detail);
  const errors = problems
    .slice(0, MOST_FIELDS)
    .map(({ path, message }) => ({ path: clip(path), message: clip(message) }));
  const problem: Problem = {
    type: `urn:plumbline:problem:${finding.kind}`,
    title,
    status,
    detail,
    ...(errors.length > 0 ? { errors } : {}),
    request_id: requestId,
    error: detail,
  };
  const headers = { "Content-Type": "application/problem+json", ...finding.headers };
  return context.body(JSON.stringify(problem), status as 500, headers);
}

function findingOf(error: Error, signal: AbortSignal): Finding {
  const row = findings.find(([type]) => error instanceof type);
  if (row !== undefined) return row[1](error as never);
  if (signal.aborted) return { kind: "client-gone", detail: "the request was aborted" };
  return { kind: "internal", detail: "an unexpected error; the request id finds it in the log" };
}

/** Logs without what a caller wrote: messages of unexpected errors may quote it, names and stack frames do not. */
function report(error: Error, { kind, detail }: Finding, requestId: string): void {
  const origin = error.cause instanceof Error ? error.cause : error;
  const frames = origin.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  console.error(
    JSON.stringify({ request_id: requestId, kind, error: origin.name, detail, frames }),
  );
}

function clip(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
