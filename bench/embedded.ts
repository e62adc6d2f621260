// The model in public/: a forward pass against the arithmetic ceiling, and what explanations cost in forward passes.
import { createExplainer, type Explainer } from "../src/explainer/explainer.ts";
import { openCheckpoint } from "../src/loading/checkpoint.ts";
import type { Graph } from "../src/model/graph.ts";
import { modelOf } from "../src/model/registry.ts";
import type { Job } from "./jobs.ts";
import { atPeak, explaining, type Host, play, type Row } from "./workload.ts";

interface Loaded {
  readonly explainer: Explainer;
  readonly graph: Graph;
}

const loaded = new Map<string, Promise<Loaded>>();

export async function timeEmbedded(job: Job, host: Host): Promise<Row[]> {
  const key = `${host.name} ${job.model}`;
  const loading = loaded.get(key) ?? load(job.model, host);
  loaded.set(key, loading);
  const { explainer, graph } = await loading;
  const { tokens } = job;
  // Ids only: tokenizing is not what is timed. Ordinary ids, none of them special.
  const { vocabulary } = explainer.config;
  const ids = Array.from({ length: tokens }, (_, token) => (1000 + 37 * token) % vocabulary);
  const { peak, times } = atPeak(host.peak, operationsOf(graph, tokens));
  const variants = {
    peak,
    forward: () => explainer.predict({ ids }),
    attnlrp: explaining(explainer, ids, ["attnlrp"]),
    relevance: explaining(explainer, ids, ["attnlrp", "cp-lrp", "gradient-x-input"]),
    everything: explaining(explainer, ids, ["loo", "attnlrp", "cp-lrp", "gradient-x-input"]),
  };
  return play(
    variants,
    [
      {
        name: "forward-share-of-peak",
        ours: "forward",
        other: "peak",
        times,
        against: "the same operations at the measured peak",
      },
      { name: "forward-per-attnlrp", ours: "attnlrp", other: "forward", against: "one forward" },
      {
        name: "forward-per-three-methods",
        ours: "relevance",
        other: "forward",
        against: "one forward",
      },
      {
        name: "own-loop-per-explain",
        ours: "everything",
        other: "forward",
        times: tokens + 1,
        against: "a forward per token and one more",
      },
    ],
    job,
    `${host.name} ${explainer.backend.name}`,
  );
}

async function load(model: string, host: Host): Promise<Loaded> {
  const source = host.source(model);
  const { graph } = modelOf((await openCheckpoint(source)).config);
  const backend = await host.createBackend();
  return { explainer: await createExplainer({ name: model, source, backend }), graph };
}

/** Operations of one forward over one sequence: 2 per multiply-add of matrix products; the rest is not counted. */
function operationsOf({ nodes }: Graph, tokens: number): number {
  const rowsOf = (rows: number | "tokens" | "reads") =>
    rows === "tokens" ? tokens : rows === "reads" ? 1 : rows;
  return nodes.reduce((total, node) => {
    const rows = rowsOf(node.rows);
    const input = nodes[node.inputs[0] ?? -1];
    if (node.kind === "linear") return total + 2 * rows * node.columns * (input?.columns ?? 0);
    if (node.kind === "attention") return total + 4 * rows * tokens * node.columns;
    return total;
  }, 0);
}
