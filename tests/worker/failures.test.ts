// Rows of api.md's table of errors that the deployment causes: memory, weights, numbers, and what nobody expected.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/api/app.ts";
import type { ModelStore } from "../../src/api/model-store.ts";
import { OutOfMemory } from "../../src/backend/backend.ts";
import type { Explainer } from "../../src/explainer/explainer.ts";
import { NonFinite } from "../../src/explainer/finite.ts";
import {
  appOn,
  type Files,
  post,
  problemOf,
  type Send,
  text,
  tinyFiles,
  tinyStore,
} from "./service.ts";
import { headerOf, spoilt, weightsOf } from "./spoilt-files.ts";

const logged = vi.fn<(line: string) => void>();
beforeEach(() => {
  logged.mockClear();
  vi.spyOn(console, "error").mockImplementation(logged);
});
afterEach(() => vi.restoreAllMocks());

describe("memory", () => {
  test("422 before any work, saying what would fit", async () => {
    const models = tinyStore(await tinyFiles(), { limitBytes: 1_400_000 });
    const by = appOn(models);
    expect((await post("/v1/explain", { text: "good" }, by)).status).toBe(200);
    const long = { ids: Array(40).fill(98) };
    const { detail } = await problemOf(await post("/v1/explain", long, by), 422);
    expect(detail).toMatch(/needs .* MiB .*MiB are allowed; \d+ tokens would fit/);
    expect((await post("/v1/explain", { text: "good" }, by)).status).toBe(200);
  });

  test("422 where it runs out on the way, and what was taken is given back", async () => {
    const models = tinyStore(await tinyFiles(), { limitBytes: 1_400_000, foreseen: false });
    const by = appOn(models);
    const long = { ids: Array(40).fill(98) };
    for (let round = 0; round < 5; round++) {
      const { type } = await problemOf(await post("/v1/explain", long, by), 422);
      expect(type).toMatch(/too-much-memory$/);
      expect((await post("/v1/explain", { text: "good" }, by)).status).toBe(200);
    }
  });

  test("422 for more forwards than the deployment allows, with both numbers", async () => {
    const path = { method: "integrated-gradients", steps: 500 };
    const request = { text: "good", methods: ["loo", path, path, path, path, path] };
    const { detail, errors } = await problemOf(await post("/v1/explain", request), 422);
    // 1 for the prediction, 3 tokens left out, 5 paths of 500 steps and their baselines.
    expect(detail).toContain("2509 forward passes, at most 2048");
    expect(errors?.[0]?.path).toBe("methods");
  });

  test("422 from any backend", async () => {
    const by = appOn(failing(new OutOfMemory(2_000, 1_000)));
    const { detail, type } = await problemOf(await post("/v1/explain", { text }, by), 422);
    expect(type).toMatch(/too-much-memory$/);
    expect(detail).toContain("2000 bytes needed, 1000 allowed");
  });
});

describe("weights: 503 naming the culprit, and back when they are", () => {
  test.each(spoilt)("%s", async (_, spoil, says) => {
    const good = await tinyFiles();
    const files: Files = { ...spoil(good) };
    const by = appOn(tinyStore(files));
    const asked = () => [
      post("/v1/explain", { text }, by),
      post("/v1/predict", { inputs: text }, by),
      post("/v1/models/tiny:explain", { instances: [text] }, by),
      by("/v1/models/tiny"),
      by("/v2/models/tiny"),
      by("/v2/health/ready"),
    ];
    for (const response of await Promise.all(asked())) {
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      expect((await problemOf(response, 503)).detail).toContain(says);
    }
    expect(logged.mock.calls.length).toBeGreaterThan(0);
    expect((await by("/v2/health/live")).status).toBe(200);
    const list = await (await by("/v1/models")).json();
    expect(list).toMatchObject({ models: [{ name: "tiny", ready: false }] });

    Object.assign(files, good);
    delete files["model.safetensors.index.json"];
    for (const response of await Promise.all(asked())) expect(response.status).toBe(200);
  });
});

describe("500", () => {
  test("a number that is not finite names the method", async () => {
    const by = appOn(failing(new NonFinite("cp-lrp")));
    const { detail, type } = await problemOf(await post("/v1/explain", { text }, by), 500);
    expect(type).toMatch(/non-finite$/);
    expect(detail).toContain("cp-lrp");
  });

  test("weights that overflow are found out", async () => {
    const files = await tinyFiles();
    const bytes = weightsOf(files).slice();
    const view = new DataView(bytes.buffer);
    const { json, data } = headerOf(files);
    const [first, end] = JSON.parse(json)["classifier.weight"].data_offsets;
    for (let at = first; at < end; at += 4) view.setFloat32(data + at, 3e38, true);
    const by = appOn(tinyStore({ ...files, "model.safetensors": bytes }));
    for (const answer of [
      post("/v1/explain", { text }, by),
      post("/v1/predict", { inputs: text }, by),
    ]) {
      expect((await problemOf(await answer, 500)).detail).toContain("prediction");
    }
  });

  test("weights that overflow are told, and no number of theirs is sent", async () => {
    const files = await tinyFiles();
    const { json, data } = headerOf(files);
    const [begin, end] = JSON.parse(json)["classifier.weight"].data_offsets;
    const bytes = weightsOf(files).slice();
    // The largest float32: any sum of such products is infinite.
    const largest = new Float32Array((end - begin) / 4).fill(3.4e38);
    bytes.set(new Uint8Array(largest.buffer), data + begin);
    const by = appOn(tinyStore({ ...files, "model.safetensors": bytes }));
    for (const [path, body] of [
      ["/v1/explain", { text }],
      ["/v1/predict", { inputs: text }],
    ] as const) {
      const { detail } = await problemOf(await post(path, body, by), 500);
      expect(detail).toContain("prediction");
    }
  });

  test("an unexpected error tells neither its message nor the text, to nobody", async () => {
    const by = appOn(failing(new TypeError(`secret: ${text}`)));
    const response = await post("/v1/explain", { text }, by);
    const problem = await problemOf(response, 500);
    const line = logged.mock.calls.flat().join();
    for (const told of [JSON.stringify(problem), line]) {
      expect(told).not.toContain("secret");
      expect(told).not.toContain(text);
      expect(told).toContain(problem.request_id);
    }
    expect(JSON.stringify(problem)).not.toContain(".ts");
    expect(line).toContain("TypeError");
  });
});

test("mounted in another app, refusals stay problems", async () => {
  const { Hono } = await import("hono");
  const models = tinyStore(await tinyFiles());
  const outer = new Hono().route("/lrp", createApp({ models }));
  const by: Send = async (path, init) => outer.request(`https://plumbline.test${path}`, init);
  expect((await post("/lrp/v1/explain", { text }, by)).status).toBe(200);
  await problemOf(await post("/lrp/v1/explain", { text: "" }, by), 422);
  await problemOf(await by("/lrp/v1/explain"), 405);
  expect(await (await by("/lrp")).json()).toMatchObject({ explain: "/lrp/v1/explain" });
});

function failing(error: Error): ModelStore {
  const fail = () => Promise.reject(error);
  const explainer = { methods: ["loo"], explain: fail, predict: fail } as unknown as Explainer;
  return { names: ["a"], open: async () => explainer };
}
