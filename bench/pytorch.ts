// AttnLRP in PyTorch on the same weights: a process that answers requests, so that its calls take turns with ours.
// The pipe's round trip, about 0.1 ms, is in PyTorch's time.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createExplainer } from "../src/explainer/explainer.ts";
import type { Job } from "./jobs.ts";
import { here, nodeHost } from "./node.ts";
import { bertSizes, checkpointOf, idsOf, randomBert } from "./random-bert.ts";
import { agreement, explaining, play, type Row } from "./workload.ts";

const MODEL = "bert-4x256";

/** Rows of `attnlrp-vs-pytorch`; none, with a message, where `python` cannot import torch. */
export async function* againstPytorch(
  jobs: readonly Job<"pytorch">[],
  python: string,
): AsyncGenerator<Row> {
  if (jobs.length === 0) return;
  const found = spawnSync(python, ["-c", "import torch"], { encoding: "utf8" });
  if (found.status !== 0) {
    const reason = found.error?.message ?? found.stderr.trim().split("\n").at(-1);
    console.error(`attnlrp-vs-pytorch: left out, ${python} cannot import torch: ${reason}`);
    return;
  }
  const bert = randomBert(bertSizes[MODEL]);
  const host = await nodeHost("relaxed-simd");
  const backend = await host.createBackend();
  const explainer = await createExplainer({ name: MODEL, source: checkpointOf(bert), backend });
  const folder = await mkdtemp(join(tmpdir(), "plumbline-bench-"));
  await writeFile(join(folder, "config.json"), JSON.stringify(bert.config));
  await writeFile(join(folder, "model.safetensors"), bert.file);
  const torch = startPython(python, folder);
  try {
    const { name } = (await torch.answer()) as { name: string };
    for (const job of jobs) {
      const ids = idsOf(job.tokens);
      const attnlrp = explaining(explainer, ids, ["attnlrp"]);
      const pytorch = () => torch.ask({ ids }) as Promise<{ scores: number[] }>;
      const ours = (await attnlrp()).attributions[0]?.scores ?? [];
      const what = `${MODEL} at ${job.tokens} tokens: AttnLRP scores of ours and PyTorch's`;
      const difference = agreement(what, ours, (await pytorch()).scores);
      const row = { name: "attnlrp-vs-pytorch", ours: "attnlrp", other: "pytorch" } as const;
      const matchup = { ...row, against: `${name}, one thread`, difference };
      yield* await play({ attnlrp, pytorch }, [matchup], job, `node ${backend.name}`);
    }
  } finally {
    torch.end();
    await rm(folder, { recursive: true });
  }
}

/** One line of JSON out, one line of JSON back. */
function startPython(python: string, folder: string) {
  const child: ChildProcess = spawn(python, [here("pytorch.py"), folder], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", MKL_NUM_THREADS: "1" },
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`bench: ${python} ended before it answered`);
    return JSON.parse(value);
  };
  return {
    answer,
    ask(question: unknown) {
      child.stdin?.write(`${JSON.stringify(question)}\n`);
      return answer();
    },
    end: () => child.stdin?.end(),
  };
}
