// Three projects: "node" for what needs no platform, "workerd" for the API inside the real runtime, "chromium" for the
// kernels in a browser, where there is one.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { playwright } from "@vitest/browser-playwright";
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

const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const hasChromium = existsSync(chromium);
if (!hasChromium) {
  console.warn(
    `chromium: not found at ${chromium}; its tests are left out (set CHROMIUM to its path)`,
  );
}
const browserProject = {
  test: {
    name: "chromium",
    include: ["tests/browser/*.test.ts"],
    testTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      instances: [{ browser: "chromium" as const }],
      provider: playwright({
        launchOptions: {
          executablePath: chromium,
          args: [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
          ],
        },
      }),
    },
  },
};

export default defineConfig({
  test: {
    projects: [
      { test: { name: "node", include: ["tests/*.test.ts"], testTimeout: 60_000 } },
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
      ...(hasChromium ? [browserProject] : []),
    ],
  },
});
