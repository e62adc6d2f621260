// Rows of api.md's table of errors that a caller causes: status, content type and the words that the caller needs.
import { describe, expect, test } from "vitest";
import { appOn, post, problemOf, send, text } from "./service.ts";

describe("a body that is not a request", () => {
  const explain = "/v1/explain";
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

  /** Body, status, `path` of the first bad field (if any), what the detail says. */
  const rows: readonly (readonly [
    what: string,
    body: unknown,
    status: number,
    path: string | undefined,
    says: string | RegExp,
  ])[] = [
    ["not JSON", '{"text": "a",\n x}', 400, undefined, "position 15 (line 2, column 2)"],
    ["JSON that ends", '{"text": "a', 400, undefined, "ends too early at position 11"],
    ["a bad escape", '{"text": "\\x"}', 400, undefined, "position 10"],
    ["two values", "{} {}", 400, undefined, "position 3"],
    ["a leading zero", '{"ids": [01]}', 400, undefined, "position 10"],
    ["nothing", "", 400, undefined, "empty"],
    ["a form", "text=good", 400, undefined, "position 0"],
    ["an array", "[]", 422, "", "expected object, received array"],
    ["null", "null", 422, "", "expected object, received null"],
    ["a string", '"good"', 422, "", "expected object"],
    ["deep nesting", nested(100_000), 422, "", "expected object"],
    [
      "a deep field",
      `{"text":"a","methods":${nested(50_000)}}`,
      422,
      "methods.0",
      "expected a method",
    ],
    ["an unclosed nest", "[".repeat(100_000), 400, undefined, "ends too early"],
    ["no text", {}, 422, "text", "is missing"],
    ["empty text", { text: "" }, 422, "text", "is empty"],
    ["text of no token", { text: "\u0000" }, 422, "text", "holds no token"],
    ["text and ids", { text, ids: [2] }, 422, "ids", "beside text"],
    ["wrong type", { text: 3 }, 422, "text", "expected string, received number"],
    ["unknown field", { text, tetx: "b" }, 422, "tetx", "tetx is not a known field"],
    [
      "unknown deep field",
      { text, methods: [{ method: "loo", x: 1 }] },
      422,
      "methods.0.x",
      "known field",
    ],
    ["__proto__", '{"text":"a","__proto__":{"x":1}}', 422, "__proto__", "known field"],
    ["constructor", '{"text":"a","constructor":1}', 422, "constructor", "known field"],
    ["fractional id", { ids: [1.5] }, 422, "ids.0", "expected int"],
    ["huge id", '{"ids":[2,1e999]}', 422, "ids.1", "Infinity"],
    ["negative id", { ids: [-1] }, 422, "ids.0", ">=0"],
    ["id out of range", { ids: [2, 98, 200] }, 422, "ids.2", "is 200, the model has 0 to 199"],
    ["type out of range", { ids: [2, 98], type_ids: [0, 2] }, 422, "type_ids.1", "is 2"],
    [
      "lists of two lengths",
      { ids: [2], type_ids: [0, 0] },
      422,
      "type_ids",
      "has 2 entries, ids has 1",
    ],
    ["unknown label", { text, target: { label: "good" } }, 422, "target.label", "2 LABEL_2"],
    ["index out of range", { text, target: { index: 3 } }, 422, "target.index", "is 3"],
    [
      "unknown label of two",
      { text, target: { contrast: [0, "x"] } },
      422,
      "target.contrast.1",
      '"x"',
    ],
    ["no such target", { text, target: "best" }, 422, "target", '"predicted"'],
    ["next token", { text, target: { token: "a" } }, 422, "target", "labels"],
    ["unknown method", { text, methods: ["loo", "lrp"] }, 422, "methods.1.method", "cp-lrp"],
    ["no method", { text, methods: [] }, 422, "methods", "too small"],
    ["too many methods", { text, methods: Array(65).fill("loo") }, 422, "methods", "<=64"],
    [
      "too many steps",
      { text, methods: [{ method: "integrated-gradients", steps: 501 }] },
      422,
      "methods.0.steps",
      "<=500",
    ],
    ["unknown removal", { text, removal: "drop" }, 422, "removal", "attention"],
    ["unknown token", { text, removal: { replace: "zebra" } }, 422, "removal.replace", '"zebra"'],
    [
      "a token of Object",
      { text, removal: { replace: "constructor" } },
      422,
      "removal.replace",
      "vocabulary",
    ],
    ["token id out of range", { text, removal: { replace: 200 } }, 422, "removal.replace", "200"],
    ["too many tokens", { text: "good ".repeat(60) }, 422, "text", "has 62 tokens, at most 40"],
    ["too many ids", { ids: Array(41).fill(98) }, 422, "ids", "has 41 tokens, at most 40"],
  ];

  test.each(rows)("%s", async (_, body, status, path, says) => {
    const { detail, errors } = await problemOf(await post(explain, body), status);
    expect(detail).toMatch(says);
    expect(errors?.[0]?.path).toBe(path);
  });

  test("bytes that are not UTF-8", async () => {
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    const headers = { "content-type": "application/json" };
    const { detail } = await problemOf(await send(explain, { method: "POST", body, headers }), 400);
    expect(detail).toContain("UTF-8");
  });

  test("a lone surrogate is text", async () => {
    expect((await post(explain, '{"text":"good \\ud800 film"}')).status).toBe(200);
    expect((await post(explain, '{"text":"good","\\ud800":1}')).status).toBe(422);
  });

  test("every bad field has its entry, and quotes are cut short", async () => {
    const { errors } = await problemOf(await post(explain, { text: 3, unit: "line", x: 1 }), 422);
    expect(errors?.map(({ path }) => path)).toEqual(["text", "unit", "x"]);
    const long = await problemOf(await post(explain, { text, ["x".repeat(90_000)]: 1 }), 422);
    expect(JSON.stringify(long).length).toBeLessThan(10_000);
    const many = await problemOf(await post(explain, { ids: Array(1000).fill(-1) }), 422);
    expect(many.errors).toHaveLength(50);
  });

  const shapes: readonly (readonly [path: string, body: unknown, field: string, says: string])[] = [
    ["/v1/predict", {}, "inputs", "text or a list"],
    ["/v1/predict", { inputs: [] }, "inputs", "is empty"],
    ["/v1/predict", { inputs: ["good", ""] }, "inputs.1", "is empty"],
    ["/v1/predict", { inputs: ["good", "good ".repeat(60)] }, "inputs.1", "62 tokens"],
    ["/v1/predict", { inputs: "\u0000" }, "inputs", "holds no token"],
    ["/v1/predict", { inputs: Array(33).fill("good") }, "inputs", "has 33 entries, at most 32"],
    ["/v1/predict", { inputs: "good", parameters: { top_k: 0 } }, "parameters.top_k", ">=1"],
    ["/v1/predict", { inputs: "good", parameters: { topk: 1 } }, "parameters.topk", "known field"],
    ["/v1/predict", { inputs: "good", options: {} }, "options", "known field"],
    ["/v1/models/tiny:explain", {}, "instances", "is missing"],
    ["/v1/models/tiny:explain", { instances: [], inputs: [] }, "instances", "is empty"],
    ["/v1/models/tiny:explain", { instances: ["a"], inputs: ["a"] }, "inputs", "beside instances"],
    ["/v1/models/tiny:explain", { instances: ["a", "b", "c", ""] }, "instances.3.text", "is empty"],
    [
      "/v1/models/tiny:explain",
      { instances: ["a", { text: "b ".repeat(60) }] },
      "instances.1.text",
      "62 tokens",
    ],
    [
      "/v1/models/tiny:explain",
      { instances: ["a", { txt: "b" }] },
      "instances.1.txt",
      "known field",
    ],
    [
      "/v1/models/tiny:explain",
      { inputs: [{ text, model: "sst2" }] },
      "inputs.0.model",
      "path names",
    ],
    ["/v1/models/tiny:explain", { instances: Array(33).fill("a") }, "instances", "at most 32"],
    ["/v1/models/tiny:predict", { instances: [3] }, "instances.0", "expected object"],
    [
      "/v1/models/tiny:predict",
      { instances: [{ text, methods: ["loo"] }] },
      "instances.0.methods",
      "known field",
    ],
    ["/v1/models/tiny:predict", { instances: [{ ids: [300] }] }, "instances.0.ids.0", "is 300"],
  ];

  test.each(shapes)("%s %j", async (path, body, field, says) => {
    const { errors, detail } = await problemOf(await post(path, body), 422);
    expect(errors?.map((each) => each.path)).toContain(field);
    expect(detail).toContain(says);
  });
});

describe("a body over the limit: 413 with both numbers", () => {
  const limit = 256 * 1024;
  const large = JSON.stringify({ text: "a".repeat(limit) });
  const streamed = () => new Blob([large]).stream();
  const json = { "content-type": "application/json" };
  const rows: readonly (readonly [string, BodyInit, Record<string, string>, string])[] = [
    ["as it is", large, {}, ""],
    ["Content-Length that tells", large, { "content-length": "300000" }, "has 300000 bytes"],
    ["Content-Length that lies", streamed(), { "content-length": "10" }, "at least"],
    ["no Content-Length", streamed(), {}, "at least"],
    ["only Content-Length is large", "{}", { "content-length": "300000" }, "has 300000 bytes"],
  ];

  test.each(rows)("%s", async (_, body, headers, says) => {
    // Straight to the app: the runtime would put Content-Length right.
    const app = appOn({ names: [], open: () => Promise.reject(new Error("not reached")) });
    const init = { method: "POST", body, headers: { ...json, ...headers }, duplex: "half" };
    const { detail } = await problemOf(await app("/v1/explain", init), 413);
    expect(detail).toContain(`at most ${limit}`);
    expect(detail).toContain(says);
    expect(Number(/\d+/.exec(detail)?.[0])).toBeGreaterThan(limit);
  });

  test("through the real Worker, and just below the limit it is read", async () => {
    expect((await problemOf(await post("/v1/explain", large), 413)).detail).toContain(
      `at most ${limit}`,
    );
    const fits = JSON.stringify({ text: "a ".repeat(limit / 2 - 20) });
    expect((await problemOf(await post("/v1/explain", fits), 422)).detail).toContain(
      "at most 2000 are read for 40 tokens",
    );
  });
});

describe("routes", () => {
  const missing: readonly (readonly [method: string, path: string])[] = [
    ["GET", "/nope"],
    ["POST", "/v1/explain/"],
    ["GET", "/models/tiny/config.json"],
    ["GET", "/models/tiny/model.safetensors"],
    ["GET", "/v1/models/tiny:other"],
    ["GET", "/v1/models/%E0%A4%A"],
    ["PUT", "/v3"],
  ];
  test.each(missing)("404: %s %s", async (method, path) => {
    await problemOf(await send(path, { method }), 404);
  });

  test("404: no such model, wherever it is named", async () => {
    const answers = [
      post("/v1/explain", { text, model: "gpt-9" }),
      post("/v1/predict", { inputs: text, model: "gpt-9" }),
      post("/v1/models/gpt-9:explain", { instances: [text] }),
      post("/v1/models/gpt-9:predict", { instances: [text] }),
      send("/v1/models/gpt-9"),
      send("/v2/models/gpt-9"),
      post("/v1/explain", { text, model: "__proto__" }),
    ];
    for (const answer of await Promise.all(answers)) {
      const { errors, detail } = await problemOf(answer, 404);
      expect(errors?.[0]?.path).toBe("model");
      expect(detail).toContain("known are tiny, sst2");
    }
  });

  const verbs: readonly (readonly [method: string, path: string, allow: string])[] = [
    ["GET", "/v1/explain", "POST"],
    ["DELETE", "/v1/explain", "POST"],
    ["OPTIONS", "/v1/predict", "POST"],
    ["GET", "/v1/models/tiny:explain", "POST"],
    ["PUT", "/v1/models/tiny:predict", "POST"],
    ["POST", "/v1/models/tiny", "GET, HEAD"],
    ["POST", "/v1/models", "GET, HEAD"],
    ["POST", "/v2/health/live", "GET, HEAD"],
    ["PATCH", "/v2/health/ready", "GET, HEAD"],
    ["POST", "/v2", "GET, HEAD"],
    ["POST", "/v2/models/tiny", "GET, HEAD"],
    ["POST", "/openapi.json", "GET, HEAD"],
    ["POST", "/", "GET, HEAD"],
  ];
  test.each(verbs)("405: %s %s", async (method, path, allow) => {
    const response = await send(path, { method });
    expect(response.headers.get("allow")).toBe(allow);
    await problemOf(response, 405);
  });

  const types: readonly Record<string, string>[] = [
    { "content-type": "text/plain" },
    { "content-type": "multipart/form-data; boundary=x" },
    { "content-type": "text/html" },
    { "content-type": "application/xml" },
    { "content-type": "application/jsonp" },
    { "content-type": "application/json; charset=utf-16" },
    { "content-type": "application/json", "content-encoding": "gzip" },
  ];
  test.each(types)("415: %j", async (headers) => {
    const body = JSON.stringify({ text });
    for (const path of ["/v1/explain", "/v1/predict", "/v1/models/tiny:predict"]) {
      await problemOf(await send(path, { method: "POST", body, headers }), 415);
    }
  });
});
