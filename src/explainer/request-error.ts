// A request that is well formed but cannot be answered by this model.

export interface Problem {
  /** Field of the request, e.g. "target.label". */
  readonly path: string;
  readonly message: string;
}

export class RequestError extends Error {
  readonly problems: readonly Problem[];
  constructor(...problems: Problem[]) {
    super(problems.map(({ path, message }) => `${path} ${message}`).join("; "));
    this.name = "RequestError";
    this.problems = problems;
  }
}
