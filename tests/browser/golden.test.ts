// Golden values of every family in Chromium, on both builds of the kernels.
import { describe } from "vitest";
import { createExplainer } from "../../src/explainer/explainer.ts";
import { fetchSource } from "../../src/loading/byte-source.ts";
import { type Estimates, type Golden, goldenTests } from "../suite/golden.ts";
import { kernels } from "./kernels.ts";

const fetchGolden = (path: string) => fetch(`/tests/golden/${path}`);

async function readGolden<T>(path: string): Promise<T> {
  return (await fetchGolden(path)).json() as Promise<T>;
}

const families = await Promise.all(
  ["bert", "bert-nobias"].map(async (family) => ({
    family,
    golden: await readGolden<Golden>(`${family}/reference.json`),
    estimates: await readGolden<Estimates>(`${family}/estimates.json`),
  })),
);

describe.for(families)("$family", ({ family, golden, estimates }) => {
  for (const { name, make } of kernels) {
    goldenTests({ golden, estimates }, `${family} on ${name} in Chromium`, async (requests) => {
      const source = fetchSource(`golden/${family}`, (path) => fetchGolden(`${family}/${path}`));
      const explainer = await createExplainer({ name: family, source, backend: make() });
      return Promise.all(requests.map((request) => explainer.explain(request)));
    });
  }
});
