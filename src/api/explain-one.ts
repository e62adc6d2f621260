// One explain request as a caller wrote it, on one model.
import type { Explanation } from "../contract/answer.ts";
import { defaultMethods, type ExplainRequestInput } from "../contract/request.ts";
import type { Explainer } from "../explainer/explainer.ts";
import { finiteAnswer } from "./finite-answer.ts";

/**
 * `request` is checked by the explainer. Where it names no methods it gets the defaults that the deployment allows:
 * switching a method off must not break the shortest request.
 */
export async function explainOne(
  explainer: Explainer,
  request: ExplainRequestInput,
  signal: AbortSignal,
): Promise<Explanation> {
  const methods = defaultMethods.filter(({ method }) => explainer.methods.includes(method));
  return finiteAnswer(await explainer.explain({ methods, ...request }, { signal }));
}
