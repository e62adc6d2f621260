// Golden values of every family through the explainer, on every backend that Node has.
import { describe } from "vitest";
import { createExplainer } from "../src/explainer/explainer.ts";
import { folderSource } from "../src/node.ts";
import { backends } from "./backends.ts";
import { families, goldenFolder, goldenOf } from "./golden-data.ts";
import { goldenTests } from "./suite/golden.ts";

describe.for(families.map((family) => ({ family })))("$family", ({ family }) => {
  for (const { name, make } of backends) {
    goldenTests(goldenOf(family), `${family} on ${name}`, async (requests) => {
      const source = folderSource(goldenFolder(family));
      const explainer = await createExplainer({ name: family, source, backend: await make() });
      return Promise.all(requests.map((request) => explainer.explain(request)));
    });
  }
});
