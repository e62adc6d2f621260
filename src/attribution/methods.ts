// Every relevance method as a table: kind of op -> how the coefficient crosses it (docs/rules.md). A new method is a row here.
import type { AttentionShares } from "../backend/backend.ts";
import type { Composite, Rules } from "../engine/rules.ts";

/** Layers whose softmax is bypassed: a bound, one layer, or any list. Counted from 0. */
export type LayerSet =
  | { readonly from: number }
  | { readonly up_to: number }
  | { readonly only: number }
  | { readonly set: readonly number[] };

const full: AttentionShares = { weights: 1, values: 1, query: 1, key: 1 };
const halved: AttentionShares = { weights: 0.5, values: 0.5, query: 0.5, key: 0.5 };
const valuesOnly: AttentionShares = { weights: 0, values: 1, query: 0, key: 0 };

/** The true gradient: relevance is gradient x input. */
const gradient: Rules = {
  linear: { epsilon: 0 },
  norm: { sigma: 1 },
  activation: { slope: "derivative" },
  attention: full,
  product: { left: 1, right: 1 },
};

/** Achtibat et al. 2024, arXiv 2402.05602: props. 3.1 to 3.4 in gradient form. */
const attnlrp: Rules = {
  linear: { epsilon: 0 },
  norm: { sigma: 0 },
  activation: { slope: "ratio" },
  attention: halved,
  product: { left: 0.5, right: 0.5 },
};

/** Attention weights are constants: relevance goes back through the values alone. */
const cpLrp: Rules = { ...attnlrp, attention: valuesOnly };

const table = {
  "gradient-x-input": gradient,
  attnlrp,
  /** AttnLRP without halving the two attention products. */
  "attnlrp-unhalved": { ...attnlrp, attention: full },
  "cp-lrp": cpLrp,
  /** Ali et al. 2022, arXiv 2202.07304: activations keep their true gradient. */
  "cp-lrp-ali": { ...cpLrp, activation: gradient.activation },
} satisfies Record<string, Rules>;

export type RelevanceMethod = keyof typeof table;

export interface CompositeOptions {
  /** cp-lrp only: bypass the softmax in these layers and use AttnLRP's rule elsewhere. Default: all. */
  readonly layers?: LayerSet | undefined;
  /** Epsilon of the linear layers' rule, relative to nothing; 0 is the limit that all golden values use. */
  readonly epsilon?: number | undefined;
}

/** The rules of one method for a model of `layers` layers. */
export function compositeOf(
  method: RelevanceMethod,
  layers: number,
  { layers: bypassed, epsilon = 0 }: CompositeOptions = {},
): Composite {
  const linear = { epsilon };
  if (bypassed === undefined) return { name: method, rules: { ...table[method], linear } };
  return {
    name: method,
    rules: { ...table[method], attention: halved, linear },
    inLayers: {
      layers: new Set(layersIn(bypassed, layers)),
      rules: { attention: table[method].attention },
    },
  };
}

/** The layers of a set, in order. `from` the number of layers itself is the empty set. */
export function layersIn(set: LayerSet, layers: number): number[] {
  const all = Array.from({ length: layers }, (_, layer) => layer);
  if ("from" in set) return all.filter((layer) => layer >= set.from);
  if ("up_to" in set) return all.filter((layer) => layer <= set.up_to);
  if ("only" in set) return all.filter((layer) => layer === set.only);
  return all.filter((layer) => set.set.includes(layer));
}
