// What a caller may ask, described once: the description validates requests, types the client and fills openapi.json.
// Whether a label, token or layer exists is not known here; the explainer of the model checks that.
import { z } from "zod";

/** Methods that are one modified backward pass. */
export const relevanceMethodNames = [
  "attnlrp",
  "attnlrp-unhalved",
  "cp-lrp",
  "cp-lrp-ali",
  "gradient-x-input",
] as const;

export const methodNames = [
  "loo",
  ...relevanceMethodNames,
  "integrated-gradients",
  "rollout",
] as const;

export type MethodName = (typeof methodNames)[number];

const index = z.int().min(0);

/** A union whose failure says what would have been right, not which branch failed how. */
function oneOf<const T extends readonly [z.ZodType, ...z.ZodType[]]>(schemas: T, expected: string) {
  return z.union(schemas, { error: `expected ${expected}` });
}

export const layerSet = oneOf(
  [
    z.strictObject({ from: index }),
    z.strictObject({ up_to: index }),
    z.strictObject({ only: index }),
    z.strictObject({ set: z.array(index) }),
  ],
  '{"from": layer}, {"up_to": layer}, {"only": layer} or {"set": [layer, …]}',
).meta({
  id: "LayerSet",
  description: "Layers whose softmax is bypassed, counted from 0; AttnLRP's rule holds elsewhere.",
});

const epsilon = z
  .number()
  .min(0)
  .max(1)
  .optional()
  .meta({ description: "Stabiliser of the linear layers' rule; 0, the default, is its limit." });

const withOptions = z.discriminatedUnion(
  "method",
  [
    z.strictObject({ method: z.literal("loo") }),
    z.strictObject({ method: z.enum(["attnlrp", "attnlrp-unhalved"]), epsilon }),
    z.strictObject({ method: z.literal("gradient-x-input") }),
    z.strictObject({
      method: z.enum(["cp-lrp", "cp-lrp-ali"]),
      layers: layerSet.optional(),
      epsilon,
    }),
    z.strictObject({
      method: z.literal("integrated-gradients"),
      steps: z.int().min(1).max(500).optional(),
    }),
    z.strictObject({ method: z.literal("rollout") }),
  ],
  { error: `expected a method: ${methodNames.join(", ")}` },
);

export type MethodRequest = z.infer<typeof withOptions>;

export const method = z
  .preprocess((value) => (typeof value === "string" ? { method: value } : value), withOptions)
  .meta({
    id: "Method",
    description: `A method's name, or an object with its options. Names: ${methodNames.join(", ")}.`,
  });

const labelOrIndex = oneOf([z.string().min(1), index], "a label or its index");

export const target = oneOf(
  [
    z.literal("predicted"),
    z.strictObject({ label: z.string() }),
    z.strictObject({ index }),
    z.strictObject({ contrast: z.tuple([labelOrIndex, labelOrIndex]) }),
    z.strictObject({ token: z.string() }),
    z.strictObject({ token_id: index }),
  ],
  '"predicted", {"label": …}, {"index": …}, {"contrast": […, …]}, {"token": …} or {"token_id": …}',
).meta({
  id: "Target",
  description:
    "The output that is explained, always as a raw logit: the predicted class, a named one, or the difference of two.",
});

export type TargetRequest = z.infer<typeof target>;

export const removal = oneOf(
  [
    z.enum(["attention", "mask", "zero", "delete"]),
    z.strictObject({ replace: oneOf([z.string().min(1), index], "a token or its id") }),
  ],
  '"attention", "mask", "zero", "delete" or {"replace": token or id}',
).meta({
  id: "Removal",
  description: "What leave-one-out means by removing a token.",
});

export type RemovalRequest = z.infer<typeof removal>;

const removals = oneOf(
  [removal, z.array(removal).min(1).max(8)],
  'a removal ("attention", "mask", "zero", "delete", {"replace": token or id}) or a list of up to 8',
);

/** What a text or its ids are given by, in every request. */
const inputFields = {
  text: z.string().min(1, "is empty").optional().meta({ description: "The text to explain." }),
  text_pair: z
    .string()
    .min(1, "is empty")
    .optional()
    .meta({ description: "Second text, for models of text pairs." }),
  ids: z
    .array(index)
    .min(1, "is empty")
    .optional()
    .meta({ description: "Token ids instead of a text, special tokens included." }),
  type_ids: z.array(index).optional().meta({ description: "Token types of `ids`; default 0." }),
  attention_mask: z
    .array(z.union([z.literal(0), z.literal(1)], { error: "expected 0 or 1" }))
    .optional()
    .meta({ description: "0 marks padding among `ids`; default 1." }),
  model: z.string().optional().meta({ description: "Default: the deployment's first model." }),
};

type InputFields = z.infer<z.ZodObject<typeof inputFields>>;

/** Rules between the fields, which no single field can check. */
function checkInput(request: InputFields, context: z.RefinementCtx): void {
  const problem = (path: string, message: string) =>
    context.addIssue({ code: "custom", path: [path], message });
  const { text, ids } = request;
  if (text === undefined && ids === undefined) problem("text", "is missing, and so is ids");
  if (text !== undefined && ids !== undefined) problem("ids", "cannot stand beside text");
  if (request.text_pair !== undefined && text === undefined) {
    problem("text_pair", "needs text");
  }
  for (const field of ["type_ids", "attention_mask"] as const) {
    const list = request[field];
    if (list === undefined) continue;
    if (ids === undefined) problem(field, "needs ids");
    else if (list.length !== ids.length) {
      problem(field, `has ${list.length} entries, ids has ${ids.length}`);
    }
  }
}

/** What is asked where a request names no methods. */
export const defaultMethods: readonly MethodRequest[] = [
  { method: "loo" },
  { method: "attnlrp" },
  { method: "cp-lrp" },
  { method: "gradient-x-input" },
];

export const explainRequest = z
  .strictObject({
    ...inputFields,
    target: target.default("predicted"),
    methods: z
      .array(method)
      .min(1)
      .max(64)
      .default([...defaultMethods]),
    removal: removals.default("attention"),
    unit: z.enum(["token", "word"]).default("token").meta({
      description: "What leave-one-out removes at a time. Scores of a word's tokens are summed.",
    }),
    at: z.enum(["word", "emb"]).default("word").meta({
      description: "Where relevance is read: word embeddings, or the sum of all embeddings.",
    }),
  })
  .superRefine(checkInput)
  .meta({ id: "ExplainRequest" });

export const predictRequest = z
  .strictObject(inputFields)
  .superRefine(checkInput)
  .meta({ id: "PredictRequest" });

/** A validated request, with its defaults. */
export type ExplainRequest = z.infer<typeof explainRequest>;
/** What a caller writes. */
export type ExplainRequestInput = z.input<typeof explainRequest>;
