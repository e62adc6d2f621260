// The bench inside workerd: does the job that is posted to it, with the Worker's own kernels and assets.
import plainPeak from "../build/peak.simd.wasm";
import relaxedPeak from "../build/peak.relaxed-simd.wasm";
import plain from "../build/kernels.simd.wasm";
import relaxed from "../build/kernels.relaxed-simd.wasm";
import ortKernels from "../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";
import { chooseKernels, createWasmBackend } from "../src/backend/wasm.ts";
import { fetchSource } from "../src/loading/byte-source.ts";
import type { Job, PortableSuite } from "./jobs.ts";
import { useCompiledOrt } from "./ort.ts";
import { runJob } from "./suites.ts";
import type { Peak } from "./workload.ts";

useCompiledOrt(ortKernels);

export default {
  async fetch(request, { ASSETS }) {
    const job = await request.json<Job<PortableSuite>>();
    const { chosen, name } = chooseKernels({ plain, relaxed });
    const { chosen: peakModule } = chooseKernels({ plain: plainPeak, relaxed: relaxedPeak });
    const host = {
      name: "workerd",
      peak: new WebAssembly.Instance(peakModule).exports.peak as Peak,
      createBackend: () => createWasmBackend(chosen, { name }),
      source: (model: string) =>
        fetchSource(`/models/${model}`, (path) =>
          ASSETS.fetch(`https://assets.local/models/${model}/${path}`),
        ),
    };
    try {
      return Response.json(await runJob(job, host));
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
    }
  },
} satisfies ExportedHandler<{ ASSETS: Fetcher }>;
