// Compares the attributions of one text with its leave-one-out scores, and judges them.
import { defaultSteps } from "../attribution/integrated-gradients.ts";
import { agreementOfRemovals, compareScores } from "../comparison/compare.ts";
import { judge } from "../comparison/verdict.ts";
import type { Attribution, Comparison, Verdict } from "../contract/answer.ts";
import type { MethodRow, Thresholds } from "../comparison/levels.ts";
import { perUnit } from "./attribute.ts";
import type { Unit } from "./input.ts";
import { removalName } from "./removal.ts";

/** A method with its options, as one name: "cp-lrp from 4". */
export function methodTitle({ method, layers, epsilon, steps }: Attribution): string {
  const bound = layers && Object.entries(layers).map(([kind, value]) => `${kind} ${value}`);
  const options = [
    ...(bound ?? []),
    ...(epsilon ? [`epsilon ${epsilon}`] : []),
    ...(steps !== undefined && steps !== defaultSteps ? [`${steps} steps`] : []),
  ];
  return [method, ...options].join(" ").replace("up_to", "up to");
}

/** Undefined where leave-one-out was not asked for; the first removal of the request is the reference. */
export function compareAttributions(
  attributions: readonly Attribution[],
  units: readonly Unit[],
): Comparison | undefined {
  const scored = units.filter((unit) => unit.scored);
  const loo = attributions.filter(({ method }) => method === "loo");
  const others = attributions.filter(({ method }) => method !== "loo");
  const [reference] = loo;
  if (reference?.removal === undefined) return undefined;

  const referenceScores = perUnit(reference, scored);
  const rows = others.map((attribution) => {
    const { method, layers, epsilon, steps } = attribution;
    return {
      ...dropUndefined({ method, layers, epsilon, steps }),
      ...compareScores(referenceScores, perUnit(attribution, scored)),
    };
  });
  const ceiling = agreementOfRemovals(
    loo.map((each) => ({
      removal: removalName(each.removal ?? "attention"),
      scores: perUnit(each, scored),
    })),
  );
  // The contract's arrays and tuples are writable, the comparison's are not; both are plain JSON.
  return {
    reference: { method: "loo", removal: reference.removal },
    units: scored.length,
    excluded: "special tokens, the read token and padding",
    rows,
    ...(ceiling ? { ceiling } : {}),
  } as Comparison;
}

export function judgeComparison(
  comparison: Comparison | undefined,
  thresholds: Partial<Thresholds>,
): Verdict {
  if (comparison === undefined) {
    return { level: "undecided", levels: [], reasons: ["leave-one-out was not asked for"] };
  }
  const rows = comparison.rows.map((row) => ({
    ...row,
    method: methodTitle({ ...row, scores: [] }),
  })) as MethodRow[];
  const { units, ceiling } = comparison;
  return judge({ rows, units, ceiling, thresholds }) as Verdict;
}

function dropUndefined<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}
