// The reasons of a verdict as plain sentences in the product's words.
// States what the rule saw and decides nothing; must not know scores or the model.

import { chanceLevel } from "./chance.ts";
import type { Ceiling } from "./compare.ts";
import { clearsChance, type Level, type MethodRow, type Thresholds } from "./levels.ts";

export const SATURATED =
  "the prediction is saturated: removing one unit hardly moves it, so agreement says less here";

/** Why the best row is where it is: its Spearman, and the threshold that it misses. */
export function bestReasons(
  { spearman, ...row }: MethodRow & { readonly spearman: number },
  units: number,
  thresholds: Thresholds,
): string[] {
  const { agrees, diverges, minimumUnits } = thresholds;
  const reasons = [`spearman ${shown(spearman, [agrees, diverges])} over ${counted(units)}`];
  if (units < minimumUnits) return reasons;
  if (spearman < diverges) reasons.push(`divergence is anything below ${diverges}`);
  else if (spearman < agrees) reasons.push(`agreement starts at ${agrees}`);
  else if (!clearsChance(row, units)) reasons.push("its interval is not clear of chance");
  return reasons;
}

/** Why there is no best row: nothing was asked for, or nothing is defined. */
export function undefinedReason(rows: readonly MethodRow[]): string {
  if (rows.length === 0) return "no relevance method to compare with leave-one-out";
  const notes = new Set(rows.map((row) => row.note ?? "no spearman"));
  return `no method can be compared with leave-one-out: ${[...notes].join(", ")}`;
}

/** How many units a verdict needs, where there are too few, and what chance reaches with these. */
export function unitReasons(units: number, { minimumUnits }: Thresholds): string[] {
  const reasons: string[] = [];
  if (units < minimumUnits) {
    reasons.push(`${counted(units)} scored, a verdict needs ${minimumUnits}`);
  }
  const chance = chanceLevel(units);
  if (chance !== undefined) {
    reasons.push(`chance alone reaches ${shown(chance)} (95 %) at ${counted(units)}`);
  }
  return reasons;
}

/** Names the methods that diverge, each once. */
export function divergingReason(
  levels: readonly { readonly method: string; readonly level: Level }[],
): string | undefined {
  const names = new Set(
    levels.flatMap(({ method, level }) => (level === "diverges" ? method : [])),
  );
  if (names.size === 0) return undefined;
  return `${[...names].join(", ")} ${names.size === 1 ? "diverges" : "diverge"}`;
}

/** How far the removals agree with one another, and what that means where it is low. */
export function ceilingReason(
  { removals, spearman }: Pick<Ceiling, "removals" | "spearman">,
  { agrees }: Thresholds,
): string {
  const count = COUNTS[removals.length] ?? removals.length;
  if (spearman >= agrees) return `${count} removals agree to ${shown(spearman, [agrees])}`;
  return (
    `${count} removals agree only to ${shown(spearman, [agrees])}: ` +
    "no method can be expected above that, unless made for one of them"
  );
}

const COUNTS: Readonly<Record<number, string>> = { 2: "two", 3: "three", 4: "four", 5: "five" };

function counted(units: number): string {
  return `${units} ${units === 1 ? "unit" : "units"}`;
}

// Two digits, or as many as it takes not to show a value on the wrong side of a threshold.
function shown(value: number, limits: readonly number[] = []): string {
  for (let digits = 2; digits <= 17; digits += 1) {
    const text = value.toFixed(digits).replace(/^-(0\.0*)$/, "$1");
    if (limits.every((limit) => Number(text) < limit === value < limit)) return text;
  }
  return String(value);
}
