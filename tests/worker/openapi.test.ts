// openapi.json is whole: every route that answers is described, every schema that is named is there.
import { expect, test } from "vitest";
import { methodNames } from "../../src/contract/request.ts";
import { send } from "./service.ts";

interface Operation {
  readonly summary: string;
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> };
  readonly responses: Record<string, { readonly description: string; readonly content: object }>;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, Record<string, unknown>> };
}

/** Every route, and the statuses besides 200 and 500 that it tells of. */
const routes: Readonly<Record<string, readonly number[]>> = {
  "get /": [],
  "get /openapi.json": [],
  "post /v1/explain": [400, 401, 404, 413, 415, 422, 429, 503],
  "post /v1/predict": [400, 401, 404, 413, 415, 422, 429, 503],
  "get /v1/models": [401],
  "get /v1/models/{model}": [401, 404, 503],
  "post /v1/models/{model}:explain": [400, 401, 404, 413, 415, 422, 429, 503],
  "post /v1/models/{model}:predict": [400, 401, 404, 413, 415, 422, 429, 503],
  "get /v2": [503],
  "get /v2/health/live": [503],
  "get /v2/health/ready": [503],
  "get /v2/models/{model}": [404, 503],
};

const document = (await (await send("/openapi.json")).json()) as Document;

test("3.1 with every route, its answers and its problems", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(document.info).toMatchObject({ title: "Plumbline", version: expect.any(String) });
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((verb) => `${verb} ${path}`),
  );
  expect(described.toSorted()).toEqual(Object.keys(routes).toSorted());

  for (const [route, problems] of Object.entries(routes)) {
    const [verb = "", path = ""] = route.split(" ");
    const operation = document.paths[path]?.[verb];
    const { responses = {}, requestBody } = operation ?? {};
    expect(operation?.summary, route).toBeTruthy();
    expect(requestBody !== undefined, route).toBe(verb === "post");
    expect(Object.keys(responses), route).toEqual(["200", ...problems, 500].map(String).toSorted());
    for (const [status, { description, content }] of Object.entries(responses)) {
      const type = status === "200" ? "application/json" : "application/problem+json";
      expect(Object.keys(content), route).toEqual([type]);
      expect(description, route).not.toBe("");
    }
  }
});

test("every route that is described is there, with that verb", async () => {
  for (const route of Object.keys(routes)) {
    const [verb = "", path = ""] = route.split(" ");
    const method = verb.toUpperCase();
    const { status } = await send(path.replace("{model}", "tiny"), { method });
    expect(status, route).toBe(verb === "get" ? 200 : 400);
  }
});

test("every reference leads somewhere, and the shapes of the contract have names", () => {
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)];
  const { schemas } = document.components;
  const missing = references.map(([, name = ""]) => name).filter((name) => !(name in schemas));
  expect(missing).toEqual([]);
  for (const name of ["ExplainRequest", "Explanation", "Method", "Target", "Removal", "Problem"]) {
    expect(Object.keys(schemas)).toContain(name);
  }
});

test("what a parser accepts before its schema is described, too", () => {
  const { schemas } = document.components;
  expect(schemas["Method"]).toMatchObject({ anyOf: [{ enum: [...methodNames] }, {}] });
  expect(schemas["ExplainRequest"]?.["oneOf"]).toEqual([
    { required: ["text"] },
    { required: ["ids"] },
  ]);
  expect(schemas["ExplainRequest"]).toMatchObject({ additionalProperties: false });
  expect(JSON.stringify(schemas["ExplainInstances"])).toContain('{"type":"string","minLength":1}');
});
