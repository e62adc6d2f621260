// Golden values of every family in Chromium, on both builds of the kernels.
import { describe } from "vitest";
import { createExplainer } from "../../src/explainer/explainer.ts";
import { fetchSource } from "../../src/loading/byte-source.ts";
import { fetchFamilies, goldenTests } from "../suite/golden.ts";
import { kernels } from "./kernels.ts";

const fetchGolden = (path: string) => fetch(`/tests/golden/${path}`);

const families = await fetchFamilies(fetchGolden);

describe.for(families)("$family", ({ family, golden, estimates }) => {
  for (const { name, make } of kernels) {
    goldenTests({ golden, estimates }, `${family} on ${name} in Chromium`, async (requests) => {
      const source = fetchSource(`golden/${family}`, (path) => fetchGolden(`${family}/${path}`));
      const explainer = await createExplainer({ name: family, source, backend: make() });
      return Promise.all(requests.map((request) => explainer.explain(request)));
    });
  }
});
