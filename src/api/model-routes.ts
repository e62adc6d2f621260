// GET /v1/models and /v1/models/{model}: what is deployed. Asking for a model loads it.
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { methodNames } from "../contract/request.ts";
import type { Explainer } from "../explainer/explainer.ts";
import { ModelUnavailable } from "./model-store.ts";
import { createRouter, jsonContent, problemResponses, type RouteDependencies } from "./routing.ts";

const size = z.int().min(0);

const modelCard = z
  .object({
    name: z.string(),
    ready: z.literal(true),
    family: z.string(),
    revision: z.string().meta({ description: "Hash of weights and config." }),
    labels: z.array(z.string()).meta({ description: "By index." }),
    layers: size,
    max_tokens: size.meta({ description: "Longest text, special tokens included." }),
    methods: z.array(z.enum(methodNames)),
    removals: z.array(z.string()),
    bytes: size.meta({ description: "Memory that the weights take." }),
    memory_bytes: size.meta({
      description:
        "WASM memory that the model holds in all: weights, work and slack. It never shrinks.",
    }),
    backend: z.string(),
  })
  .meta({ id: "Model" });

const brokenModel = z
  .object({ name: z.string(), ready: z.literal(false), detail: z.string() })
  .meta({ id: "BrokenModel" });

const modelList = z
  .object({
    models: z.array(z.discriminatedUnion("ready", [modelCard, brokenModel])).meta({
      description: "The first is the default.",
    }),
  })
  .meta({ id: "ModelList" });

const parameters = z.object({ model: z.string() });

export function modelRoutes({ models }: RouteDependencies) {
  const list = createRoute({
    method: "get",
    path: "/v1/models",
    summary: "The models of this deployment",
    description: "A model that does not load is listed with the reason.",
    tags: ["models"],
    responses: {
      200: { description: "All models", content: jsonContent(modelList) },
      ...problemResponses("unauthorized"),
    },
  });
  const one = createRoute({
    method: "get",
    path: "/v1/models/{model}",
    summary: "One model",
    tags: ["models"],
    request: { params: parameters },
    responses: {
      200: { description: "The model", content: jsonContent(modelCard) },
      ...problemResponses("unauthorized", "unknown-model", "model-unavailable"),
    },
  });

  return createRouter()
    .openapi(list, async (context) => {
      const cards: z.infer<typeof modelList>["models"] = [];
      // One after the other: loading two models at once takes the memory of both streams.
      for (const name of models.names) {
        try {
          cards.push(cardOf(await models.open(name)));
        } catch (error) {
          if (!(error instanceof ModelUnavailable)) throw error;
          cards.push({ name, ready: false, detail: error.message });
        }
      }
      return context.json({ models: cards }, 200);
    })
    .openapi(one, async (context) =>
      context.json(cardOf(await models.open(context.req.valid("param").model)), 200),
    );
}

function cardOf(explainer: Explainer): z.infer<typeof modelCard> {
  const { name, revision, config, methods, removals, maximumTokens, backend } = explainer;
  return {
    name,
    ready: true,
    family: config.family,
    revision,
    labels: [...config.labels],
    layers: config.layers,
    max_tokens: maximumTokens,
    methods: [...methods],
    removals: [...removals],
    bytes: backend.memory().weights,
    memory_bytes: backend.memory().total,
    backend: backend.name,
  };
}
