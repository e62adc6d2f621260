// From a request's target to the coefficients on the logits that are explained.
import type { Target } from "../attribution/explained.ts";
import { valueOfTarget } from "../attribution/explained.ts";
import type { ExplainedTarget, Prediction } from "../contract/answer.ts";
import type { TargetRequest } from "../contract/request.ts";
import { RequestError } from "./request-error.ts";

export interface ResolvedTarget {
  readonly coefficients: Target;
  readonly answer: ExplainedTarget;
}

/** Throws `RequestError` for a label or index the model does not have. */
export function resolveTarget(
  request: TargetRequest,
  labels: readonly string[],
  logits: ArrayLike<number>,
): ResolvedTarget {
  if (request === "predicted") return single(largest(logits), labels, logits);
  if ("label" in request)
    return single(indexOf("target.label", request.label, labels), labels, logits);
  if ("index" in request)
    return single(indexOf("target.index", request.index, labels), labels, logits);
  if ("contrast" in request) {
    const [a, b] = request.contrast.map((each, which) =>
      indexOf(`target.contrast.${which}`, each, labels),
    ) as [number, number];
    if (a === b) {
      throw new RequestError({ path: "target.contrast", message: "names the same label twice" });
    }
    const coefficients = labels.map((_, index) => Number(index === a) - Number(index === b));
    const contrast = {
      labels: [labels[a] ?? "", labels[b] ?? ""] as [string, string],
      indices: [a, b] as [number, number],
    };
    return { coefficients, answer: { contrast, value: valueOfTarget(logits, coefficients) } };
  }
  throw new RequestError({
    path: "target",
    message: `names a next token, this model has labels: ${labels.join(", ")}`,
  });
}

/** All labels, most probable first; probabilities by softmax over the logits. */
export function predictions(labels: readonly string[], logits: ArrayLike<number>): Prediction[] {
  const values = labels.map((_, index) => logits[index] ?? NaN);
  const top = Math.max(...values);
  const weights = values.map((value) => Math.exp(value - top));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return labels
    .map((label, index) => ({
      label,
      score: (weights[index] ?? 0) / sum,
      logit: values[index] ?? NaN,
    }))
    .toSorted((a, b) => b.logit - a.logit);
}

function single(
  index: number,
  labels: readonly string[],
  logits: ArrayLike<number>,
): ResolvedTarget {
  const coefficients = labels.map((_, each) => Number(each === index));
  const label = labels[index] ?? "";
  return { coefficients, answer: { label, index, value: valueOfTarget(logits, coefficients) } };
}

function indexOf(path: string, wanted: string | number, labels: readonly string[]): number {
  const index = typeof wanted === "number" ? wanted : labels.indexOf(wanted);
  if (index < 0 || index >= labels.length) {
    const known = labels.map((label, each) => `${each} ${label}`).join(", ");
    throw new RequestError({
      path,
      message: `is ${JSON.stringify(wanted)}, the model has ${known}`,
    });
  }
  return index;
}

function largest(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] ?? NaN) > (values[best] ?? NaN)) best = index;
  }
  return best;
}
