// The bench in Node: one host per build of the kernels, and workerd driven from here.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { unstable_startWorker } from "wrangler";
import { createBackend, folderSource } from "../src/node.ts";
import type { Job, PortableSuite } from "./jobs.ts";
import { runJob } from "./suites.ts";
import type { Host, Peak, Row } from "./workload.ts";

export const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export async function nodeHost(build: "relaxed-simd" | "simd"): Promise<Host> {
  const { instance } = await WebAssembly.instantiate(
    await readFile(here(`../build/peak.${build}.wasm`)),
  );
  return {
    name: "node",
    peak: instance.exports.peak as Peak,
    createBackend: () => createBackend(`wasm-${build}`),
    source: (model) => folderSource(here(`../public/models/${model}`)),
  };
}

/** Jobs that need no rival run on both builds, as the plain one is what engines without relaxed SIMD get. */
const onBothBuilds: readonly PortableSuite[] = ["embedded", "products"];

export async function* inNode(jobs: readonly Job<PortableSuite>[]): AsyncGenerator<Row> {
  for (const build of ["relaxed-simd", "simd"] as const) {
    const host = await nodeHost(build);
    for (const job of jobs) {
      if (build === "simd" && !onBothBuilds.includes(job.suite)) continue;
      yield* await runJob(job, host);
    }
  }
}

export async function* inWorkerd(jobs: readonly Job<PortableSuite>[]): AsyncGenerator<Row> {
  const worker = await unstable_startWorker({
    config: here("wrangler.toml"),
    dev: { server: { port: 0 }, inspector: false, logLevel: "error" },
  });
  try {
    await worker.ready;
    for (const job of jobs) {
      const body = JSON.stringify(job);
      const response = await worker.fetch("http://bench.local/", { method: "POST", body });
      if (!response.ok)
        throw new Error(`bench: workerd answered ${response.status}: ${await response.text()}`);
      yield* (await response.json()) as Row[];
    }
  } finally {
    await worker.dispose();
  }
}
