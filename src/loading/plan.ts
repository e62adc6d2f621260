// What a model asks of a checkpoint, as a list of weights, and which of the checkpoint's tensors serve it.
import { shapeText, WeightsMissing } from "./checkpoint-error.ts";

export interface PlannedWeight {
  /** Canonical name: the key in the result. */
  readonly name: string;
  /** Name in the checkpoint, or several: the first that the checkpoint holds is taken. */
  readonly tensor: string | readonly string[];
  /** Shape in the backend; a vector of length n is (1, n). */
  readonly rows: number;
  readonly columns: number;
  /** Shape that the checkpoint must have, e.g. [n] for a vector. */
  readonly shape: readonly number[];
}

/** Checkpoint name -> the planned weights that it serves. Throws `WeightsMissing`. */
export function resolvePlan(
  plan: readonly PlannedWeight[],
  tensors: { has(name: string): boolean },
  where: string,
): ReadonlyMap<string, readonly PlannedWeight[]> {
  const wanted = new Map<string, PlannedWeight[]>();
  const missing: PlannedWeight[] = [];
  for (const planned of plan) {
    const tensor = aliases(planned).find((name) => tensors.has(name));
    if (tensor === undefined) missing.push(planned);
    else wanted.set(tensor, [...(wanted.get(tensor) ?? []), planned]);
  }
  const first = missing[0];
  if (first !== undefined) {
    const described = missing.map(
      (planned) => `${aliases(planned).join(" or ")} ${shapeText(planned.shape)}`,
    );
    throw new WeightsMissing(aliases(first)[0]!, described, where);
  }
  return wanted;
}

export function aliases({ tensor }: PlannedWeight): readonly string[] {
  return typeof tensor === "string" ? [tensor] : tensor;
}

/** A plan that cannot be met is the family's mistake, not the checkpoint's. */
export function checkPlan(plan: readonly PlannedWeight[]): void {
  const names = new Set<string>();
  for (const planned of plan) {
    const { name, rows, columns, shape } = planned;
    if (names.has(name)) throw new Error(`plan: ${name} stands twice`);
    names.add(name);
    if (aliases(planned).length === 0) throw new Error(`plan: ${name} has no checkpoint name`);
    if (shape.reduce((product, size) => product * size, 1) !== rows * columns) {
      throw new Error(
        `plan: ${name} with shape ${shapeText(shape)} cannot be (${rows}, ${columns})`,
      );
    }
  }
}
