// POST /v1/predict: the shape of Hugging Face's text classification, without an explanation.
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import type { Prediction } from "../contract/answer.ts";
import { finiteAnswer } from "../explainer/finite.ts";
import { jsonBody } from "./json-body.ts";
import {
  bodyKinds,
  createRouter,
  jsonContent,
  jsonRequest,
  modelKinds,
  named,
  problemResponses,
  refuseMany,
  type RouteDependencies,
} from "./routing.ts";

const text = z.string().min(1, "is empty");

/** Name in a request -> score of a label. */
const scoreFunctions = {
  softmax: ({ score }: Prediction) => score,
  sigmoid: ({ logit }: Prediction) => 1 / (1 + Math.exp(-logit)),
  none: ({ logit }: Prediction) => logit,
} as const;

const parameters = z
  .strictObject({
    top_k: z.int().min(1).nullish().meta({ description: "Labels per text; default all." }),
    function_to_apply: z.enum(["softmax", "sigmoid", "none"]).optional().meta({
      description: "From logits to scores; default softmax.",
    }),
  })
  .meta({ id: "ClassificationParameters" });

const classificationRequest = z
  .strictObject({
    inputs: z.union([text, z.array(text).min(1, "is empty")], {
      error: "expected a text or a list of texts",
    }),
    parameters: parameters.optional(),
    model: z.string().optional().meta({ description: "Default: the deployment's first model." }),
  })
  .meta({ id: "ClassificationRequest" });

const labelScore = z.object({ label: z.string(), score: z.number() }).meta({ id: "LabelScore" });
const labelScores = z.array(labelScore);

export function predictRoutes({ models, limits }: RouteDependencies) {
  const predict = createRoute({
    method: "post",
    path: "/v1/predict",
    summary: "Classify texts",
    description: "One text gives a list of labels, a list of texts a list of such lists.",
    tags: ["predict"],
    middleware: [jsonBody(limits)],
    request: jsonRequest(classificationRequest),
    responses: {
      200: {
        description: "Labels, most probable first",
        content: jsonContent(z.union([labelScores, z.array(labelScores)])),
      },
      ...problemResponses(...bodyKinds, ...modelKinds),
    },
  });

  return createRouter().openapi(predict, async (context) => {
    const { inputs, model, parameters: wanted = {} } = context.req.valid("json");
    const { top_k: count, function_to_apply: name = "softmax" } = wanted;
    const texts = Array.isArray(inputs) ? inputs : [inputs];
    refuseMany("inputs", texts.length, limits);
    const explainer = await models.open(model);
    const answers: z.infer<typeof labelScores>[] = [];
    for (const [position, each] of texts.entries()) {
      const field = Array.isArray(inputs) ? `inputs.${position}` : "inputs";
      const predictions = await named(
        () => field,
        () => explainer.predict({ text: each }, { admit: context.var.admit }),
      );
      answers.push(
        predictions
          .slice(0, count ?? predictions.length)
          .map((one) => ({ label: one.label, score: scoreFunctions[name](one) })),
      );
    }
    const [first = []] = answers;
    return context.json(finiteAnswer(Array.isArray(inputs) ? answers : first), 200);
  });
}
