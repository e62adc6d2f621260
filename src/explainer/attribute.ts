// Runs the methods of one request over one text and yields attributions as they are ready.
import { integratedGradients } from "../attribution/integrated-gradients.ts";
import { leaveOneOut } from "../attribution/leave-one-out.ts";
import {
  compositeOf,
  type CompositeOptions,
  type RelevanceMethod,
} from "../attribution/methods.ts";
import { relevance } from "../attribution/relevance.ts";
import { type Removal, remove } from "../attribution/removals.ts";
import { rollout } from "../attribution/rollout.ts";
import type { Attribution } from "../contract/answer.ts";
import {
  type ExplainRequest,
  type MethodRequest,
  relevanceMethodNames,
  type RemovalRequest,
} from "../contract/request.ts";
import type { Tape } from "../engine/tape.ts";
import type { Context } from "./context.ts";
import type { Input, Unit } from "./input.ts";
import { removalName } from "./removal.ts";
import { finite } from "./finite.ts";
import type { ResolvedTarget } from "./target.ts";

export type RelevanceRequest = Extract<MethodRequest, { method: RelevanceMethod }>;

export const isRelevance = (request: MethodRequest): request is RelevanceRequest =>
  (relevanceMethodNames as readonly string[]).includes(request.method);

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** All relevance methods of the request, in one backward pass over the tape. */
export async function relevanceAttributions(
  { model }: Context,
  tape: Tape,
  { coefficients, answer }: ResolvedTarget,
  { methods, at }: ExplainRequest,
): Promise<Attribution[]> {
  const asked = methods.filter(isRelevance);
  if (asked.length === 0) return [];
  const composites = asked.map((each) =>
    compositeOf(each.method, model.config.layers, each as CompositeOptions),
  );
  const scores = await relevance(tape, coefficients, composites, at);
  return asked.map((each, pass) => {
    const own = finite(each.method, scores[pass] ?? []);
    return { ...each, at, scores: own, sum: sum(own), gap: answer.value - sum(own) };
  });
}

export async function rolloutAttribution(tape: Tape): Promise<Attribution> {
  return { method: "rollout", scores: finite("rollout", await rollout(tape)) };
}

export async function gradientPathAttribution(
  { network }: Context,
  { sequence }: Input,
  { coefficients, answer }: ResolvedTarget,
  { steps, rowsPerChunk }: { readonly steps: number; readonly rowsPerChunk: number },
): Promise<Attribution> {
  const options = { steps, rowsPerChunk };
  const result = await integratedGradients(network, sequence, coefficients, answer.value, options);
  const method = "integrated-gradients";
  const scores = finite(method, [...result.scores]);
  return { method, steps, at: "word", scores, sum: sum(scores), gap: result.completenessGap };
}

/** Leave-one-out under one removal; yields after each chunk, the last one complete. */
export async function* looAttribution(
  { network, model }: Context,
  { sequence, units }: Input,
  { coefficients, answer }: ResolvedTarget,
  {
    removal,
    asked,
    rowsPerChunk,
    unit,
  }: {
    readonly removal: Removal;
    readonly asked: RemovalRequest;
    readonly rowsPerChunk: number;
    readonly unit: "token" | "word";
  },
): AsyncGenerator<Attribution> {
  const scores = sequence.ids.map(() => 0);
  const measured = sequence.ids.map(() => false);
  const removed = units.map(({ tokens }) => remove(model, sequence, tokens, removal));
  let next = 0;
  for await (const values of leaveOneOut(network, removed, coefficients, { rowsPerChunk })) {
    finite(`loo (${removalName(asked)})`, values);
    for (const value of values) {
      for (const token of units[next]?.tokens ?? []) {
        scores[token] = answer.value - value;
        measured[token] = true;
      }
      next++;
    }
    yield { method: "loo", removal: asked, unit, scores: [...scores], measured: [...measured] };
  }
}

/** Scores per unit: leave-one-out has one number per unit, relevance is summed over its tokens. */
export function perUnit({ method, scores }: Attribution, units: readonly Unit[]): number[] {
  return units.map(({ tokens }) =>
    method === "loo"
      ? (scores[tokens[0] ?? -1] ?? 0)
      : sum(tokens.map((token) => scores[token] ?? 0)),
  );
}
