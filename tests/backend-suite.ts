// Every operation on every backend given, judged by the reference backend; the same suite runs in Node, in workerd and in a
// browser, so it reads no file and imports nothing of a platform.
import { afterAll, beforeAll, describe } from "vitest";
import type { Backend } from "../src/backend/backend.ts";
import { createReferenceBackend } from "../src/backend/reference.ts";
import { attentionTests, hiddenKeyTests } from "./suite/attention.ts";
import { bitTests } from "./suite/bits.ts";
import { createErrorTable, createJudge, type BackendUnderTest } from "./suite/compare.ts";
import { int8BitTests, int8StorageTests, int8Tests } from "./suite/int8.ts";
import { linearTests } from "./suite/linear.ts";
import { rowTests } from "./suite/rows.ts";
import { storageTests } from "./suite/storage.ts";

// Only so that a busy machine does not end a test early.
const patience = { timeout: 120_000 };

export function backendSuite(given: readonly BackendUnderTest[]): void {
  describe.each(given)("backend $name", patience, ({ name, make }) => {
    describe("storage", () => {
      storageTests(make, name);
      int8StorageTests(make);
    });
    describe("same bits", () => {
      bitTests(make);
      int8BitTests(make);
    });
    describe("hidden keys", () => hiddenKeyTests(make));
  });

  // The oracle does not judge itself: reference.test.ts holds it against formulas and finite differences.
  const judged = given.filter(({ name }) => name !== "reference");
  if (judged.length === 0) return;
  const names = judged.map(({ name }) => name);
  describe(`against the reference: ${names.join(", ")}`, patience, () => {
    const errors = createErrorTable(names);
    const backends: Backend[] = [];
    beforeAll(async () => {
      for (const { make } of judged) backends.push(await make());
    });
    afterAll(() => errors.print("relative to the largest number of each result"));
    const judge = createJudge(backends, createReferenceBackend(), errors);
    linearTests(judge);
    int8Tests(judge);
    rowTests(judge);
    attentionTests(judge);
  });
}
