// The engine below the explainer: values and relevance at every named activation, and what must hold exactly.
import { describe, expect, test } from "vitest";
import { leaveOneOut } from "../src/attribution/leave-one-out.ts";
import { compositeOf } from "../src/attribution/methods.ts";
import { remove } from "../src/attribution/removals.ts";
import { backward } from "../src/engine/backward.ts";
import { pack, unpack } from "../src/engine/batch.ts";
import { forward } from "../src/engine/forward.ts";
import { sharedRows } from "../src/engine/shared-rows.ts";
import type { Network, Tape } from "../src/engine/tape.ts";
import { extraOf, valueOf } from "../src/engine/tape.ts";
import { openCheckpoint } from "../src/loading/checkpoint.ts";
import { loadWeights } from "../src/loading/weights.ts";
import type { Model } from "../src/model/family.ts";
import { modelOf } from "../src/model/registry.ts";
import type { Sequence } from "../src/model/sequence.ts";
import { folderSource } from "../src/node.ts";
import { backends } from "./backends.ts";
import { families, goldenFolder, goldenOf } from "./golden-data.ts";
import { errorTable, type GoldenCase, relativeError } from "./suite/golden.ts";

async function load(family: string, make: (typeof backends)[number]["make"]) {
  const checkpoint = await openCheckpoint(folderSource(goldenFolder(family)));
  const model = modelOf(checkpoint.config);
  const backend = await make();
  const { weights } = await loadWeights(checkpoint, model.weights, backend);
  const network: Network = { backend, graph: model.graph, weights };
  return { model, network };
}

function sequenceOf(
  model: Model,
  { input_ids, token_type_ids, attention_mask }: GoldenCase,
): Sequence {
  return model.sequence({
    ids: input_ids,
    types: token_type_ids ?? input_ids.map(() => 0),
    hidden: attention_mask.map((visible) => visible === 0),
  });
}

async function withTape<T>(
  network: Network,
  sequences: readonly Sequence[],
  use: (tape: Tape) => Promise<T>,
): Promise<T> {
  const tape = forward(network, pack(sequences), { keep: "tape" });
  try {
    return await use(tape);
  } finally {
    tape.release();
    expect(network.backend.memory().live, "bytes still held after a pass").toBe(0);
  }
}

const named = (tape: Tape, name: string) => {
  const node = tape.network.graph.named.get(name);
  if (node === undefined) throw new Error(`no activation ${name}`);
  return tape.network.backend.read(valueOf(tape, node.id));
};

for (const { name, make } of backends) {
  describe.for(families.map((family) => ({ family })))(`${name}, $family`, ({ family }) => {
    const { golden } = goldenOf(family);

    test("hidden states, attention probabilities, relevance at every layer and channel", async () => {
      const { model, network } = await load(family, make);
      const errors = errorTable();
      for (const goldenCase of golden.cases) {
        const sequence = sequenceOf(model, goldenCase);
        await withTape(network, [sequence], async (tape) => {
          if (goldenCase.forward) await checkForward(tape, goldenCase.forward, errors.note);
          for (const { target, methods } of goldenCase.targets) {
            const seed = goldenCase.logits.map((_, index) => target.coef[index] ?? 0);
            const passes = (["gradient-x-input", "attnlrp", "cp-lrp"] as const).map((method) => ({
              composite: compositeOf(method, model.config.layers),
              seed,
            }));
            const expected = [methods.gxi, methods.attnlrp.ln_detach, methods.cplrp.ln_detach];
            const levels = expected[0]?.hidden.map((_, level) => `hidden.${level}`) ?? [];
            const read = await backward(tape, passes, { at: levels });
            passes.forEach(({ composite }, pass) => {
              levels.forEach((level, index) => {
                const { rows } = tape.batch.packed;
                const last = index === levels.length - 1;
                // The last block runs for the read row alone: one number, the other rows are 0.
                const scores = last
                  ? sequence.ids.map((_, token) =>
                      token === sequence.read ? read.get(level)?.[pass] : 0,
                    )
                  : unpack(tape.batch.packed, 0, read.get(level) ?? [], pass * rows);
                const wanted = expected[pass]?.hidden[index] ?? [];
                errors.note(
                  `${composite.name} at hidden`,
                  relativeError(scores as number[], wanted, expected[pass]?.word),
                );
              });
            });
            const full = (await backward(tape, passes, { at: ["word"], perChannel: true })).get(
              "word",
            );
            const { channels } = model.config;
            [methods.attnlrp.ln_detach, methods.cplrp.ln_detach].forEach(({ word_full }, index) => {
              if (word_full === undefined) return;
              const start = (index + 1) * tape.batch.packed.rows * channels;
              const visible = (tape.batch.packed.kept[0] ?? []).flatMap(
                (token) => word_full[token] ?? [],
              );
              const scores = Array.from(
                { length: visible.length },
                (_, i) => full?.[start + i] ?? NaN,
              );
              errors.note("per channel at word", relativeError(scores, visible));
            });
          }
        });
      }
      errors.print(`${family} inside, on ${name}`);
      expect(errors.size).toBe(6);
    });

    test("CP-LRP conserves where there are no biases, and AttnLRP's gap is reported, not hidden", async () => {
      const { model, network } = await load(family, make);
      for (const goldenCase of golden.cases) {
        const seed = goldenCase.logits.map((_, index) => Number(index === 0));
        const sums = await withTape(network, [sequenceOf(model, goldenCase)], async (tape) => {
          const passes = (["cp-lrp", "attnlrp"] as const).map((method) => ({
            composite: compositeOf(method, model.config.layers),
            seed,
          }));
          const scores = (await backward(tape, passes, { at: ["emb"] })).get("emb") ?? [];
          const { packed } = tape.batch;
          return passes.map((_, pass) =>
            unpack(packed, 0, scores, pass * packed.rows).reduce((sum, score) => sum + score, 0),
          );
        });
        const value = goldenCase.logits[0] ?? NaN;
        const gaps = sums.map((sum) => Math.abs(value - sum) / Math.abs(value));
        // Without biases every rule of CP-LRP hands on all it gets; with them they take their share.
        if (family === "bert-nobias") {
          expect(gaps[0]).toBeLessThan(1e-5);
          expect(gaps[1], "AttnLRP drops the softmax bias").toBeGreaterThan(1e-3);
        } else {
          expect(gaps[0]).toBeGreaterThan(1e-3);
        }
      }
    });

    test("leave-one-out gives the same bits one by one and in chunks of any size, rows shared or not", async () => {
      const { model, network } = await load(family, make);
      const goldenCase = golden.cases[1];
      if (goldenCase === undefined) throw new Error("golden: no second case");
      const sequence = sequenceOf(model, goldenCase);
      const target = goldenCase.logits.map((_, index) => Number(index === 0));
      for (const removal of ["attention", "zero", "delete", { replace: 4 }] as const) {
        const removed = sequence.ids.map((_, token) => remove(model, sequence, [token], removal));
        const measure = async (rowsPerChunk: number) => {
          const values: number[] = [];
          for await (const chunk of leaveOneOut(network, removed, target, { rowsPerChunk })) {
            values.push(...chunk);
          }
          return values;
        };
        const alone = await measure(1);
        expect(alone.length).toBe(sequence.ids.length);
        for (const rows of [20, 64, 1000]) expect(await measure(rows)).toEqual(alone);
        // Deletion moves positions, so that few rows are equal; the others leave nearly all of them as they are.
        const shared = sharedRows(pack(removed));
        if (removal !== "delete")
          expect(shared?.distinct.rows).toBeLessThan(3 * sequence.ids.length);
      }
      expect(sharedRows(pack([sequence])), "one sequence has nothing to share").toBeUndefined();
      expect(network.backend.memory().live).toBe(0);
    });

    test("a sequence gets the same bits alone, in a batch, padded, and in any chunk", async () => {
      const { model, network } = await load(family, make);
      const sequences = golden.cases.map((goldenCase) => sequenceOf(model, goldenCase));
      const padded = sequences.map(({ ids, types, hidden }) =>
        model.sequence({
          ids: [...ids, 0, 0, 0, 0, 0],
          types: [...types, 0, 0, 0, 0, 0],
          hidden: [...hidden, true, true, true, true, true],
        }),
      );
      const seed = (golden.cases[0]?.logits ?? []).map((_, index) => Number(index === 1));
      const composites = (["gradient-x-input", "attnlrp", "cp-lrp"] as const).map((method) =>
        compositeOf(method, model.config.layers),
      );
      /** Bits of logits and relevance per sequence of a batch. */
      const bits = (batch: readonly Sequence[]) =>
        withTape(network, batch, async (tape) => {
          const logits = await network.backend.read(valueOf(tape, network.graph.output.id));
          const passes = composites.map((composite) => ({
            composite,
            seed: batch.flatMap(() => seed),
          }));
          const scores = (await backward(tape, passes, { at: ["word"] })).get("word") ?? [];
          const { packed } = tape.batch;
          return batch.map((_, b) => ({
            logits: Array.from(logits.slice(b * seed.length, (b + 1) * seed.length)),
            scores: passes.map((__, pass) => unpack(packed, b, scores, pass * packed.rows)),
          }));
        });
      const alone: Awaited<ReturnType<typeof bits>> = [];
      for (const sequence of sequences) alone.push(...(await bits([sequence])));
      const trim = (result: (typeof alone)[number], b: number) => ({
        ...result,
        scores: result.scores.map((scores) => scores.slice(0, sequences[b]?.ids.length)),
      });
      expect(await bits(sequences)).toEqual(alone);
      expect((await bits(sequences.toReversed())).toReversed()).toEqual(alone);
      expect((await bits(padded)).map(trim)).toEqual(alone);
    });
  });
}

async function checkForward(
  tape: Tape,
  { hidden_states: states, attentions }: NonNullable<GoldenCase["forward"]>,
  note: (name: string, error: number) => void,
): Promise<void> {
  const { network } = tape;
  for (const [level, state] of states.entries()) {
    const last = level === states.length - 1;
    const rows = last ? state.slice(0, 1) : state;
    note("hidden states", relativeError(await named(tape, `hidden.${level}`), rows.flat()));
  }
  const nodes = network.graph.nodes.filter(({ kind }) => kind === "attention");
  for (const [layer, node] of nodes.entries()) {
    const last = layer === nodes.length - 1;
    const heads = (attentions[layer] ?? []).map((head) => (last ? head.slice(0, 1) : head));
    const probabilities = await network.backend.read(extraOf(tape, node.id));
    note("attention probabilities", relativeError(probabilities, heads.flat(2)));
  }
}
