// The verdict on one text: how far its explanations agree with leave-one-out, and why it says so.
// Reads comparison rows and thresholds only; must not know scores, methods or the model.

import type { Ceiling } from "./compare.ts";
import {
  completeThresholds,
  levelOf,
  type Level,
  type MethodRow,
  type Thresholds,
} from "./levels.ts";
import {
  bestReasons,
  ceilingReason,
  divergingReason,
  SATURATED,
  undefinedReason,
  unitReasons,
} from "./reasons.ts";

export interface Evidence {
  /** One row per relevance method, each against leave-one-out of the same removal. */
  readonly rows: readonly MethodRow[];
  /** How many units were compared. */
  readonly units: number;
  readonly ceiling?: Pick<Ceiling, "removals" | "spearman"> | undefined;
  /** The explained output is near the largest that the model gives. */
  readonly saturated?: boolean | undefined;
  readonly thresholds?: Partial<Thresholds> | undefined;
}

export interface Verdict {
  readonly level: Level;
  /** The method with the highest Spearman, the first of equals; absent if none is defined. */
  readonly best?: string;
  /** Each method's own level by the same rule, in the order of the rows. */
  readonly levels: readonly { readonly method: string; readonly level: Level }[];
  readonly reasons: readonly string[];
}

/**
 * Judges one text: its level is the level of its best method (`levelOf` has the rule). A ceiling
 * and saturation give reasons and never change the level. "Best" means closest to leave-one-out; it
 * does not mean more faithful. Throws for thresholds or a number of units that make no sense.
 */
export function judge(evidence: Evidence): Verdict {
  const { rows, units, ceiling, saturated = false } = evidence;
  if (!Number.isInteger(units) || units < 0) {
    throw new Error(`verdict: units is not a count: ${units}`);
  }
  const thresholds = completeThresholds(evidence.thresholds);
  const levels = rows.map((row) => ({
    method: row.method,
    level: levelOf(row, units, thresholds),
  }));
  const best = closest(rows);
  const level = best === undefined ? "undecided" : levelOf(best, units, thresholds);
  const diverging = level === "diverges" ? undefined : divergingReason(levels);
  return {
    level,
    ...(best === undefined ? {} : { best: best.method }),
    levels,
    reasons: [
      ...(best === undefined ? [undefinedReason(rows)] : bestReasons(best, units, thresholds)),
      ...unitReasons(units, thresholds),
      ...(diverging === undefined ? [] : [diverging]),
      ...(ceiling === undefined ? [] : [ceilingReason(ceiling, thresholds)]),
      ...(saturated ? [SATURATED] : []),
    ],
  };
}

type DefinedRow = MethodRow & { readonly spearman: number };

function closest(rows: readonly MethodRow[]): DefinedRow | undefined {
  const defined = rows.filter((row): row is DefinedRow => row.spearman !== undefined);
  return defined.reduce<DefinedRow | undefined>(
    (best, row) => (best === undefined || row.spearman > best.spearman ? row : best),
    undefined,
  );
}
