// What "without token i" means. Each removal turns a sequence and the tokens to remove into another sequence.
import type { Model } from "../model/family.ts";
import type { Sequence } from "../model/sequence.ts";

/** `replace` carries a token id; replacing by [MASK] is the removal that callers know as "mask". */
export type Removal = "attention" | "zero" | "delete" | { readonly replace: number };

type Remove = (
  model: Model,
  sequence: Sequence,
  removed: ReadonlySet<number>,
  id: number,
) => Sequence;

const removals: Readonly<Record<"attention" | "zero" | "delete" | "replace", Remove>> = {
  /** Hidden from every query; ids and positions stay, and so does the token's own residual stream. */
  attention: (_, sequence, removed) => ({
    ...sequence,
    hidden: sequence.hidden.map((hidden, token) => hidden || removed.has(token)),
  }),
  /** Word embedding set to 0; position and type stay. */
  zero: (_, sequence, removed) => ({
    ...sequence,
    wordScale: sequence.ids.map((__, token) =>
      removed.has(token) ? 0 : (sequence.wordScale?.[token] ?? 1),
    ),
  }),
  /** Sequence shortened; positions and the read token follow anew from what is left. */
  delete: (model, { ids, types, hidden }, removed) => {
    const left = <T>(values: readonly T[]) => values.filter((_, token) => !removed.has(token));
    return model.sequence({ ids: left(ids), types: left(types), hidden: left(hidden) });
  },
  replace: (_, sequence, removed, id) => ({
    ...sequence,
    ids: sequence.ids.map((own, token) => (removed.has(token) ? id : own)),
  }),
};

/** `sequence` without the tokens `removed`. */
export function remove(
  model: Model,
  sequence: Sequence,
  removed: readonly number[],
  removal: Removal,
): Sequence {
  const tokens = new Set(removed);
  return typeof removal === "string"
    ? removals[removal](model, sequence, tokens, -1)
    : removals.replace(model, sequence, tokens, removal.replace);
}
