// A loaded model, ready to explain: what a library user imports. Knows no HTTP and no platform.
import type { Backend } from "../backend/backend.ts";
import type { Thresholds } from "../comparison/levels.ts";
import type { Explanation, Prediction } from "../contract/answer.ts";
import { fieldProblems } from "../contract/problem.ts";
import {
  defaultMethods,
  explainRequest,
  type ExplainRequest,
  type ExplainRequestInput,
  type MethodName,
  methodNames,
} from "../contract/request.ts";
import type { Network } from "../engine/tape.ts";
import { type ByteSource } from "../loading/byte-source.ts";
import { CheckpointError } from "../loading/checkpoint-error.ts";
import { openCheckpoint } from "../loading/checkpoint.ts";
import type { PlannedWeight } from "../loading/plan.ts";
import { type LoadedWeights, loadWeights, type LoadProgress } from "../loading/weights.ts";
import type { Model, ModelConfig } from "../model/family.ts";
import { modelOf } from "../model/registry.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Context } from "./context.ts";
import type { ExplainEvent } from "./events.ts";
import { type ExplainOptions, explainEvents, predict } from "./explain.ts";
import { RequestError } from "./request-error.ts";

export interface ExplainerOptions {
  /** Name under which the model is served. */
  readonly name: string;
  /** A Hugging Face folder: config.json, tokenizer.json, model.safetensors. */
  readonly source: ByteSource;
  readonly backend: Backend;
  /** A fresh backend that counts memory and computes nothing, and the bytes the real one may hold in all. */
  readonly memory?: { readonly dry: Backend; readonly limitBytes: number } | undefined;
  /** Longest sequence accepted; the model's own limit holds as well. */
  readonly maximumTokens?: number | undefined;
  /** Most forward passes that one request may take. */
  readonly maximumForwards?: number | undefined;
  /** Methods that may be asked for. Default: all. */
  readonly methods?: readonly MethodName[] | undefined;
  readonly thresholds?: Partial<Thresholds> | undefined;
  /** Called while weights are read. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

export interface Explainer {
  readonly name: string;
  /** Hash of the weights, the config and the tokenizer. */
  readonly revision: string;
  readonly config: ModelConfig;
  readonly methods: readonly MethodName[];
  readonly removals: readonly string[];
  readonly maximumTokens: number;
  readonly backend: Backend;
  explain(request: ExplainRequestInput, options?: ExplainOptions): Promise<Explanation>;
  events(request: ExplainRequestInput, options?: ExplainOptions): AsyncGenerator<ExplainEvent>;
  predict(
    input: Pick<ExplainRequestInput, "text" | "text_pair" | "ids">,
    options?: Pick<ExplainOptions, "admit">,
  ): Promise<Prediction[]>;
}

/**
 * Loads a checkpoint into a backend. Throws `CheckpointError` for files that are missing or torn and `ConfigError` for a
 * model that is not supported; the backend is then half filled and is to be dropped.
 */
export async function createExplainer(options: ExplainerOptions): Promise<Explainer> {
  const { name, source, backend, memory, methods = methodNames, thresholds = {} } = options;
  const checkpoint = await openCheckpoint(source);
  const model = modelOf(checkpoint.config);
  const { tokenizerJson, tokenizerConfig } = checkpoint;
  const tokenizer = tokenizerJson && readTokenizer(tokenizerJson, tokenizerConfig ?? {});
  checkVocabulary(tokenizer?.vocabularySize ?? 0, model.config.vocabulary);
  const hashed = [checkpoint.configText, tokenizerJson, tokenizerConfig].map(
    (part) => part ?? null,
  );
  const described = { source, configText: JSON.stringify(hashed) };
  const loaded = await loadWeights(described, model.weights, backend, options);
  const { weights, revision } = loaded;

  const context: Context = {
    name,
    revision,
    model,
    network: { backend, graph: model.graph, weights },
    tokenizer,
    maximumTokens: Math.min(options.maximumTokens ?? Infinity, model.config.maximumTokens),
    maximumForwards: options.maximumForwards ?? Infinity,
    methods,
    thresholds,
    dry: memory && {
      // What the backend holds before anything is loaded comes off the limit.
      limitBytes: memory.limitBytes - memory.dry.memory().total,
      network: dryNetwork(memory.dry, model, loaded),
      known: new Map(),
    },
  };
  // Switching a method off must not break the shortest request: the defaults are those that are left.
  const defaults = defaultMethods.filter(({ method }) => methods.includes(method));
  const events = (request: ExplainRequestInput, explainOptions?: ExplainOptions) =>
    explainEvents(context, parse({ methods: defaults, ...request }), explainOptions);
  return {
    name,
    revision,
    config: model.config,
    methods,
    removals: [
      "attention",
      ...(tokenizer?.maskId === undefined ? [] : ["mask"]),
      "zero",
      "delete",
      "replace",
    ],
    maximumTokens: context.maximumTokens,
    backend,
    events,
    async explain(request, explainOptions) {
      for await (const event of events(request, explainOptions)) {
        if (event.type === "done") return event.data;
      }
      throw new Error("explainer: the events ended without an answer");
    },
    predict: (input, predictOptions) => predict(context, parse(input), predictOptions),
  };
}

/** Throws `RequestError` naming every field that is wrong. */
export function parse(request: unknown): ExplainRequest {
  const result = explainRequest.safeParse(request);
  if (result.success) return result.data;
  throw new RequestError(...fieldProblems(result.error));
}

function readTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
  try {
    return createTokenizer(tokenizerJson, tokenizerConfig);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError("tokenizer.json", `tokenizer.json: ${reason}`, { cause });
  }
}

function checkVocabulary(tokens: number, embeddings: number): void {
  if (tokens <= embeddings) return;
  const sizes = `has ids up to ${tokens - 1}, the model embeds 0 to ${embeddings - 1}`;
  throw new CheckpointError("tokenizer.json", `tokenizer.json: ${sizes}`);
}

function dryNetwork(
  backend: Backend,
  { graph, weights }: Model,
  { formats }: LoadedWeights,
): Network {
  const allocate = ({ name, rows, columns }: PlannedWeight) =>
    [name, backend.weight(rows, columns, formats.get(name))] as const;
  return { backend, graph, weights: new Map(weights.map(allocate)) };
}
