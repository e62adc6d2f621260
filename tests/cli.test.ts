// The command line as its users meet it: a child process, its output, its errors and its exit status; and the parts
// that lay heatmaps out.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { explanation } from "../src/contract/answer.ts";
import type { ExplainRequestInput } from "../src/contract/request.ts";
import { createExplainer, type Explainer } from "../src/explainer/explainer.ts";
import { type BackendName, createBackend, folderSource } from "../src/node.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const checkpoint = "tests/golden/bert";
const reference = ["--checkpoint", checkpoint, "--backend", "reference"];
const ids = [2, 11, 183, 185, 167, 23];

function run(
  args: readonly string[],
  { input = "", env = {} }: { input?: string; env?: object } = {},
) {
  const { FORCE_COLOR: _, ...inherited } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/explain.ts", ...args], {
    cwd: root,
    encoding: "utf8",
    input,
    env: { ...inherited, NO_COLOR: "1", ...env },
  });
  return { status, stdout, stderr, answers: () => stdout.trimEnd().split("\n").map(parsed) };
}

const parsed = (line: string): unknown => JSON.parse(line);

const load = async (backend: BackendName): Promise<Explainer> =>
  createExplainer({
    name: "bert",
    source: folderSource(`${root}${checkpoint}`),
    backend: await createBackend(backend),
  });

// A process takes its time to start where others are at work.
describe("the command", { timeout: 60_000 }, () => {
  let explainer: Explainer;
  beforeAll(async () => {
    explainer = await load("reference");
  });

  test("--json prints the answer of the library and nothing else", async () => {
    const { status, stderr, answers } = run([
      ...reference,
      "--json",
      `--ids=${ids.join(",")}`,
      "--type-ids=0,0,0,1,1,1",
      "--methods=loo,cp-lrp:set=0+2,integrated-gradients:steps=3,rollout",
      "--removal=delete,replace=7",
      "--target=2,LABEL_0",
      "--at=emb",
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [answer, ...others] = answers();
    expect(others).toEqual([]);
    expect(explanation.strict().parse(answer)).toEqual(
      await explainer.explain({
        ids,
        type_ids: [0, 0, 0, 1, 1, 1],
        methods: [
          "loo",
          { method: "cp-lrp", layers: { set: [0, 2] } },
          { method: "integrated-gradients", steps: 3 },
          "rollout",
        ] as unknown as NonNullable<ExplainRequestInput["methods"]>,
        removal: ["delete", { replace: 7 }],
        target: { contrast: [2, "LABEL_0"] },
        at: "emb",
      }),
    );
  });

  test.each(["wasm-simd", "wasm-relaxed-simd"] as const)("--backend %s", async (backend) => {
    const request = ["--checkpoint", checkpoint, "--json", "--ids", ids.join(" ")];
    const { status, stderr, answers } = run([...request, "--backend", backend]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(answers()).toEqual([await (await load(backend)).explain({ ids })]);
  });

  test("--input answers the lines that can be answered and names the one that cannot", async () => {
    const lines = [
      { ids },
      { ids, methods: ["loo", "lop"] },
      { ids, methods: ["attnlrp"], unit: "token" },
    ];
    const { status, stderr, answers } = run(
      [...reference, "--input", "-", "--json", "--methods", "loo,cp-lrp", "--target", "1"],
      { input: lines.map((line) => `${JSON.stringify(line)}\n`).join("\n") },
    );
    expect(status).toBe(1);
    const target = { index: 1 };
    expect(answers()).toEqual([
      await explainer.explain({ ids, target, methods: [{ method: "loo" }, { method: "cp-lrp" }] }),
      await explainer.explain({ ids, target, methods: [{ method: "attnlrp" }] }),
    ]);
    expect(parsed(stderr)).toMatchObject({
      title: "request refused",
      line: 3,
      errors: [{ path: "methods.1.method", message: expect.stringContaining("cp-lrp") }],
    });
  });

  test("refuses what the model cannot answer, in one line", () => {
    const { status, stdout, stderr } = run(reference, { input: "a text on standard input\n" });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe("text cannot be read: the model came without tokenizer.json; send ids\n");
  });

  test("names config.json where there is no checkpoint", () => {
    const { status, stdout, stderr } = run(["--checkpoint", "tests/golden", "--ids", "2"]);
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toBe(
      "config.json: not found in tests/golden, which is therefore no checkpoint folder\n",
    );
  });

  test("does not run on a command line that it does not understand", () => {
    const { status, stdout, stderr } = run(["a text", "--methods", "loop"]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^--methods: "loop" is no method; there are loo, .*\n$/);
  });

  test("--help teaches by example", () => {
    const { status, stdout, stderr } = run(["--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.match(/^ {2}npm run (-s )?explain -- .+$/gm)).toHaveLength(5);
    expect(stdout).toContain("Exit status: 0");
  });

  test("without colours, numbers stand under the tokens", () => {
    const { stdout, stderr } = run([...reference, "--ids", "2,11,183,3", "--width", "90"]);
    expect(stderr).toBe("");
    expect(stdout.replace(/\d+\.\d\d s/, "0.00 s")).toMatchInlineSnapshot(`
      "prediction  LABEL_2   83.5 %  ████████████████▊░░░  logit  1.88
                  LABEL_0   13.3 %  ██▋░░░░░░░░░░░░░░░░░  logit  0.04
                  LABEL_1    3.2 %  ▋░░░░░░░░░░░░░░░░░░░  logit -1.38
      explained   logit of LABEL_2: 1.88

                        2      11     183    3
      loo, attention    +0.04  +0.16  -0.11  -0.01
      attnlrp           -0.13  +0.02  +0.10  -0.08
      cp-lrp            +0.10  -0.18  +0.28  -0.10
      gradient-x-input  +0.01  -0.03  +0.14  -0.06

      + speaks for LABEL_2, - against LABEL_2

      agreement with leave-one-out (attention) over 3 tokens
      without special tokens, the read token and padding
      method            pearson  spearman  kendall  top 1  sign
      attnlrp             -0.33     -0.50    -0.33    0/1  67 %  undecided, best
      cp-lrp              -0.88     -1.00    -1.00    0/1  33 %  undecided
      gradient-x-input    -0.70     -0.50    -0.33    0/1  33 %  undecided

      verdict     undecided: there is too little to compare; closest is attnlrp
                  - spearman -0.50 over 3 units
                  - 3 units scored, a verdict needs 10
                  - chance alone reaches 1.00 (95 %) at 3 units

      cost        5 forwards, 3 relevance passes, 20 tokens, 0.00 s, reference, bert
                  fdd9efb07028087e
      "
    `);
  });

  test("with colours, tokens stand on them", () => {
    const args = [...reference, "--ids", "2,11,183,3", "--methods", "attnlrp"];
    const { stdout } = run(args, { env: { NO_COLOR: "", FORCE_COLOR: "3" } });
    expect(stdout).toMatch(/^attnlrp {2}±0\.\d\d+ /m);
    expect(stdout).toContain("\u001b[48;2;");
  });
});
