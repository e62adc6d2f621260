// No NaN and no infinity leaves the house: JSON has neither, and JSON.stringify would write null instead.

/** A number came out as NaN or infinite. Nothing of the answer is sent. */
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

/** The last look at an answer: returns it if every number in it is finite; throws `NonFinite` naming the method, or the field. */
export function finiteAnswer<T>(answer: T): T {
  check(answer, "answer");
  return answer;
}

function check(value: unknown, what: string): void {
  if (typeof value === "number" && !Number.isFinite(value)) throw new NonFinite(what);
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const each of value) check(each, what);
    return;
  }
  const method = "method" in value && typeof value.method === "string" ? value.method : undefined;
  for (const [field, each] of Object.entries(value)) check(each, method ?? `${what}.${field}`);
}
