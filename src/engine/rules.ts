// How a coefficient crosses each kind of op: the vocabulary in which a relevance method is written as a table.
// Which method uses which rule is not known here (attribution/methods.ts).
import type { AttentionShares, Slope } from "../backend/backend.ts";

/** One rule per kind of op with a choice. Lookups, sums and row selections have none: every term gets the coefficient. */
export interface Rules {
  /** Epsilon rule z / (z + epsilon sign z); 0 is the limit, the plain product with W. */
  readonly linear: { readonly epsilon: number };
  /** Share of the derivative of sigma (or rms): 1 is the true Jacobian, 0 holds it constant. */
  readonly norm: { readonly sigma: number };
  readonly activation: { readonly slope: Slope };
  readonly attention: AttentionShares;
  /** Products of two values that both depend on the input: the share of each factor. */
  readonly product: { readonly left: number; readonly right: number };
}

/** A relevance method: its rules, and other rules for the same kinds in some layers. */
export interface Composite {
  readonly name: string;
  readonly rules: Partial<Rules>;
  readonly inLayers?: { readonly layers: ReadonlySet<number>; readonly rules: Partial<Rules> };
}

/** The rule of `composite` for ops of `kind` in `layer`. Throws where the method has none. */
export function ruleFor<K extends keyof Rules>(
  composite: Composite,
  kind: K,
  layer: number,
): Rules[K] {
  const special = composite.inLayers?.layers.has(layer)
    ? composite.inLayers.rules[kind]
    : undefined;
  const rule = special ?? composite.rules[kind];
  if (rule === undefined) throw new Error(`relevance: ${composite.name} has no rule for ${kind}`);
  return rule;
}
