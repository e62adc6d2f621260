// What a model family has to say of itself. Nothing outside src/model knows a family's name.
import type { Activation } from "../backend/backend.ts";
import type { PlannedWeight } from "../loading/plan.ts";
import type { Graph } from "./graph.ts";
import type { Sequence, TokenInput } from "./sequence.ts";

/** The features of one checkpoint, read from config.json. */
export interface ModelConfig {
  readonly family: string;
  readonly layers: number;
  /** C */
  readonly channels: number;
  /** H */
  readonly heads: number;
  /** Width of the feed-forward block. */
  readonly inner: number;
  /** V */
  readonly vocabulary: number;
  readonly maximumTokens: number;
  /** Values a token-type id may have; 0 where the family has none. */
  readonly tokenTypes: number;
  readonly labels: readonly string[];
  readonly activation: Activation;
  readonly normEpsilon: number;
}

/** The formula of a model, every weight it needs, and how token ids become a sequence. */
export interface Model {
  readonly config: ModelConfig;
  readonly graph: Graph;
  readonly weights: readonly PlannedWeight[];
  /** Adds positions and the read token. */
  sequence(tokens: TokenInput): Sequence;
}

export interface Family {
  readonly name: string;
  /** Value of `model_type` and the classes of `architectures` it stands for. */
  readonly modelType: string;
  readonly architectures: readonly string[];
  /** Throws a `ConfigError` naming the field that is missing, wrong or not supported. */
  configure(json: Readonly<Record<string, unknown>>): ModelConfig;
  build(config: ModelConfig): Model;
}

/** config.json asks for something that would change the numbers and is not supported here. */
export class ConfigError extends Error {
  readonly field: string;
  constructor(field: string, problem: string) {
    super(`config.json: ${field} ${problem}`);
    this.name = "ConfigError";
    this.field = field;
  }
}
