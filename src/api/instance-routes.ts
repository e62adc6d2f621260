// POST /v1/models/{model}:explain and :predict, the shape of KServe's first protocol: many instances, one answer each.
import { z } from "zod";
import { explanation, type Explanation, prediction, type Prediction } from "../contract/answer.ts";
import { explainRequest, type ExplainRequestInput, predictRequest } from "../contract/request.ts";
import type { Explainer } from "../explainer/explainer.ts";
import { RequestError } from "../explainer/request-error.ts";
import { jsonBody } from "./json-body.ts";
import {
  bodyKinds,
  createRouter,
  jsonContent,
  jsonRequest,
  modelKinds,
  named,
  onlyVerb,
  problemResponses,
  refuseMany,
  type RouteDependencies,
  validate,
} from "./routing.ts";

/** A text stands for the request that holds only it. */
const asRequest = (value: unknown) => (typeof value === "string" ? { text: value } : value);

function instances<T extends z.ZodType>(request: T, id: string) {
  const list = z.array(z.preprocess(asRequest, request)).min(1, "is empty").optional();
  return z
    .strictObject({ instances: list, inputs: list.meta({ description: "Same as `instances`." }) })
    .superRefine((body, context) => {
      const problem = (path: string, message: string) =>
        context.addIssue({ code: "custom", path: [path], message });
      if (body.instances === undefined && body.inputs === undefined) {
        problem("instances", "is missing");
      }
      if (body.instances !== undefined && body.inputs !== undefined) {
        problem("inputs", "cannot stand beside instances");
      }
    })
    .meta({ id });
}

const explainInstances = instances(explainRequest, "ExplainInstances");
const predictInstances = instances(predictRequest, "PredictInstances");

const predictions = z.array(z.array(prediction)).meta({ description: "One per instance." });
const explainAnswers = z
  .object({ predictions, explanations: z.array(explanation) })
  .meta({ id: "InstanceExplanations" });
const predictAnswers = z.object({ predictions }).meta({ id: "InstancePredictions" });

interface Instances {
  readonly instances?: readonly unknown[];
  readonly inputs?: readonly unknown[];
}

const path = <V extends string>(verb: V) => `/v1/models/:call{[^/:]+:${verb}}` as const;

export function instanceRoutes({ models, limits }: RouteDependencies) {
  const router = createRouter();
  // Hono would read "{model}:explain" as one parameter, so these two are described and routed apart.
  const describe = (verb: string, request: z.ZodType, answer: z.ZodType) =>
    router.openAPIRegistry.registerPath({
      method: "post",
      path: `/v1/models/{model}:${verb}`,
      summary: `${verb === "explain" ? "Explain" : "Classify"} several texts`,
      tags: [verb],
      request: { params: z.object({ model: z.string() }), ...jsonRequest(request) },
      responses: {
        200: { description: "One answer per instance", content: jsonContent(answer) },
        ...problemResponses(...bodyKinds, ...modelKinds),
      },
    });
  describe("explain", explainInstances, explainAnswers);
  describe("predict", predictInstances, predictAnswers);

  /** Runs `run` on each instance in turn; problems are named `instances.3.text`. */
  async function each<T>(
    { body, call }: { readonly body: unknown; readonly call: string },
    run: (explainer: Explainer, request: ExplainRequestInput) => Promise<T>,
  ): Promise<T[]> {
    const given = body as Instances;
    const field = given.instances === undefined ? "inputs" : "instances";
    const list = given[field] ?? [];
    refuseMany(field, list.length, limits);
    const model = call.slice(0, call.lastIndexOf(":"));
    const explainer = await models.open(model);
    const answers: T[] = [];
    for (const [position, instance] of list.entries()) {
      const request = asRequest(instance) as ExplainRequestInput;
      const rename = (path: string) =>
        [field, position, path].filter((part) => part !== "").join(".");
      answers.push(
        await named(rename, async () => {
          refuseOtherModel(request.model, model);
          return run(explainer, request);
        }),
      );
    }
    return answers;
  }

  return (
    router
      .post(path("explain"), jsonBody(limits), async (context) => {
        const { body } = context.var;
        validate(explainInstances, body);
        const { signal } = context.req.raw;
        const explanations = await each(
          { body, call: context.req.param("call") },
          (explainer, request) => explainer.explain(request, { signal, admit: context.var.admit }),
        );
        const answer: { predictions: Prediction[][]; explanations: Explanation[] } = {
          predictions: explanations.map((one) => one.prediction),
          explanations,
        };
        return context.json(answer, 200);
      })
      .post(path("predict"), jsonBody(limits), async (context) => {
        const { body } = context.var;
        validate(predictInstances, body);
        const answers = await each(
          { body, call: context.req.param("call") },
          (explainer, request) => explainer.predict(request, { admit: context.var.admit }),
        );
        return context.json({ predictions: answers }, 200);
      })
      // Here and not with the others: as a name of a model, "a:explain" would match a route that comes after this one.
      .all(path("(?:explain|predict)"), onlyVerb("POST"))
  );
}

function refuseOtherModel(asked: string | undefined, model: string): void {
  if (asked === undefined || asked === model) return;
  const message = `is ${JSON.stringify(asked)}, the path names ${JSON.stringify(model)}`;
  throw new RequestError({ path: "model", message });
}
