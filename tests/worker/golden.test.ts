// Golden values of every family inside workerd, on both builds of the kernels.
import { env } from "cloudflare:workers";
import { describe } from "vitest";
import plain from "../../build/kernels.simd.wasm";
import relaxed from "../../build/kernels.relaxed-simd.wasm";
import { createWasmBackend } from "../../src/backend/wasm.ts";
import { createExplainer } from "../../src/explainer/explainer.ts";
import { fetchSource } from "../../src/loading/byte-source.ts";
import { fetchFamilies, goldenTests } from "../suite/golden.ts";

const builds = { "wasm-simd": plain, "wasm-relaxed-simd": relaxed };

const fetchGolden = (path: string) => env.ASSETS.fetch(`https://assets.local/golden/${path}`);

const families = await fetchFamilies(fetchGolden);

describe.for(families)("$family", ({ family, golden, estimates }) => {
  for (const [name, module] of Object.entries(builds)) {
    goldenTests({ golden, estimates }, `${family} on ${name} in workerd`, async (requests) => {
      const explainer = await createExplainer({
        name: family,
        source: fetchSource(`golden/${family}`, (path) => fetchGolden(`${family}/${path}`)),
        backend: createWasmBackend(module, { name }),
      });
      return Promise.all(requests.map((request) => explainer.explain(request)));
    });
  }
});
