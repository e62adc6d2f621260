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

/** A number in an answer came out as NaN or infinite. Nothing of the answer is sent. */
export class NonFinite extends Error {
  constructor(what: string) {
    super(`${what}: a number came out as NaN or infinite`);
    this.name = "NonFinite";
  }
}

/** Returns `values` if all are finite; throws `NonFinite` naming `what` otherwise. */
export function finite<T extends ArrayLike<number>>(what: string, values: T): T {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new NonFinite(what);
  }
  return values;
}
