// What the route files share: a router whose schemas refuse with a RequestError, and the answers that routes describe.
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { z } from "zod";
import { fieldProblems, problem } from "../contract/problem.ts";
import { RequestError } from "../explainer/request-error.ts";
import { ApiError, kinds, type KindName } from "./api-error.ts";
import type { ApiEnvironment } from "./environment.ts";
import type { Limits } from "./limits.ts";
import type { ModelStore } from "./model-store.ts";

/** What routes are given. */
export interface RouteDependencies {
  readonly models: ModelStore;
  readonly limits: Limits;
  readonly version: string;
}

export function createRouter(): OpenAPIHono<ApiEnvironment> {
  return new OpenAPIHono<ApiEnvironment>({
    defaultHook(result) {
      if (!result.success) throw new RequestError(...fieldProblems(result.error as z.ZodError));
    },
  });
}

/** Validates what no router validated. Throws `RequestError`. */
export function validate<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new RequestError(...fieldProblems(result.error));
}

/** Handler of every other verb on a path. */
export function onlyVerb(verb: "GET" | "POST"): (context: Context) => never {
  const allow = verb === "GET" ? "GET, HEAD" : verb;
  return ({ req }) => {
    const message = `route: ${req.path} takes ${allow}, not ${req.method}`;
    throw new ApiError("wrong-verb", message, { headers: { Allow: allow } });
  };
}

/** Runs `work`; fields of its `RequestError` are renamed to where they stand in the body. */
export async function named<T>(
  rename: (path: string) => string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const problems = error.problems.map((each) => ({ ...each, path: rename(each.path) }));
    throw new RequestError(...problems);
  }
}

export function refuseMany(field: string, count: number, { maximumInstances }: Limits): void {
  if (count <= maximumInstances) return;
  const message = `has ${count} entries, at most ${maximumInstances} are answered at once`;
  throw new RequestError({ path: field, message });
}

export const jsonContent = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

export const jsonRequest = <T extends z.ZodType>(schema: T) => ({
  body: { required: true, content: jsonContent(schema) },
});

/** Kinds that every route may answer with. */
const always: readonly KindName[] = ["internal"];
/** Kinds of every route that reads a body; all of them need a key where there are keys. */
export const bodyKinds: readonly KindName[] = [
  "unauthorized",
  "malformed-body",
  "body-too-large",
  "wrong-content-type",
  "invalid-request",
];
/** Kinds of every route that runs a model. */
export const modelKinds: readonly KindName[] = [
  "unknown-model",
  "too-many-requests",
  "too-much-memory",
  "non-finite",
  "model-unavailable",
];

/** Descriptions of the answers that are problems, by status. */
export function problemResponses(...names: readonly KindName[]) {
  const all = [...names, ...always].map((name) => kinds[name]);
  const statuses = [...new Set(all.map(({ status }) => status))].toSorted();
  return Object.fromEntries(
    statuses.map((status) => {
      const titles = all.filter((kind) => kind.status === status).map(({ title }) => title);
      const content = { "application/problem+json": { schema: problem } };
      return [status, { description: titles.join("; or: "), content }];
    }),
  );
}
