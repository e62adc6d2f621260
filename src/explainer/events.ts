// What happens while a text is explained, in order: prediction, attributions at once, leave-one-out as it is measured,
// the comparison so far, done.
import type {
  Attribution,
  Comparison,
  ExplainedTarget,
  Explanation,
  Prediction,
  TokenAnswer,
} from "../contract/answer.ts";
import type { RemovalRequest } from "../contract/request.ts";

export type ExplainEvent =
  | {
      readonly type: "prediction";
      readonly data: {
        readonly prediction: readonly Prediction[];
        readonly target: ExplainedTarget;
        readonly tokens: readonly TokenAnswer[];
      };
    }
  | { readonly type: "attribution"; readonly data: Attribution }
  | {
      readonly type: "loo";
      readonly data: {
        readonly removal: RemovalRequest;
        /** Scores per token so far; 0 where `measured` is false. */
        readonly scores: readonly number[];
        readonly measured: readonly boolean[];
      };
    }
  | { readonly type: "comparison"; readonly data: Comparison }
  | { readonly type: "done"; readonly data: Explanation };
