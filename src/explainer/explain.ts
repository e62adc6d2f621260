// One explanation from beginning to end, as a stream of events. Everything that can be refused is refused before work starts.
import { defaultSteps } from "../attribution/integrated-gradients.ts";
import { logitsOf } from "../attribution/leave-one-out.ts";
import type { Removal } from "../attribution/removals.ts";
import type { Attribution, Explanation } from "../contract/answer.ts";
import type { ExplainRequest, RemovalRequest } from "../contract/request.ts";
import { pack } from "../engine/batch.ts";
import { forward } from "../engine/forward.ts";
import { valueOf } from "../engine/tape.ts";
import { answerId } from "./answer-id.ts";
import {
  gradientPathAttribution,
  isRelevance,
  looAttribution,
  relevanceAttributions,
  rolloutAttribution,
} from "./attribute.ts";
import { compareAttributions, judgeComparison } from "./compare.ts";
import type { Context } from "./context.ts";
import type { ExplainEvent } from "./events.ts";
import { type Input, readInput } from "./input.ts";
import { fitRequest } from "./memory.ts";
import { resolveRemoval } from "./removal.ts";
import { finite, finiteAnswer } from "./finite.ts";
import { RequestError } from "./request-error.ts";
import { predictions, type ResolvedTarget, resolveTarget } from "./target.ts";

export interface ExplainOptions {
  /** Stops the work within one chunk. */
  readonly signal?: AbortSignal | undefined;
  /** Told how many forward passes the request will take, before they begin; it may throw to refuse them. */
  readonly admit?: ((forwards: number) => Promise<void>) | undefined;
}

/**
 * Explains one text. Throws `RequestError` before any work for what this model cannot answer, `NonFinite` when a number
 * overflows, and the signal's reason when it is aborted.
 */
export async function* explainEvents(
  context: Context,
  request: ExplainRequest,
  { signal, admit }: ExplainOptions = {},
): AsyncGenerator<ExplainEvent> {
  const { model, network } = context;
  refuseDisabled(context, request);
  const input = readInput(request, context);
  const removals = resolveRemovals(context, request, input);
  const cost = plannedCost(request, input, removals);
  refuseCost(context, cost, input);
  const passes = request.methods.filter(isRelevance).length;
  const tapeNeeded = passes > 0 || request.methods.some(({ method }) => method === "rollout");
  // Integrated gradients keeps tapes of its own, one sequence at a time.
  const tapes =
    tapeNeeded || request.methods.some(({ method }) => method === "integrated-gradients");
  const fit = { passes: tapes ? Math.max(passes, 1) : 0 };
  const rowsPerChunk = await fitRequest(context, input.sequence, fit);
  await admit?.(cost.forwards);
  signal?.throwIfAborted();

  const attributions: Attribution[] = [];
  const tape = forward(network, pack([input.sequence]), { keep: tapeNeeded ? "tape" : "output" });
  let target: ResolvedTarget;
  let prediction;
  try {
    const logits = await network.backend.read(valueOf(tape, network.graph.output.id));
    finite("prediction", logits);
    target = resolveTarget(request.target, model.config.labels, logits);
    prediction = predictions(model.config.labels, logits);
    yield { type: "prediction", data: { prediction, target: target.answer, tokens: input.tokens } };

    for (const each of await relevanceAttributions(context, tape, target, request)) {
      attributions.push(each);
    }
    for (const { method } of request.methods) {
      if (method === "rollout") attributions.push(await rolloutAttribution(tape));
    }
  } finally {
    tape.release();
  }
  for (const data of attributions) yield { type: "attribution", data };

  for (const each of request.methods) {
    if (each.method !== "integrated-gradients") continue;
    signal?.throwIfAborted();
    const steps = each.steps ?? defaultSteps;
    const data = await gradientPathAttribution(context, input, target, {
      steps,
      // Every row of the path keeps its tape, so a chunk holds one sequence unless they are short.
      rowsPerChunk: Math.min(rowsPerChunk, input.sequence.ids.length),
    });
    attributions.push(data);
    yield { type: "attribution", data };
  }

  const measured: Attribution[] = [];
  for (const { removal, asked } of removals) {
    const options = { removal, asked, rowsPerChunk, unit: request.unit };
    let last: Attribution | undefined;
    for await (const data of looAttribution(context, input, target, options)) {
      signal?.throwIfAborted();
      const { scores, measured: done = [] } = data;
      yield { type: "loo", data: { removal: asked, scores, measured: done } };
      last = data;
    }
    if (last !== undefined) measured.push(last);
  }

  const ordered = inRequestOrder(request, [...measured, ...attributions]);
  const comparison = compareAttributions(ordered, input.units);
  if (comparison) yield { type: "comparison", data: comparison };
  const data: Explanation = {
    id: await answerId(context, request),
    model: { name: context.name, family: model.config.family, revision: context.revision },
    backend: network.backend.name,
    prediction,
    target: target.answer,
    tokens: [...input.tokens],
    attributions: ordered,
    ...(comparison ? { comparison } : {}),
    verdict: judgeComparison(comparison, context.thresholds),
    cost,
  };
  yield { type: "done", data: finiteAnswer(data) };
}

/** Logits and probabilities of one text, without explaining it. */
export async function predict(
  context: Context,
  request: ExplainRequest,
  { admit }: Pick<ExplainOptions, "admit"> = {},
) {
  const input = readInput(request, context);
  await fitRequest(context, input.sequence, { passes: 0 });
  await admit?.(1);
  const logits = finite("prediction", await logitsOf(context.network, [input.sequence]));
  return finiteAnswer(predictions(context.model.config.labels, logits));
}

function refuseDisabled({ methods }: Context, request: ExplainRequest): void {
  request.methods.forEach(({ method }, position) => {
    if (methods.includes(method)) return;
    const message = `${method} is switched off in this deployment; allowed: ${methods.join(", ")}`;
    throw new RequestError({ path: `methods.${position}`, message });
  });
}

function resolveRemovals(
  { model, tokenizer }: Context,
  { methods, removal }: ExplainRequest,
  { sequence, units }: Input,
): { removal: Removal; asked: RemovalRequest }[] {
  if (!methods.some(({ method }) => method === "loo")) return [];
  const wanted = Array.isArray(removal) ? removal : [removal];
  return wanted.map((asked) => {
    const resolved = resolveRemoval(asked, tokenizer, model.config.vocabulary);
    if (
      resolved === "delete" &&
      units.some(({ tokens }) => tokens.length === sequence.ids.length)
    ) {
      throw new RequestError({
        path: "removal",
        message: "delete would leave nothing of the text",
      });
    }
    return { removal: resolved, asked };
  });
}

/** What the request will take, known before it starts. */
function plannedCost(
  { methods }: ExplainRequest,
  { sequence, units }: Input,
  removals: readonly { readonly removal: Removal }[],
): Explanation["cost"] {
  const length = sequence.ids.length;
  const cost = { forwards: 1, relevance_passes: 0, tokens: length };
  for (const each of methods) {
    if (isRelevance(each)) cost.relevance_passes++;
    if (each.method !== "integrated-gradients") continue;
    const steps = each.steps ?? defaultSteps;
    cost.relevance_passes += steps;
    cost.forwards += steps + 1;
    cost.tokens += (steps + 1) * length;
  }
  for (const { removal } of removals) {
    cost.forwards += units.length;
    for (const { tokens } of units) {
      cost.tokens += length - (removal === "delete" ? tokens.length : 0);
    }
  }
  return cost;
}

function refuseCost(
  { maximumForwards }: Context,
  { forwards }: Explanation["cost"],
  { units }: Input,
): void {
  if (forwards <= maximumForwards) return;
  const loo = `leave-one-out alone takes ${units.length} for each removal`;
  throw new RequestError({
    path: "methods",
    message: `need ${forwards} forward passes, at most ${maximumForwards} are allowed; ${loo}`,
  });
}

/** Attributions in the order in which the request names their methods. */
function inRequestOrder(
  { methods }: ExplainRequest,
  attributions: readonly Attribution[],
): Attribution[] {
  const left = [...attributions];
  return methods.flatMap(({ method }) => {
    const position = left.findIndex((each) => each.method === method);
    // One record per removal, all of them where the request first names leave-one-out.
    const count = method === "loo" ? left.filter((each) => each.method === "loo").length : 1;
    return position < 0 ? [] : left.splice(position, count);
  });
}
