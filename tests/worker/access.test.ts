// Keys and charges: 401 and 429, on the app and through the bindings of the Worker.
import { env } from "cloudflare:workers";
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { createApp } from "../../src/api/app.ts";
import worker, { type Environment } from "../../src/worker.ts";
import { post, problemOf, type Send, text, tinyFiles, tinyStore } from "./service.ts";

const limiter = (calls: number) => ({
  limit: async () => ({ success: calls-- > 0 }),
});

/** The real Worker with other bindings. */
function workerWith(bindings: Partial<Environment>): Send {
  return async (path, init) => {
    const execution = createExecutionContext();
    const environment = { ...(env as unknown as Environment), MODELS: "tiny", ...bindings };
    const request = new Request<unknown, IncomingRequestCfProperties>(
      `https://plumbline.test${path}`,
      init as never,
    );
    const response = await worker.fetch(request as never, environment, execution);
    await waitOnExecutionContext(execution);
    return response;
  };
}

const withKey = (by: Send, key: string): Send => {
  return (path, init) =>
    by(path, { ...init, headers: { ...init?.headers, authorization: `Bearer ${key}` } });
};

describe("keys", () => {
  const guarded = workerWith({ API_KEYS: "first-key, second-key" });

  test.each(["first-key", "second-key"])("%s opens", async (key) => {
    expect((await post("/v1/explain", { text }, withKey(guarded, key))).status).toBe(200);
  });

  test.each([
    ["no key", guarded, "missing"],
    ["a wrong key", withKey(guarded, "first-kez"), "not a known key"],
    ["a longer key", withKey(guarded, "first-key2"), "not a known key"],
    ["two keys", withKey(guarded, "first-key second-key"), "not a bearer key"],
    ["an empty key", withKey(guarded, ""), "not a bearer key"],
  ] as const)("401: %s", async (_, by, says) => {
    for (const path of ["/v1/explain", "/v1/predict", "/v1/models/tiny:explain"]) {
      const response = await post(path, { text }, by);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect((await problemOf(response, 401)).detail).toContain(says);
    }
    expect((await by("/v1/models")).status).toBe(401);
  });

  test("probes and the description stay open", async () => {
    for (const path of ["/v2/health/live", "/v2/health/ready", "/openapi.json"]) {
      expect((await guarded(path)).status).toBe(200);
    }
  });
});

describe("charges", () => {
  test("429 by forward passes, before any work, with Retry-After", async () => {
    // "an oddly charming film" takes 1 + 6 forwards or more, so one call for every 8.
    const by = workerWith({ RATE_LIMITER: limiter(3) as unknown as RateLimit });
    const statuses: number[] = [];
    for (let round = 0; round < 6; round++) {
      const response = await post("/v1/explain", { text, methods: ["attnlrp"] }, by);
      statuses.push(response.status);
      if (response.status === 200) continue;
      expect(response.headers.get("retry-after")).toBe("60");
      expect((await problemOf(response, 429)).detail).toContain("1 forward passes");
    }
    expect(statuses.filter((status) => status === 200).length).toBe(3);
  });

  test("a costly request is charged for all its forwards, and each caller for his own", async () => {
    const charged: [string, number][] = [];
    const charge = async (caller: string, forwards: number) => {
      charged.push([caller, forwards]);
      return forwards < 100;
    };
    const models = tinyStore(await tinyFiles());
    const app = createApp({ models, access: { keys: ["a", "b"], charge } });
    const send: Send = async (path, init) => app.request(`https://plumbline.test${path}`, init);
    const path = { method: "integrated-gradients", steps: 500 };
    expect((await post("/v1/explain", { text, methods: [path] }, withKey(send, "a"))).status).toBe(
      429,
    );
    expect((await post("/v1/predict", { inputs: [text, text] }, withKey(send, "b"))).status).toBe(
      200,
    );
    expect(charged).toEqual([
      ["a", 502],
      ["b", 1],
      ["b", 1],
    ]);
    // A request that is refused anyway costs nothing.
    await problemOf(await post("/v1/explain", { text: "" }, withKey(send, "a")), 422);
    expect(charged.length).toBe(3);
  });
});
