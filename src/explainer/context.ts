// What every step of an explanation is given: the loaded model, and the limits of the deployment.
import type { Network } from "../engine/tape.ts";
import type { Model } from "../model/family.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { MethodName } from "../contract/request.ts";
import type { Thresholds } from "../comparison/levels.ts";

export interface DryNetwork {
  readonly network: Network;
  readonly limitBytes: number;
  /** What was found for requests of the same sizes: rows per chunk. */
  readonly known: Map<string, number>;
}

export interface Context {
  /** Name under which the model is served. */
  readonly name: string;
  /** Hash of the weights and the config. */
  readonly revision: string;
  readonly model: Model;
  readonly network: Network;
  readonly tokenizer: Tokenizer | undefined;
  /** Longest sequence that is accepted. */
  readonly maximumTokens: number;
  /** Most forward passes that one request may take; Infinity for no limit. */
  readonly maximumForwards: number;
  /** Methods that may be asked for. */
  readonly methods: readonly MethodName[];
  readonly thresholds: Partial<Thresholds>;
  /** The same network on a backend that only counts; absent where memory is not limited. */
  readonly dry: DryNetwork | undefined;
}
