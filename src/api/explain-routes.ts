// POST /v1/explain: the canonical request and answer.
import { createRoute } from "@hono/zod-openapi";
import { explanation } from "../contract/answer.ts";
import { explainRequest, type ExplainRequestInput } from "../contract/request.ts";
import { jsonBody } from "./json-body.ts";
import {
  bodyKinds,
  createRouter,
  jsonContent,
  jsonRequest,
  modelKinds,
  problemResponses,
  type RouteDependencies,
} from "./routing.ts";

export function explainRoutes({ models, limits }: RouteDependencies) {
  const explain = createRoute({
    method: "post",
    path: "/v1/explain",
    summary: "Explain one text",
    description: "Equal requests get equal bytes. Fields that are not known are refused.",
    tags: ["explain"],
    middleware: [jsonBody(limits)],
    request: jsonRequest(explainRequest),
    responses: {
      200: { description: "The explanation", content: jsonContent(explanation) },
      ...problemResponses(...bodyKinds, ...modelKinds),
    },
  });

  return createRouter().openapi(explain, async (context) => {
    const explainer = await models.open(context.req.valid("json").model);
    // As it was written: defaults depend on the model. The schema has accepted it above.
    const request = context.var.body as ExplainRequestInput;
    const { signal } = context.req.raw;
    return context.json(
      await explainer.explain(request, { signal, admit: context.var.admit }),
      200,
    );
  });
}
