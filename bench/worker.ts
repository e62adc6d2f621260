// The bench inside workerd: GET /?model=&tokens= times one model at one length with the Worker's own kernels and assets.
import plainPeak from "../build/peak.simd.wasm";
import relaxedPeak from "../build/peak.relaxed-simd.wasm";
import plain from "../build/kernels.simd.wasm";
import relaxed from "../build/kernels.relaxed-simd.wasm";
import { chooseKernels, createWasmBackend } from "../src/backend/wasm.ts";
import { createExplainer, type Explainer } from "../src/explainer/explainer.ts";
import { fetchSource } from "../src/loading/byte-source.ts";
import { modelOf } from "../src/model/registry.ts";
import { type Peak, timeModel } from "./workload.ts";

let loaded: Promise<Explainer> | undefined;

export default {
  async fetch(request, { ASSETS }) {
    const { searchParams } = new URL(request.url);
    const model = searchParams.get("model") ?? "sst2";
    const fetcher = (path: string) => ASSETS.fetch(`https://assets.local/models/${model}/${path}`);
    const { chosen, name } = chooseKernels({ plain, relaxed });
    loaded ??= createExplainer({
      name: model,
      source: fetchSource(`/models/${model}`, fetcher),
      backend: createWasmBackend(chosen, { name }),
    });
    const explainer = await loaded;
    const config = (await (await fetcher("config.json")).json()) as Record<string, unknown>;
    const { graph } = modelOf(config);
    const { chosen: peakModule } = chooseKernels({ plain: plainPeak, relaxed: relaxedPeak });
    const peak = new WebAssembly.Instance(peakModule).exports.peak as Peak;
    const tokens = Number(searchParams.get("tokens"));
    return Response.json(await timeModel(explainer, graph, { tokens, runtime: "workerd", peak }));
  },
} satisfies ExportedHandler<{ ASSETS: Fetcher }>;
