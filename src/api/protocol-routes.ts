// The probes and metadata of the Open Inference Protocol (KServe's second), under /v2.
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { createRouter, jsonContent, problemResponses, type RouteDependencies } from "./routing.ts";

const live = z.object({ live: z.literal(true) }).meta({ id: "ServerLive" });
const ready = z.object({ ready: z.literal(true) }).meta({ id: "ServerReady" });

const server = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .meta({ id: "ServerMetadata" });

const tensor = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()).meta({ description: "-1 is any length." }),
});

const metadata = z
  .object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.string(),
    inputs: z.array(tensor),
    outputs: z.array(tensor),
  })
  .meta({ id: "ModelMetadata" });

const tags = ["protocol"];
const parameters = z.object({ model: z.string() });

export function protocolRoutes({ models, version }: RouteDependencies) {
  const probe = <const P extends string, T extends z.ZodType>(
    path: P,
    summary: string,
    schema: T,
  ) =>
    createRoute({
      method: "get",
      path,
      summary,
      tags,
      responses: {
        200: { description: "Yes", content: jsonContent(schema) },
        ...problemResponses("model-unavailable"),
      },
    });
  const modelRoute = createRoute({
    method: "get",
    path: "/v2/models/{model}",
    summary: "Metadata of a model",
    tags,
    request: { params: parameters },
    responses: {
      200: { description: "The metadata", content: jsonContent(metadata) },
      ...problemResponses("unknown-model", "model-unavailable"),
    },
  });

  return createRouter()
    .openapi(probe("/v2/health/live", "Does the server run?", live), (context) =>
      context.json({ live: true as const }, 200),
    )
    .openapi(probe("/v2/health/ready", "Does the default model load?", ready), async (context) => {
      await models.open();
      return context.json({ ready: true as const }, 200);
    })
    .openapi(probe("/v2", "Metadata of the server", server), (context) =>
      context.json({ name: "plumbline", version, extensions: [] }, 200),
    )
    .openapi(modelRoute, async (context) => {
      const explainer = await models.open(context.req.valid("param").model);
      const answer: z.infer<typeof metadata> = {
        name: explainer.name,
        versions: [explainer.revision],
        platform: `plumbline-${explainer.config.family}`,
        inputs: [{ name: "text", datatype: "BYTES", shape: [-1] }],
        outputs: [{ name: "score", datatype: "FP32", shape: [-1, explainer.config.labels.length] }],
      };
      return context.json(answer, 200);
    });
}
