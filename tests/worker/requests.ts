// Requests for the fuzz test: right ones, right ones spoilt a little, JSON of any kind, bytes of any kind.
import fc from "fast-check";

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly type: string | undefined;
  readonly body: string | Uint8Array;
}

const words = [
  "good",
  "bad",
  "film",
  "an",
  "oddly",
  "charming",
  "not",
  ".",
  "zebra",
  "[MASK]",
  "中",
  "é",
];
const text = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(fc.constantFrom(...words), { minLength: 1, maxLength: 9 })
      .map((all) => all.join(" ")),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 30 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }) },
);
// The model has three labels and three layers; what it has not comes seldom here, and often by `spoil`.
const index = fc.nat({ max: 2 });
const layers = fc.oneof(
  ...["from", "up_to", "only"].map((bound) => index.map((layer) => ({ [bound]: layer }))),
  fc.array(index, { maxLength: 3 }).map((set) => ({ set })),
);
const method = fc.oneof(
  fc.constantFrom(
    "loo",
    "attnlrp",
    "attnlrp-unhalved",
    "cp-lrp",
    "cp-lrp-ali",
    "gradient-x-input",
    "rollout",
  ),
  layers.map((each) => ({ method: "cp-lrp", layers: each })),
  fc.double({ min: 0, max: 1, noNaN: true }).map((epsilon) => ({ method: "attnlrp", epsilon })),
  fc.nat({ max: 3 }).map((steps) => ({ method: "integrated-gradients", steps: steps + 1 })),
);
const label = fc.constantFrom("LABEL_0", "LABEL_1", "LABEL_2", 0, 1, 2);
const target = fc.oneof(
  fc.constant("predicted"),
  fc.constantFrom("LABEL_0", "LABEL_2").map((each) => ({ label: each })),
  index.map((each) => ({ index: each })),
  fc.tuple(label, label).map((contrast) => ({ contrast })),
);
const removal = fc.oneof(
  fc.constantFrom("attention", "mask", "zero", "delete"),
  fc.constantFrom("film", "[MASK]", "bad", 4, 199).map((replace) => ({ replace })),
);
const options = {
  model: fc.constant("tiny"),
  target,
  methods: fc.array(method, { minLength: 1, maxLength: 4 }),
  removal: fc.oneof(removal, fc.array(removal, { minLength: 1, maxLength: 2 })),
  unit: fc.constantFrom("token", "word"),
  at: fc.constantFrom("word", "emb"),
};
const required = { requiredKeys: [] };
const explain = fc.oneof(
  fc.record({ text, text_pair: text, ...options }, { requiredKeys: ["text"] }),
  fc
    .tuple(
      fc.array(fc.nat({ max: 199 }), { minLength: 1, maxLength: 12 }),
      fc.record(options, required),
    )
    .map(([ids, more]) => ({ ids, ...more })),
);
const predict = fc.record(
  {
    inputs: fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
    parameters: fc.record(
      {
        top_k: fc.integer({ min: 1, max: 4 }),
        function_to_apply: fc.constantFrom("softmax", "sigmoid", "none"),
      },
      required,
    ),
  },
  { requiredKeys: ["inputs"] },
);
const instances = (request: fc.Arbitrary<unknown>) =>
  fc
    .tuple(
      fc.constantFrom("instances", "inputs"),
      fc.array(fc.oneof(text, request), { minLength: 1, maxLength: 2 }),
    )
    .map(([field, list]) => ({ [field]: list }));
const input = fc.record({ text, text_pair: text }, { requiredKeys: ["text"] });

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3, stringUnit: "binary" }),
  fc.constantFrom<unknown>(
    null,
    -1,
    0.5,
    1e308,
    "",
    "__proto__",
    "constructor",
    "\ud800",
    [],
    {},
    [[]],
    true,
  ),
);

/** One value somewhere inside replaced, removed or joined by an unknown one. */
function spoil(value: unknown, where: readonly number[], replacement: unknown): unknown {
  const [step = 0, ...rest] = where;
  if (typeof value !== "object" || value === null || rest.length === 0) return replacement;
  const entries = Object.entries(value);
  const at = step % (entries.length + 1);
  const changed =
    at === entries.length
      ? [...entries, [String(replacement).slice(0, 9), replacement] as const]
      : entries.map(([key, each], own) => [
          key,
          own === at ? spoil(each, rest, replacement) : each,
        ]);
  return Array.isArray(value) ? changed.map(([, each]) => each) : Object.fromEntries(changed);
}

const cases = {
  "/v1/explain": explain,
  "/v1/predict": predict,
  "/v1/models/tiny:explain": instances(explain),
  "/v1/models/tiny:predict": instances(input),
};
const right = fc.oneof(
  ...Object.entries(cases).map(([path, body]) =>
    (body as fc.Arbitrary<unknown>).map((each) => ({ path, body: each })),
  ),
);
const spoiltRight = fc
  .tuple(right, fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }), odd)
  .map(([{ path, body }, where, replacement]) => ({ path, body: spoil(body, where, replacement) }));
const written = fc
  .oneof(right, right, spoiltRight)
  .map(({ path, body }) => ({ path, body: JSON.stringify(body) ?? "" }));
/** JSON text with a character taken out, put in or doubled. */
const misspelt = fc
  .tuple(
    written,
    fc.nat(),
    fc.constantFrom("", "\u0000", '"', "{", "]", "\\", "1e999", "\ud800", ","),
  )
  .map(([{ path, body }, place, put]) => {
    const at = place % (body.length + 1);
    return { path, body: body.slice(0, at) + put + body.slice(at + 1) };
  });
const bombs = fc.constantFrom(
  "[".repeat(60_000),
  `{"text":${"[".repeat(9_000)}${"]".repeat(9_000)}}`,
  `${'{"text":'.repeat(5_000)}1${"}".repeat(5_000)}`,
  `{"ids":[${"1e400,".repeat(999)}1]}`,
  `{"text":"a","${"k".repeat(9_999)}":1}`,
  `{"__proto__":{"text":"a"},"text":"a"}`,
  JSON.stringify({ text: "😀".repeat(3_000) }),
);
const paths = fc.constantFrom(...Object.keys(cases));
const body = fc.oneof(
  { weight: 12, arbitrary: written },
  { weight: 3, arbitrary: misspelt },
  {
    weight: 2,
    arbitrary: fc.record({ path: paths, body: odd.map((each) => JSON.stringify(each)) }),
  },
  { weight: 2, arbitrary: fc.record({ path: paths, body: fc.uint8Array({ maxLength: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ path: paths, body: bombs }) },
);
const json = "application/json";
const type = fc.constantFrom(
  json,
  json,
  json,
  json,
  json,
  undefined,
  "application/x-www-form-urlencoded",
  "text/plain",
);
const anywhere = fc.oneof(
  fc.constantFrom(
    "/",
    "/openapi.json",
    "/v1/models",
    "/v2",
    "/v2/health/live",
    "/v1/models/tiny:",
    "/v1//explain",
  ),
  fc.webPath(),
  fc
    .string({ maxLength: 12 })
    .map((each) => `/v1/models/${encodeURIComponent(each.toWellFormed())}`),
  fc.string({ maxLength: 12 }).map((each) => `/${each.toWellFormed().replaceAll(/[?#]/g, "%")}`),
);
const verb = fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD");

export const requests: fc.Arbitrary<Sent> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.tuple(body, type).map(([each, own]) => ({ method: "POST", type: own, ...each })),
  },
  {
    weight: 1,
    arbitrary: fc.record({ method: verb, path: anywhere, type, body: fc.constant("{}") }),
  },
);
