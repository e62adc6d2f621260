// The levels a comparison can reach, the thresholds between them, and the rule for one method.
// Must not know sentences, scores or the model.

import { chanceLevel } from "./chance.ts";
import type { ComparisonRow } from "./compare.ts";

export type Level = "agrees" | "mixed" | "diverges" | "undecided";

export interface Thresholds {
  /** Spearman from which a method agrees, if its interval also clears chance. */
  readonly agrees: number;
  /** Spearman below which a method diverges. */
  readonly diverges: number;
  /** Scored units below which one text decides nothing. */
  readonly minimumUnits: number;
}

/** Chosen on 200 sentences and small BERTs; a deployment may set its own. */
export const DEFAULT_THRESHOLDS: Thresholds = { agrees: 0.75, diverges: 0.5, minimumUnits: 10 };

export interface MethodRow extends ComparisonRow {
  readonly method: string;
}

/** The thresholds with defaults filled in; throws where they do not make sense. */
export function completeThresholds(given: Partial<Thresholds> = {}): Thresholds {
  const thresholds = { ...DEFAULT_THRESHOLDS, ...given };
  const { agrees, diverges, minimumUnits } = thresholds;
  if (!(-1 <= diverges && diverges <= agrees && agrees <= 1)) {
    throw new Error(
      `verdict: thresholds must hold -1 <= diverges <= agrees <= 1: ${diverges}, ${agrees}`,
    );
  }
  if (!Number.isInteger(minimumUnits) || minimumUnits < 0) {
    throw new Error(`verdict: minimumUnits is not a count: ${minimumUnits}`);
  }
  return thresholds;
}

/**
 * The level of one method over `units` scored units of one text.
 * Too few units or no Spearman: undecided. Below `diverges`: diverges. From `agrees` on, with an
 * interval wholly above what chance reaches: agrees. Anything else: mixed.
 */
export function levelOf(row: ComparisonRow, units: number, thresholds: Thresholds): Level {
  if (units < thresholds.minimumUnits || row.spearman === undefined) return "undecided";
  if (row.spearman < thresholds.diverges) return "diverges";
  return row.spearman >= thresholds.agrees && clearsChance(row, units) ? "agrees" : "mixed";
}

/** Whether the interval of the row lies above the chance level; false without an interval. */
export function clearsChance(row: ComparisonRow, units: number): boolean {
  const chance = chanceLevel(units);
  return chance !== undefined && row.interval !== undefined && row.interval[0] > chance;
}
