// The golden folders of tests/golden, read from disk, for tests in Node.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Estimates, Golden } from "./suite/golden.ts";

export const families = ["bert", "bert-nobias"] as const;

export function goldenFolder(family: string): string {
  return fileURLToPath(new URL(`golden/${family}`, import.meta.url));
}

function readGolden(family: string, file: string): unknown {
  return JSON.parse(readFileSync(`${goldenFolder(family)}/${file}`, "utf8"));
}

export function goldenOf(family: string): { golden: Golden; estimates: Estimates } {
  return {
    golden: readGolden(family, "reference.json") as Golden,
    estimates: readGolden(family, "estimates.json") as Estimates,
  };
}
