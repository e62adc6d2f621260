// The errors that routes raise themselves, and the kinds of problem that a caller can meet. Knows no HTTP framework.
import type { FieldProblem } from "../contract/problem.ts";

export interface Kind {
  readonly status: 400 | 401 | 404 | 405 | 413 | 415 | 422 | 429 | 499 | 500 | 503;
  readonly title: string;
}

/** Everything that can go wrong, by the last part of its `type`. */
export const kinds = {
  "malformed-body": { status: 400, title: "The body is not JSON in UTF-8" },
  unauthorized: { status: 401, title: "A key is needed" },
  "not-found": { status: 404, title: "There is no such route" },
  "unknown-model": { status: 404, title: "There is no such model" },
  "wrong-verb": { status: 405, title: "The route does not take this verb" },
  "body-too-large": { status: 413, title: "The body is too large" },
  "wrong-content-type": { status: 415, title: "The body is not declared as JSON" },
  "invalid-request": { status: 422, title: "The request is not valid" },
  "too-much-memory": { status: 422, title: "The request needs too much memory" },
  "too-many-requests": { status: 429, title: "Too many forward passes were asked for lately" },
  "client-gone": { status: 499, title: "The client closed the connection" },
  "non-finite": { status: 500, title: "A number came out as NaN or infinite" },
  internal: { status: 500, title: "The server failed" },
  "model-unavailable": { status: 503, title: "The model cannot be loaded" },
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof kinds;

/** A problem found by a route. The message is sent to the caller. */
export class ApiError extends Error {
  readonly kind: KindName;
  readonly problems: readonly FieldProblem[];
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    kind: KindName,
    message: string,
    {
      problems = [],
      headers = {},
      cause,
    }: {
      readonly problems?: readonly FieldProblem[];
      readonly headers?: Readonly<Record<string, string>>;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause });
    this.name = "ApiError";
    this.kind = kind;
    this.problems = problems;
    this.headers = headers;
  }
}
