// Golden values through the command line: every request of a family as one line of --input, every answer as one line of --json.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { Explanation } from "../src/contract/answer.ts";
import { families, goldenFolder, goldenOf } from "./golden-data.ts";
import { goldenTests } from "./suite/golden.ts";

const script = fileURLToPath(new URL("../scripts/explain.ts", import.meta.url));

for (const family of families) {
  goldenTests(goldenOf(family), `${family} through the CLI`, async (requests) => {
    const flags = ["--checkpoint", goldenFolder(family), "--input", "-", "--json"];
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...flags], {
      input: requests.map((request) => JSON.stringify(request)).join("\n"),
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as Explanation);
  });
}
