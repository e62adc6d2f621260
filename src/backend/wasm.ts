// The backend on WASM SIMD kernels: every operation checks shapes, because a kernel would write over its neighbours
// instead, and calls one kernel per pass or sequence. It knows no model and does no arithmetic of its own.
import { assertShape } from "../tensor.ts";
import type { Tensor } from "../tensor.ts";
import { passesThroughSoftmax } from "./backend.ts";
import { ACTIVATION_NUMBERS } from "./kernels.ts";
import { dryMachine, wasmMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { checkAttention, hiddenWords, makeLayout, sequenceOf } from "./wasm-attention.ts";
import type { LayoutStorage } from "./wasm-attention.ts";
import { WasmProducts } from "./wasm-products.ts";
import type {
  Activation,
  AttentionLayout,
  AttentionShape,
  AttentionShares,
  Backend,
  NormOptions,
  Segment,
  Slope,
} from "./backend.ts";

export { chooseKernels, supportsRelaxedSimd } from "./kernels.ts";

export interface WasmBackendOptions {
  /** As `chooseKernels` gives it. */
  readonly name?: string;
  /** Largest size of the WASM memory, everything included. Default: what the host allows. */
  readonly limitBytes?: number;
}

/** A backend with a memory of its own. `module` is build/kernels.relaxed-simd.wasm or build/kernels.simd.wasm. */
export function createWasmBackend(
  module: WebAssembly.Module,
  { name = "wasm", limitBytes = Infinity }: WasmBackendOptions = {},
): Backend {
  return new WasmBackend(name, wasmMachine(module, limitBytes));
}

/**
 * The same backend without memory or arithmetic: `read` gives zeros, `memory()` what the same calls need at least.
 * Replaying a request on it tells what the request will take.
 */
export function createDryBackend({
  name = "dry",
  limitBytes = Infinity,
}: WasmBackendOptions = {}): Backend {
  return new WasmBackend(name, dryMachine(limitBytes));
}

class WasmBackend extends WasmProducts implements Backend {
  readonly name: string;

  constructor(name: string, machine: Machine) {
    super(machine);
    this.name = name;
  }

  // ---- forward

  add(out: Tensor, a: Tensor, b: Tensor): void {
    assertShape("add a", a, out.rows, out.columns);
    assertShape("add b", b, out.rows, out.columns);
    this.machine.kernels.add(this.at(out), this.at(a), this.at(b), out.rows * out.columns);
  }

  multiply(out: Tensor, a: Tensor, b: Tensor): void {
    assertShape("multiply a", a, out.rows, out.columns);
    assertShape("multiply b", b, out.rows, out.columns);
    this.machine.kernels.multiply(this.at(out), this.at(a), this.at(b), out.rows * out.columns, 1);
  }

  norm(
    out: Tensor,
    statistics: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | undefined,
    { centred, epsilon }: NormOptions,
  ): void {
    const { rows: R, columns: C } = x;
    assertShape("norm out", out, R, C);
    assertShape("norm statistics", statistics, R, 2);
    assertShape("norm weight", weight, 1, C);
    if (bias !== undefined) assertShape("norm bias", bias, 1, C);
    this.machine.kernels.norm(
      this.at(out),
      this.at(statistics),
      this.at(x),
      this.at(weight),
      this.atOrNone(bias),
      R,
      C,
      centred,
      epsilon,
    );
  }

  activate(out: Tensor, x: Tensor, activation: Activation): void {
    assertShape("activate out", out, x.rows, x.columns);
    const number = ACTIVATION_NUMBERS[activation];
    this.machine.kernels.activate(this.at(out), this.at(x), x.rows * x.columns, number);
  }

  select(out: Tensor, x: Tensor, index: Tensor): void {
    const N = index.rows * index.columns;
    assertShape("select out", out, N, x.columns);
    const [outAt, xAt, indexAt] = [this.at(out), this.at(x), this.at(index)];
    const offender = this.machine.kernels.lookup(outAt, xAt, indexAt, 0, N, x.columns, x.rows);
    if (offender >= 0) {
      throw new Error(`select: index outside ${x.rows} rows at position ${offender}`);
    }
  }

  attentionLayout(
    segments: readonly Segment[],
    hidden: Uint8Array,
    heads: number,
  ): AttentionLayout {
    const keys = hiddenWords(segments, hidden);
    return makeLayout(this.integers(keys.words), keys, segments, heads);
  }

  freeLayout(layout: AttentionLayout): void {
    this.free((layout.storage as LayoutStorage).words);
  }

  attention(
    out: Tensor,
    probabilities: Tensor | undefined,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shape: AttentionShape,
  ): void {
    const { layout, heads, scale } = shape;
    const storage = checkAttention(q, k, v, shape);
    const C = q.columns;
    assertShape("attention out", out, q.rows, C);
    if (probabilities !== undefined) {
      assertShape("attention probabilities", probabilities, 1, layout.probabilityCount);
    }
    const kept = this.atOrNone(probabilities);
    const [outAt, qAt, kAt, vAt] = [this.at(out), this.at(q), this.at(k), this.at(v)];
    const words = this.at(storage.words);
    const scratch = probabilities === undefined ? this.allocate(1, storage.largest) : undefined;
    layout.segments.forEach(({ queryStart, queries, keyStart, keys }, b) => {
      const { firstWord, visible } = sequenceOf(storage.sequences, b);
      this.machine.kernels.attention(
        outAt + queryStart * C * 4,
        scratch ? this.at(scratch) : kept + sequenceOf(layout.probabilityStarts, b) * 4,
        scratch ? 0 : queries * keys,
        qAt + queryStart * C * 4,
        kAt + keyStart * C * 4,
        vAt + keyStart * C * 4,
        words + firstWord * 4,
        visible,
        queries,
        keys,
        heads,
        C,
        scale,
        this.gemmScratch,
      );
    });
    if (scratch) this.free(scratch);
  }

  // ---- backward

  normPullback(
    out: Tensor,
    c: Tensor,
    x: Tensor,
    weight: Tensor,
    statistics: Tensor,
    shares: readonly number[],
    { centred }: NormOptions,
  ): void {
    const { rows: R, columns: C } = x;
    assertShape("normPullback c", c, shares.length * R, C);
    assertShape("normPullback out", out, shares.length * R, C);
    assertShape("normPullback weight", weight, 1, C);
    assertShape("normPullback statistics", statistics, R, 2);
    shares.forEach((share, p) => {
      const offset = p * R * C * 4;
      this.machine.kernels.normPullback(
        this.at(out) + offset,
        this.at(c) + offset,
        this.at(x),
        this.at(weight),
        this.at(statistics),
        R,
        C,
        centred,
        share,
      );
    });
  }

  activatePullback(
    out: Tensor,
    c: Tensor,
    x: Tensor,
    activation: Activation,
    slopes: readonly Slope[],
  ): void {
    const count = x.rows * x.columns;
    const number = ACTIVATION_NUMBERS[activation];
    assertShape("activatePullback c", c, slopes.length * x.rows, x.columns);
    assertShape("activatePullback out", out, slopes.length * x.rows, x.columns);
    slopes.forEach((slope, p) => {
      const [to, from] = [this.at(out) + p * count * 4, this.at(c) + p * count * 4];
      const useRatio = slope === "ratio";
      this.machine.kernels.activatePullback(to, from, this.at(x), count, number, useRatio);
    });
  }

  multiplyPullback(out: Tensor, c: Tensor, other: Tensor, shares: readonly number[]): void {
    const count = other.rows * other.columns;
    assertShape("multiplyPullback c", c, shares.length * other.rows, other.columns);
    assertShape("multiplyPullback out", out, shares.length * other.rows, other.columns);
    shares.forEach((share, p) => {
      const [to, from] = [this.at(out) + p * count * 4, this.at(c) + p * count * 4];
      this.machine.kernels.multiply(to, from, this.at(other), count, share);
    });
  }

  selectPullback(out: Tensor, c: Tensor, index: Tensor, passes: number): void {
    const [N, C] = [index.rows * index.columns, out.columns];
    const R = out.rows / passes;
    assertShape("selectPullback c", c, passes * N, C);
    if (!Number.isInteger(R)) {
      throw new Error(`selectPullback out: ${passes} passes do not divide ${out.rows} rows`);
    }
    const { kernels } = this.machine;
    kernels.clear(this.at(out), out.rows * C * 4);
    const offender = kernels.selectPullback(
      this.at(out),
      this.at(c),
      this.at(index),
      passes,
      N,
      R,
      C,
    );
    if (offender >= 0) {
      throw new Error(`selectPullback: index outside ${R} rows at position ${offender}`);
    }
  }

  attentionPullback(
    out: { readonly query?: Tensor; readonly key?: Tensor; readonly value: Tensor },
    c: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    probabilities: Tensor,
    shares: readonly AttentionShares[],
    shape: AttentionShape,
  ): void {
    const { layout, heads, scale } = shape;
    const storage = checkAttention(q, k, v, shape);
    const [P, C] = [shares.length, q.columns];
    const through = passesThroughSoftmax(shares);
    assertShape("attentionPullback c", c, P * q.rows, C);
    assertShape("attentionPullback value", out.value, P * k.rows, C);
    assertShape("attentionPullback probabilities", probabilities, 1, layout.probabilityCount);
    if (out.query && out.key) {
      assertShape("attentionPullback query", out.query, through * q.rows, C);
      assertShape("attentionPullback key", out.key, through * k.rows, C);
    } else if (through > 0) {
      throw new Error("attentionPullback: query and key needed where weights have a share");
    }
    const { kernels } = this.machine;
    for (const tensor of [out.query, out.key, out.value]) {
      if (tensor !== undefined) kernels.clear(this.at(tensor), tensor.rows * C * 4);
    }
    const scores = through > 0 ? this.allocate(1, storage.largest) : undefined;
    shares.forEach(({ weights, values, query, key }, p) => {
      layout.segments.forEach(({ queryStart, queries, keyStart, keys }, b) => {
        const queryOffset = queryStart * C * 4;
        const keyOffset = keyStart * C * 4;
        const queryPass = queryOffset + p * q.rows * C * 4;
        const keyPass = keyOffset + p * k.rows * C * 4;
        kernels.attentionPullback(
          this.atOrNone(out.query) + queryPass,
          this.atOrNone(out.key) + keyPass,
          this.at(out.value) + keyPass,
          this.at(c) + queryPass,
          this.at(q) + queryOffset,
          this.at(k) + keyOffset,
          this.at(v) + keyOffset,
          this.at(probabilities) + sequenceOf(layout.probabilityStarts, b) * 4,
          sequenceOf(storage.sequences, b).visible,
          queries,
          keys,
          heads,
          C,
          weights,
          values,
          query * scale,
          key * scale,
          this.atOrNone(scores),
          this.gemmScratch,
        );
      });
    });
    if (scores) this.free(scores);
  }

  stabilise(out: Tensor, c: Tensor, z: Tensor, epsilons: readonly number[]): void {
    const count = z.rows * z.columns;
    assertShape("stabilise c", c, epsilons.length * z.rows, z.columns);
    assertShape("stabilise out", out, epsilons.length * z.rows, z.columns);
    const { kernels } = this.machine;
    epsilons.forEach((epsilon, p) => {
      const [to, from] = [this.at(out) + p * count * 4, this.at(c) + p * count * 4];
      if (epsilon === 0) kernels.copy(to, from, count * 4);
      else kernels.stabilise(to, from, this.at(z), count, epsilon);
    });
  }

  relevance(out: Tensor, c: Tensor, h: Tensor): void {
    const { rows: R, columns: C } = h;
    const P = R === 0 ? 0 : c.rows / R;
    assertShape("relevance out", out, c.rows, 1);
    assertShape("relevance c", c, Math.floor(P) * R, C);
    for (let p = 0; p < P; p++) {
      const [to, from] = [this.at(out) + p * R * 4, this.at(c) + p * R * C * 4];
      this.machine.kernels.relevance(to, from, this.at(h), R, C);
    }
  }
}
