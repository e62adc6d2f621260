// The last look at an answer: JSON has no NaN and no infinity, and JSON.stringify would write null instead.
import { NonFinite } from "../explainer/request-error.ts";

/** Returns `answer` if every number in it is finite; throws `NonFinite` naming the method, or the field. */
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
