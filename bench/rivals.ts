// Our forward passes and leave-one-out against onnxruntime-web on the same random weights, in one process and in turn.
import { createExplainer, type Explainer } from "../src/explainer/explainer.ts";
import type { ByteSource } from "../src/loading/byte-source.ts";
import { int8CheckpointOf } from "./int8.ts";
import type { Job } from "./jobs.ts";
import { onnxOf } from "./onnx.ts";
import { openOrt, type OrtModel, ortName } from "./ort.ts";
import { type BertName, bertSizes, checkpointOf, idsOf, randomBert } from "./random-bert.ts";
import { agreement, explaining, type Host, play, type Row } from "./workload.ts";

interface Contest {
  readonly explainer: Explainer;
  /** The same weights as bytes with a scale per row. */
  readonly int8: Explainer;
  readonly exported: OrtModel;
  /** Its last block is cropped to the read row, which our graph does by itself. */
  readonly cropped: OrtModel;
  /** Dynamically quantised, which is what transformers.js loads by default. */
  readonly quantized: OrtModel;
}

/** ORT reaches its speed after about six runs. */
const WARM_UP = 6;

/** Rounding to bytes moves the logits of these weights by up to 3 hundredths of the largest. */
const QUANTIZED_LIMIT = 0.1;

export async function timeForwards(job: Job, host: Host): Promise<Row[]> {
  const { explainer, int8, exported, cropped, quantized } = await contestOf(job.model, host);
  const ids = idsOf(job.tokens);
  const variants = {
    forward: () => explainer.predict({ ids }),
    int8: () => int8.predict({ ids }),
    exported: () => exported.run(ids),
    cropped: () => cropped.run(ids),
    quantized: () => quantized.run(ids),
    attnlrp: explaining(explainer, ids, ["attnlrp"]),
    relevance: explaining(explainer, ids, ["attnlrp", "cp-lrp", "gradient-x-input"]),
  };
  return play(
    variants,
    [
      {
        name: "forward-f32-vs-ort",
        ours: "forward",
        other: "exported",
        against: `one forward of ${ortName}`,
        difference: await differenceFrom(exported, explainer, ids),
      },
      {
        name: "forward-f32-vs-ort-cropped",
        ours: "forward",
        other: "cropped",
        against: `one forward of ${ortName}, last block cropped by hand`,
        difference: await differenceFrom(cropped, explainer, ids),
      },
      {
        name: "forward-f32-vs-ort-q8",
        ours: "forward",
        other: "quantized",
        against: `one forward of ${ortName}, dynamically quantised`,
        difference: await differenceFrom(quantized, explainer, ids, QUANTIZED_LIMIT),
      },
      {
        name: "forward-int8-vs-ort-q8",
        ours: "int8",
        other: "quantized",
        against: `one forward of ${ortName}, dynamically quantised`,
        difference: await differenceFrom(quantized, int8, ids, QUANTIZED_LIMIT),
      },
      { name: "forward-per-attnlrp", ours: "attnlrp", other: "forward", against: "one forward" },
      {
        name: "forward-per-three-methods",
        ours: "relevance",
        other: "forward",
        against: "one forward",
      },
    ],
    job,
    host,
  );
}

export async function timeLoops(job: Job, host: Host): Promise<Row[]> {
  const { explainer, exported } = await contestOf(job.model, host);
  const ids = idsOf(job.tokens);
  const variants = {
    loo: explaining(explainer, ids, ["loo"]),
    forward: () => explainer.predict({ ids }),
    exported: () => exported.run(ids),
  };
  // The whole text and one forward per token: as many as leave-one-out makes.
  const times = job.tokens + 1;
  return play(
    variants,
    [
      {
        name: "loo-vs-ort-loop",
        ours: "loo",
        other: "exported",
        times,
        against: `${times} forwards of ${ortName}`,
        difference: await differenceFrom(exported, explainer, ids),
      },
      {
        name: "loo-vs-own-loop",
        ours: "loo",
        other: "forward",
        times,
        against: `${times} single forwards of ours`,
      },
    ],
    job,
    host,
  );
}

/** Runs ORT warm, and throws where its logits are not ours. */
async function differenceFrom(
  ort: OrtModel,
  explainer: Explainer,
  ids: number[],
  limit?: number,
): Promise<number> {
  for (let run = 1; run < WARM_UP; run++) await ort.run(ids);
  // A prediction lists the likeliest label first.
  const byLabel = (await explainer.predict({ ids })).toSorted((a, b) =>
    a.label < b.label ? -1 : 1,
  );
  const ours = byLabel.map(({ logit }) => logit);
  const what = `${explainer.name} at ${ids.length} tokens: logits of ours and ORT's`;
  return agreement(what, ours, await ort.run(ids), limit);
}

/** One at a time: the largest takes more than a gigabyte. */
let latest: { readonly key: string; readonly contest: Promise<Contest> } | undefined;

async function contestOf(model: string, host: Host): Promise<Contest> {
  const key = `${host.name} ${model}`;
  if (latest?.key !== key) {
    const before = await latest?.contest;
    for (const each of [before?.exported, before?.cropped, before?.quantized])
      await each?.release();
    latest = { key, contest: openContest(model as BertName, host) };
  }
  return latest.contest;
}

async function openContest(model: BertName, host: Host): Promise<Contest> {
  const bert = randomBert(bertSizes[model]);
  const open = async (source: ByteSource) =>
    createExplainer({ name: model, source, backend: await host.createBackend() });
  return {
    explainer: await open(checkpointOf(bert)),
    int8: await open(await int8CheckpointOf(bert)),
    exported: await openOrt(onnxOf(bert)),
    cropped: await openOrt(onnxOf(bert, { cropped: true })),
    quantized: await openOrt(onnxOf(bert, { quantized: true })),
  };
}
