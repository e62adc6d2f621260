// Runs in Node before the Worker starts: puts the static assets of the tests together in build/test-assets.
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tinyTokenizer, tinyTokenizerConfig } from "./tiny-tokenizer.ts";

/** Returns the folder: models/tiny from tests/golden/bert, golden/, and models/sst2 where public/ has it. */
export function prepareAssets(root: string): string {
  const assets = join(root, "build/test-assets");
  const tiny = join(assets, "models/tiny");
  rmSync(assets, { recursive: true, force: true });
  mkdirSync(tiny, { recursive: true });
  for (const file of ["config.json", "model.safetensors"]) {
    cpSync(join(root, "tests/golden/bert", file), join(tiny, file));
  }
  writeFileSync(join(tiny, "tokenizer.json"), JSON.stringify(tinyTokenizer));
  writeFileSync(join(tiny, "tokenizer_config.json"), JSON.stringify(tinyTokenizerConfig));
  cpSync(join(root, "tests/golden"), join(assets, "golden"), { recursive: true });
  const sst2 = join(root, "public/models/sst2");
  // Left out where it is absent: its own test then fails, and the others still run.
  if (existsSync(sst2)) cpSync(sst2, join(assets, "models/sst2"), { recursive: true });
  return assets;
}
