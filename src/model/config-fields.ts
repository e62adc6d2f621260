// Reads fields of config.json that several families share, and refuses values that would change the numbers.
import { z } from "zod";
import type { Activation } from "../backend/backend.ts";
import { ConfigError } from "./family.ts";

/** Names of activations in config.json -> ours. `gelu_new` and `gelu_pytorch_tanh` are the same formula. */
const activations: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  relu: "relu",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
};

export const size = z.int().positive();

/** Parses with `schema`; the first problem becomes a `ConfigError` naming its field. */
export function readFields<T>(schema: z.ZodType<T>, json: Readonly<Record<string, unknown>>): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  const found = field in json ? JSON.stringify(json[field]) : "nothing";
  throw new ConfigError(field, `is ${found}: ${issue?.message ?? "not valid"}`);
}

export function activationOf(field: string, name: string): Activation {
  const activation = activations[name];
  if (activation === undefined) {
    throw new ConfigError(field, `is "${name}", known are ${Object.keys(activations).join(", ")}`);
  }
  return activation;
}

/** Fields that must have one of the given values (or be absent), since anything else changes the numbers. */
export function requireValues(
  json: Readonly<Record<string, unknown>>,
  allowed: Readonly<Record<string, readonly unknown[]>>,
): void {
  for (const [field, values] of Object.entries(allowed)) {
    const value = json[field];
    if (value === undefined || value === null || values.includes(value)) continue;
    const list = values.map((each) => JSON.stringify(each)).join(" or ");
    throw new ConfigError(field, `is ${JSON.stringify(value)}, supported is ${list}`);
  }
}

/** Class names by index from `id2label`, or LABEL_0 … from `num_labels` (2 where both are absent, as in PyTorch). */
export function readLabels(json: Readonly<Record<string, unknown>>): string[] {
  const idToLabel = json.id2label as Record<string, string> | undefined;
  const count = idToLabel ? Object.keys(idToLabel).length : ((json.num_labels as number) ?? 2);
  return Array.from({ length: count }, (_, index) => {
    const label = idToLabel ? idToLabel[String(index)] : `LABEL_${index}`;
    if (typeof label !== "string") throw new ConfigError("id2label", `has no entry ${index}`);
    return label;
  });
}
