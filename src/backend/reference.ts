// The reference backend: every operation as a plain loop in float64. The oracle of the others, so it is written to be
// obviously right and strict about shapes, aliasing and freed tensors; never for speed.
import { assertShape, type Tensor } from "../tensor.ts";
import {
  type AttentionLayout,
  type AttentionShape,
  type Backend,
  passesThroughSoftmax,
} from "./backend.ts";
import { activations } from "./reference-activations.ts";
import {
  attend,
  attendPullback,
  probabilityStarts,
  referenceLayout,
  type ReferenceLayout,
} from "./reference-attention.ts";
import { rowOperations } from "./reference-rows.ts";
import { createReferenceStorage, type ReferenceStorage } from "./reference-storage.ts";

/** Throws `OutOfMemory` when weights, temporaries and layouts together would pass `limitBytes`. */
export function createReferenceBackend({
  limitBytes = Infinity,
}: { readonly limitBytes?: number } = {}): Backend {
  const storage = createReferenceStorage(limitBytes);
  return {
    name: "reference",
    ...storageOperations(storage),
    ...rowOperations(storage),
    ...elementOperations(storage),
    ...attentionOperations(storage),
  };
}

function storageOperations(storage: ReferenceStorage) {
  return {
    allocate: (rows, columns) => storage.create(rows, columns, false, false),
    free: storage.free,
    weight: (rows, columns, format) => storage.create(rows, columns, true, false, format),
    write: storage.write,
    writeScales: storage.writeScales,
    floats(values, rows, columns) {
      if (values.length !== rows * columns) {
        throw new Error(`floats: ${values.length} numbers for shape (${rows}, ${columns})`);
      }
      const tensor = storage.create(rows, columns, false, false);
      storage.floats("floats", tensor).set(values);
      return tensor;
    },
    integers(values) {
      const tensor = storage.create(1, values.length, false, true);
      storage.integers("integers", tensor).set(values);
      return tensor;
    },
    view: storage.view,
    read: async (tensor) => storage.weights("read", tensor).slice(),
    memory: storage.memory,
    resetPeak: storage.resetPeak,
  } satisfies Partial<Backend>;
}

/** Operations on each element by itself. */
function elementOperations(storage: ReferenceStorage) {
  const { floats, output } = storage;

  /** out (P*R, C) = f(pass, c, x), with x (R, C) the same for every pass. */
  function eachPass(
    what: string,
    out: Tensor,
    c: Tensor,
    x: Tensor,
    passes: number,
    f: (pass: number, c: number, x: number) => number,
  ): void {
    assertShape(`${what} out`, out, passes * x.rows, x.columns);
    assertShape(`${what} c`, c, passes * x.rows, x.columns);
    const to = output(what, out, [c, x]);
    const coefficient = floats(`${what} c`, c);
    const values = floats(`${what} x`, x);
    const size = values.length;
    for (let i = 0; i < to.length; i++) {
      to[i] = f(Math.floor(i / size), coefficient[i]!, values[i % size]!);
    }
  }

  return {
    add(out, a, b) {
      assertShape("add a", a, out.rows, out.columns);
      assertShape("add b", b, out.rows, out.columns);
      const to = output("add", out, [], [a, b]);
      const left = floats("add a", a);
      const right = floats("add b", b);
      for (let i = 0; i < to.length; i++) to[i] = left[i]! + right[i]!;
    },
    multiply: (out, a, b) => eachPass("multiply", out, a, b, 1, (_, left, right) => left * right),
    activate(out, x, activation) {
      assertShape("activate out", out, x.rows, x.columns);
      const to = output("activate", out, [x]);
      const { value } = activations[activation];
      floats("activate x", x).forEach((number, i) => void (to[i] = value(number)));
    },
    activatePullback(out, c, x, activation, slopes) {
      const functions = slopes.map((slope) => activations[activation].slopes[slope]);
      eachPass("activate pullback", out, c, x, slopes.length, (pass, coefficient, value) => {
        return coefficient * functions[pass]!(value);
      });
    },
    multiplyPullback(out, c, other, shares) {
      eachPass("multiply pullback", out, c, other, shares.length, (pass, coefficient, value) => {
        return shares[pass]! * coefficient * value;
      });
    },
    stabilise(out, c, z, epsilons) {
      eachPass("stabilise", out, c, z, epsilons.length, (pass, coefficient, value) => {
        const epsilon = epsilons[pass]!;
        const signed = value < 0 ? -epsilon : epsilon;
        return epsilon === 0 ? coefficient : (coefficient * value) / (value + signed);
      });
    },
  } satisfies Partial<Backend>;
}

function attentionOperations(storage: ReferenceStorage) {
  const { floats, output } = storage;
  const layouts = new Set<AttentionLayout>();

  /** Checks what attention and its pullback share, and returns the sizes. */
  function sizes(
    what: string,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    { layout, heads, scale }: AttentionShape,
  ) {
    if (!layouts.has(layout)) throw new Error(`${what}: the layout was freed`);
    const kept = layout.storage as ReferenceLayout;
    const channels = q.columns;
    if (heads !== kept.heads || channels % heads !== 0) {
      throw new Error(`${what}: layout for ${kept.heads} heads, shape has ${heads} of ${channels}`);
    }
    assertShape(`${what} q`, q, kept.queryRows, channels);
    assertShape(`${what} k`, k, kept.hidden.length, channels);
    assertShape(`${what} v`, v, kept.hidden.length, channels);
    return { channels, queryRows: q.rows, keyRows: k.rows, scale };
  }

  return {
    attentionLayout(segments, hidden, heads) {
      const kept = referenceLayout(segments, hidden, heads);
      const starts = probabilityStarts(segments, heads);
      const layout: AttentionLayout = {
        segments: segments.map((segment) => ({ ...segment })),
        probabilityStarts: starts.slice(0, -1),
        probabilityCount: starts.at(-1)!,
        storage: kept,
      };
      storage.countLayout(kept.bytes);
      layouts.add(layout);
      return layout;
    },
    freeLayout(layout) {
      if (!layouts.delete(layout)) throw new Error("freeLayout: the layout was freed before");
      storage.countLayout(-(layout.storage as ReferenceLayout).bytes);
    },
    attention(out, probabilities, q, k, v, shape) {
      const size = sizes("attention", q, k, v, shape);
      const { probabilityCount } = shape.layout;
      assertShape("attention out", out, q.rows, q.columns);
      if (probabilities) assertShape("attention probabilities", probabilities, 1, probabilityCount);
      attend(
        output("attention", out, [probabilities, q, k, v]),
        probabilities
          ? output("attention probabilities", probabilities, [q, k, v])
          : new Float64Array(probabilityCount),
        floats("attention q", q),
        floats("attention k", k),
        floats("attention v", v),
        shape.layout,
        size,
      );
    },
    attentionPullback(out, c, q, k, v, probabilities, shares, shape) {
      const what = "attention pullback";
      const size = sizes(what, q, k, v, shape);
      const P = shares.length;
      const { query, key, value } = out;
      if ((query === undefined) !== (key === undefined)) {
        throw new Error(`${what}: query and key are given both or neither`);
      }
      const through = passesThroughSoftmax(shares);
      if (!query && through > 0) {
        throw new Error(`${what}: a pass goes through the softmax, and query and key are absent`);
      }
      assertShape(`${what} c`, c, P * q.rows, q.columns);
      assertShape(`${what} probabilities`, probabilities, 1, shape.layout.probabilityCount);
      if (query) assertShape(`${what} query`, query, through * q.rows, q.columns);
      if (key) assertShape(`${what} key`, key, through * k.rows, k.columns);
      assertShape(`${what} value`, value, P * k.rows, k.columns);
      const inputs = [c, q, k, v, probabilities];
      attendPullback(
        {
          ...(query && { query: output(what, query, [...inputs, key, value]) }),
          ...(key && { key: output(what, key, [...inputs, value]) }),
          value: output(what, value, inputs),
        },
        floats(`${what} c`, c),
        floats(`${what} q`, q),
        floats(`${what} k`, k),
        floats(`${what} v`, v),
        floats(`${what} probabilities`, probabilities),
        shares,
        shape.layout,
        size,
      );
    },
  } satisfies Partial<Backend>;
}
