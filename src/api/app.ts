// The HTTP API as one app that can be mounted in another. Knows no platform: models, limits and version are given.
import { createRoute } from "@hono/zod-openapi";
import { requestId } from "hono/request-id";
import { z } from "zod";
import { type Access, guard, openAccess } from "./access.ts";
import { ApiError } from "./api-error.ts";
import { explainRoutes } from "./explain-routes.ts";
import { instanceRoutes } from "./instance-routes.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { modelRoutes } from "./model-routes.ts";
import type { ModelStore } from "./model-store.ts";
import { openapiDocument } from "./openapi-document.ts";
import { predictRoutes } from "./predict-routes.ts";
import { problemResponse } from "./problem-response.ts";
import { protocolRoutes } from "./protocol-routes.ts";
import { createRouter, jsonContent, onlyVerb, problemResponses } from "./routing.ts";

export interface AppOptions {
  readonly models: ModelStore;
  readonly limits?: Partial<Limits>;
  /** Keys and charges; default none. */
  readonly access?: Partial<Access>;
  /** Of the deployment, as /v2 and openapi.json tell it. */
  readonly version?: string;
}

/** Every path and the verb it takes, for 405; those of instances are their own routes' matter. */
const verbs: readonly (readonly [path: string, verb: "GET" | "POST"])[] = [
  ["/", "GET"],
  ["/openapi.json", "GET"],
  ["/v1/explain", "POST"],
  ["/v1/predict", "POST"],
  ["/v1/models", "GET"],
  ["/v1/models/:model{[^/:]+}", "GET"],
  ["/v2", "GET"],
  ["/v2/health/live", "GET"],
  ["/v2/health/ready", "GET"],
  ["/v2/models/:model", "GET"],
];

const links = z.record(z.string(), z.string()).meta({ id: "Links" });

export function createApp({ models, limits, access, version = "unreleased" }: AppOptions) {
  const dependencies = { models, limits: { ...defaultLimits, ...limits }, version };
  const start = createRoute({
    method: "get",
    path: "/",
    summary: "Where to go from here",
    responses: {
      200: { description: "Addresses by purpose", content: jsonContent(links) },
      ...problemResponses(),
    },
  });
  const description = createRoute({
    method: "get",
    path: "/openapi.json",
    summary: "This description",
    responses: {
      200: { description: "OpenAPI 3.1", content: jsonContent(z.looseObject({})) },
      ...problemResponses(),
    },
  });

  const base = createRouter();
  base.use("*", requestId());
  base.use("/v1/*", guard({ ...openAccess, ...access }));
  base.onError(problemResponse);
  base.notFound((context) => {
    const { method, path } = context.req;
    return problemResponse(
      new ApiError("not-found", `route: ${method} ${path} is not known`),
      context,
    );
  });

  const app = base
    .openapi(start, (context) => {
      const root = context.req.path.replace(/\/$/, "");
      const paths = { explain: "/v1/explain", predict: "/v1/predict", models: "/v1/models" };
      const addresses = { ...paths, ready: "/v2/health/ready", description: "/openapi.json" };
      const entries = Object.entries(addresses).map(([name, path]) => [name, root + path] as const);
      return context.json(Object.fromEntries(entries), 200);
    })
    .route("/", explainRoutes(dependencies))
    .route("/", predictRoutes(dependencies))
    .route("/", instanceRoutes(dependencies))
    .route("/", modelRoutes(dependencies))
    .route("/", protocolRoutes(dependencies))
    .openapi(description, (context) => context.json(openapiDocument(base, version), 200));

  for (const [path, verb] of verbs) app.all(path, onlyVerb(verb));
  return app;
}

export type App = ReturnType<typeof createApp>;
