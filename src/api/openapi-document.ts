// openapi.json: what the routes describe, and what their schemas cannot say for themselves.
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { JSONValue } from "hono/utils/types";
import { methodNames } from "../contract/request.ts";
import type { ApiEnvironment } from "./environment.ts";

type Schema = Record<string, unknown>;

/** A preprocess step accepts more than the schema behind it, and rules between fields do not show: added by hand. */
const additions: Readonly<Record<string, (schema: Schema) => Schema>> = {
  Method: ({ description, ...schema }) => ({
    description,
    anyOf: [{ type: "string", enum: [...methodNames] }, schema],
  }),
  ExplainRequest: textOrIds,
  PredictRequest: textOrIds,
  ExplainInstances: (schema) => listOf(schema, "ExplainRequest"),
  PredictInstances: (schema) => listOf(schema, "PredictRequest"),
};

function textOrIds(schema: Schema): Schema {
  return { ...schema, oneOf: [{ required: ["text"] }, { required: ["ids"] }] };
}

function listOf(schema: Schema, id: string): Schema {
  const items = {
    anyOf: [{ type: "string", minLength: 1 }, { $ref: `#/components/schemas/${id}` }],
  };
  const list = { type: "array", minItems: 1, items };
  const properties = {
    instances: { ...list, description: "Texts, or requests." },
    inputs: { ...list, description: "Same as `instances`." },
  };
  return { ...schema, properties, oneOf: [{ required: ["instances"] }, { required: ["inputs"] }] };
}

export function openapiDocument(app: OpenAPIHono<ApiEnvironment>, version: string) {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Plumbline",
      version,
      description:
        "Explains a transformer's prediction: leave-one-out beside LRP, their comparison, a verdict.",
    },
  });
  const schemas = document.components?.schemas as Record<string, Schema> | undefined;
  if (schemas === undefined) throw new Error("openapi: the routes describe no schema");
  const extended = Object.entries(schemas).map(([id, schema]) => [
    id,
    additions[id]?.(schema) ?? schema,
  ]);
  const components = { ...document.components, schemas: Object.fromEntries(extended) };
  // Plain JSON, which the type of the library does not say.
  return { ...document, components } as unknown as Record<string, JSONValue>;
}
