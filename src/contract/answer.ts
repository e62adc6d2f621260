// What a caller gets, described once (see request.ts). Numbers are finite; what is not defined is left out.
import { z } from "zod";
import { layerSet, methodNames, removal } from "./request.ts";

const score = z.number();
const scores = z.array(score).meta({ description: "One per token, in the order of `tokens`." });
const index = z.int().min(0);

export const prediction = z
  .object({ label: z.string(), score: score.meta({ description: "Probability." }), logit: score })
  .meta({ id: "Prediction" });

export const explainedTarget = z
  .object({
    label: z.string().optional(),
    index: index.optional(),
    contrast: z
      .object({ labels: z.tuple([z.string(), z.string()]), indices: z.tuple([index, index]) })
      .optional(),
    value: score.meta({ description: "The explained number: a logit or a difference of two." }),
  })
  .meta({ id: "ExplainedTarget" });

export const token = z
  .object({
    text: z.string(),
    id: index,
    start: index.optional().meta({ description: "UTF-16 offset in the text it came from." }),
    end: index.optional(),
    word: index.optional().meta({ description: "Counts words; absent for added special tokens." }),
    special: z.boolean(),
    sequence: z
      .union([z.literal(0), z.literal(1)])
      .optional()
      .meta({
        description: "Which text the offsets are in; only for text pairs.",
      }),
  })
  .meta({ id: "Token" });

const shared = { method: z.enum(methodNames), layers: layerSet.optional() };

export const attribution = z
  .object({
    ...shared,
    epsilon: score.optional(),
    steps: z.int().optional(),
    removal: removal.optional().meta({ description: "loo only." }),
    unit: z.enum(["token", "word"]).optional().meta({ description: "loo only." }),
    at: z.enum(["word", "emb"]).optional().meta({ description: "Where relevance was read." }),
    scores,
    measured: z.array(z.boolean()).optional().meta({
      description: "loo only: whether the score was measured by running the model without it.",
    }),
    sum: score.optional().meta({ description: "Sum of the scores." }),
    gap: score.optional().meta({
      description: "value - sum: what biases, the softmax and other embeddings took.",
    }),
  })
  .meta({ id: "Attribution" });

const comparisonRow = z.object({
  ...shared,
  epsilon: score.optional(),
  steps: z.int().optional(),
  pearson: score.optional(),
  spearman: score.optional(),
  kendall: score.optional(),
  top_k: z.object({ k: index, overlap: score }).optional(),
  sign_agreement: score.optional(),
  interval: z
    .tuple([score, score])
    .optional()
    .meta({ description: "95 % interval of spearman over the units of this text." }),
  note: z.string().optional(),
});

const ceiling = z.object({
  removals: z.array(z.string()),
  spearman: score,
  pairs: z.array(
    z.object({
      removals: z.tuple([z.string(), z.string()]),
      spearman: score.optional(),
      note: z.string().optional(),
    }),
  ),
});

export const comparison = z
  .object({
    reference: z.object({ method: z.literal("loo"), removal }),
    units: index.meta({ description: "How many tokens or words were compared." }),
    excluded: z.string(),
    rows: z.array(comparisonRow),
    ceiling: ceiling.optional().meta({
      description: "How far leave-one-out agrees with itself under the removals asked for.",
    }),
  })
  .meta({ id: "Comparison" });

const level = z.enum(["agrees", "mixed", "diverges", "undecided"]);

export const verdict = z
  .object({
    level,
    best: z.string().optional(),
    levels: z.array(z.object({ method: z.string(), level })),
    reasons: z.array(z.string()),
  })
  .meta({ id: "Verdict" });

export const explanation = z
  .object({
    id: z.string().meta({ description: "Equal requests have equal ids and equal answers." }),
    model: z.object({ name: z.string(), family: z.string(), revision: z.string() }),
    backend: z.string(),
    prediction: z.array(prediction),
    target: explainedTarget,
    tokens: z.array(token),
    attributions: z.array(attribution),
    comparison: comparison.optional(),
    verdict,
    cost: z.object({
      forwards: index,
      relevance_passes: index,
      tokens: index.meta({ description: "Tokens of all forward passes together." }),
    }),
  })
  .meta({ id: "Explanation" });

export type Prediction = z.infer<typeof prediction>;
export type ExplainedTarget = z.infer<typeof explainedTarget>;
export type TokenAnswer = z.infer<typeof token>;
export type Attribution = z.infer<typeof attribution>;
export type Comparison = z.infer<typeof comparison>;
export type Verdict = z.infer<typeof verdict>;
export type Explanation = z.infer<typeof explanation>;
