// Two projects: "node" for everything that needs no Worker, "workerd" for the API inside the real runtime.
import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { prepareAssets } from "./tests/worker/prepare-assets.ts";

const root = fileURLToPath(new URL(".", import.meta.url));

const workerd = cloudflareTest(() => ({
  wrangler: { configPath: "./wrangler.toml" },
  miniflare: {
    assets: { directory: prepareAssets(root), binding: "ASSETS", run_worker_first: true },
    bindings: { MODELS: "tiny,sst2", MEMORY_LIMIT_MIB: "200" },
  },
}));

// Bundled once instead of sent to the runtime file by file: zod alone is a hundred.
const bundled = ["zod", "hono", "hono/request-id", "hono/http-exception", "@hono/zod-openapi"];
const optimizer = {
  ssr: { enabled: true, include: [...bundled, "@huggingface/tokenizers", "fast-check"] },
};

export default defineConfig({
  test: {
    projects: [
      { test: { name: "node", include: ["tests/*.test.ts"] } },
      {
        plugins: [workerd],
        test: {
          name: "workerd",
          include: ["tests/worker/*.test.ts"],
          deps: { optimizer },
          // The first request of a file also loads the Worker.
          testTimeout: 60_000,
        },
      },
    ],
  },
});
