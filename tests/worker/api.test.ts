// The answers of the real Worker: the whole of api.md's answer, every route, equal bytes for equal requests.
import { env } from "cloudflare:workers";
import { createExecutionContext } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/worker.ts";
import { explanation, type Explanation } from "../../src/contract/answer.ts";
import { appOn, post, problemOf, type Send, send, text, tinyFiles, tinyStore } from "./service.ts";

const explain = async (body: unknown, by?: Send): Promise<Explanation> => {
  const response = await post("/v1/explain", body, by);
  const answer = await response.text();
  expect(response.status, answer).toBe(200);
  return explanation.parse(JSON.parse(answer));
};

/** The real Worker with other vars. */
const withVars =
  (vars: Record<string, string>): Send =>
  async (path, init) =>
    worker.fetch(
      new Request(`https://plumbline.test${path}`, init) as never,
      { ...env, MODELS: "tiny", ...vars },
      createExecutionContext(),
    );

test("requests that come while the model loads are answered, too", async () => {
  const answers = await Promise.all([1, 2, 3].map(() => post("/v1/predict", { inputs: text })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(new Set(await Promise.all(answers.map((each) => each.text()))).size).toBe(1);
});

describe("the deployed model", () => {
  test("explains a sentence in full", async () => {
    const answer = await explain({ text, model: "sst2" });
    expect(answer.model).toMatchObject({ name: "sst2", family: "bert" });
    expect(answer.backend).toMatch(/^wasm-/);
    expect(answer.prediction.map(({ label }) => label).toSorted()).toEqual([
      "negative",
      "positive",
    ]);
    expect(answer.prediction.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 6);
    expect(answer.target.label).toBe(answer.prediction[0]?.label);

    const { tokens, attributions } = answer;
    expect(tokens.length).toBeGreaterThanOrEqual(6);
    for (const token of tokens.filter(({ special }) => !special)) {
      expect(token.text).toBe(text.slice(token.start, token.end));
    }
    const methods = ["loo", "attnlrp", "cp-lrp", "gradient-x-input"];
    expect(attributions.map(({ method }) => method)).toEqual(methods);
    for (const { method, scores, sum, gap, measured } of attributions) {
      expect(scores, method).toHaveLength(tokens.length);
      expect(
        scores.some((score) => score !== 0),
        method,
      ).toBe(true);
      if (method === "loo") expect(measured).toEqual(tokens.map(() => true));
      else expect((sum ?? NaN) + (gap ?? NaN), method).toBeCloseTo(answer.target.value, 5);
    }
    const compared = answer.comparison;
    expect(compared?.reference).toEqual({ method: "loo", removal: "attention" });
    expect(compared?.units).toBe(tokens.filter(({ special }) => !special).length);
    expect(compared?.rows.map(({ method }) => method)).toEqual(methods.slice(1));
    for (const row of compared?.rows ?? [])
      expect(Math.abs(row.spearman ?? NaN)).toBeLessThanOrEqual(1);
    expect(answer.verdict.levels).toHaveLength(3);
    expect(answer.cost).toMatchObject({ forwards: 1 + tokens.length, relevance_passes: 3 });
  });
});

describe("the shape of api.md", () => {
  test("curl's default content type and a missing one are read as JSON", async () => {
    const body = JSON.stringify({ text });
    const types = ["application/x-www-form-urlencoded", "application/vnd.x+json; charset=utf-8"];
    for (const type of types) {
      const init = { method: "POST", body, headers: { "content-type": type } };
      expect((await send("/v1/explain", init)).status, type).toBe(200);
    }
    const bytes = new TextEncoder().encode(body);
    const request = { method: "POST", body: bytes };
    expect((await send("/v1/explain", request)).status).toBe(200);
  });

  test("every field of a request has its effect", async () => {
    const answer = await explain({
      text,
      model: "tiny",
      target: { contrast: ["LABEL_2", 0] },
      methods: [
        "loo",
        { method: "cp-lrp", layers: { from: 2 } },
        "rollout",
        { method: "integrated-gradients", steps: 4 },
        "cp-lrp",
      ],
      removal: ["mask", { replace: "film" }],
      unit: "word",
      at: "emb",
    });
    expect(answer.target.contrast).toEqual({ labels: ["LABEL_2", "LABEL_0"], indices: [2, 0] });
    expect(answer.attributions.map(({ method, removal }) => removal ?? method)).toEqual([
      "mask",
      { replace: "film" },
      "cp-lrp",
      "rollout",
      "integrated-gradients",
      "cp-lrp",
    ]);
    expect(answer.attributions[2]).toMatchObject({ layers: { from: 2 }, at: "emb" });
    expect(answer.comparison?.ceiling?.removals).toHaveLength(2);
    const ids = await explain({ ids: [2, 98, 99, 3], methods: ["loo"] });
    expect(ids.tokens.map(({ id }) => id)).toEqual([2, 98, 99, 3]);
  });

  test("Hugging Face's shape: one text or a list, top_k, function_to_apply", async () => {
    const one = await (await post("/v1/predict", { inputs: text })).json<{ score: number }[]>();
    expect(one).toHaveLength(3);
    expect(one.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 6);
    const parameters = { top_k: 1, function_to_apply: "none" };
    const many = await (await post("/v1/predict", { inputs: [text, "bad"], parameters })).json();
    const [prediction] = (await explain({ text })).prediction;
    expect(many).toMatchObject([[{ label: prediction?.label, score: prediction?.logit }], [{}]]);
  });

  test("KServe's shape: strings and requests, one answer each", async () => {
    const instances = [text, { text: "bad", methods: ["loo"] }];
    for (const field of ["instances", "inputs"]) {
      const response = await post("/v1/models/tiny:explain", { [field]: instances });
      const answer = await response.json<{ predictions: unknown[]; explanations: Explanation[] }>();
      expect(response.status, JSON.stringify(answer)).toBe(200);
      expect(answer.explanations[0]).toEqual(await explain({ text }));
      expect(answer.explanations[1]?.attributions.map(({ method }) => method)).toEqual(["loo"]);
      expect(answer.predictions).toEqual(answer.explanations.map(({ prediction }) => prediction));
    }
    const mixed = { instances: [text, { ids: [2, 98, 3] }] };
    const predicted = await post("/v1/models/tiny:predict", mixed);
    const { predictions } = await predicted.json<{ predictions: unknown[] }>();
    expect(predictions).toHaveLength(2);
    expect(predictions[0]).toEqual((await explain({ text })).prediction);
  });

  test("models, probes and metadata", async () => {
    const json = async (path: string) => (await send(path)).json<Record<string, unknown>>();
    const card = await json("/v1/models/tiny");
    expect(card).toMatchObject({ name: "tiny", family: "bert", max_tokens: 40, layers: 3 });
    expect(card).toMatchObject({ labels: ["LABEL_0", "LABEL_1", "LABEL_2"], ready: true });
    expect(card).toMatchObject({ revision: (await explain({ text })).model.revision });
    expect(card["bytes"]).toBeGreaterThan(280_000);
    expect(await json("/v1/models")).toMatchObject({ models: [card, { name: "sst2" }] });
    expect(await json("/v2")).toMatchObject({ name: "plumbline" });
    expect(await json("/v2/health/live")).toEqual({ live: true });
    expect(await json("/v2/health/ready")).toEqual({ ready: true });
    expect(await json("/v2/models/tiny")).toMatchObject({
      name: "tiny",
      platform: "plumbline-bert",
    });
    expect(await json("/")).toMatchObject({ explain: "/v1/explain" });
    expect((await send("/v1/models", { method: "HEAD" })).status).toBe(200);
  });

  test("a request id comes back, the caller's own where it is a plain one", async () => {
    const headers = { "x-request-id": "abc-1" };
    expect((await send("/v2", { headers })).headers.get("x-request-id")).toBe("abc-1");
    const odd = await send("/v2", { headers: { "x-request-id": "a b<script>" } });
    expect(odd.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("equal requests", () => {
  const body = { text, methods: ["loo", "attnlrp", "cp-lrp"], removal: ["attention", "mask"] };
  const bytes = async (request: unknown) => (await post("/v1/explain", request)).text();

  test("have equal bytes and ids, however their fields are ordered", async () => {
    const first = await bytes(body);
    expect(await bytes(body)).toBe(first);
    const { removal, methods } = body;
    expect(await bytes({ removal, methods, text })).toBe(first);
    expect(await bytes({ ...body, model: "tiny" })).toBe(first);
    expect((await explain({ ...body, unit: "word" })).id).not.toBe(JSON.parse(first).id);
  });

  test("have the bytes alone that they have side by side", async () => {
    const requests = ["good", "a movie", text, "the plot is thin"].map((each) => ({
      ...body,
      text: each,
    }));
    const alone: string[] = [];
    for (const request of requests) alone.push(await bytes(request));
    expect(await Promise.all(requests.map(bytes))).toEqual(alone);
    expect(new Set(alone).size).toBe(requests.length);
    // In one app, where the passes of all requests mix at every await.
    const mixed = appOn(tinyStore(await tinyFiles()));
    const together = await Promise.all(
      requests.map(async (request) => (await post("/v1/explain", request, mixed)).text()),
    );
    expect(together).toEqual(alone);
  });

  test("share one load", async () => {
    let loads = 0;
    const by = appOn(tinyStore(await tinyFiles(), { onLoad: () => loads++ }));
    await Promise.all([1, 2, 3].map(() => explain({ text }, by)));
    expect(loads).toBe(1);
  });
});

describe("vars of the deployment", () => {
  beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));
  afterEach(() => vi.restoreAllMocks());

  test("METHODS_OFF: the shortest request still works, the method is refused by name", async () => {
    const by = withVars({ METHODS_OFF: "attnlrp, gradient-x-input" });
    const answer = await explain({ text }, by);
    expect(answer.attributions.map(({ method }) => method)).toEqual(["loo", "cp-lrp"]);
    const refused = await post("/v1/explain", { text, methods: ["loo", "attnlrp"] }, by);
    expect((await problemOf(refused, 422)).errors?.[0]?.path).toBe("methods.1");
    const card = await (await by("/v1/models/tiny")).json<{ methods: string[] }>();
    expect(card.methods).not.toContain("attnlrp");
  });

  test("MAX_TOKENS and MEMORY_LIMIT_MIB are kept", async () => {
    const short = await post("/v1/explain", { text }, withVars({ MAX_TOKENS: "5" }));
    expect((await problemOf(short, 422)).detail).toContain("6 tokens, at most 5");
    const small = await post("/v1/explain", { text }, withVars({ MEMORY_LIMIT_MIB: "0.5" }));
    expect((await problemOf(small, 503)).type).toMatch(/model-unavailable$/);
  });

  test("wrong ones are named, and the server stays up", async () => {
    const wrong = { METHODS_OFF: "attn-lrp", MEMORY_LIMIT_MIB: "much", MAX_TOKENS: "-1" };
    for (const [name, value] of Object.entries(wrong)) {
      const by = withVars({ [name]: value });
      expect((await problemOf(await by("/v2/health/ready"), 503)).detail).toContain(`${name}:`);
      expect((await by("/v2/health/live")).status).toBe(200);
    }
    expect(
      (await problemOf(await withVars({ MODELS: "" })("/v2/health/ready"), 503)).detail,
    ).toContain("none");
  });
});
