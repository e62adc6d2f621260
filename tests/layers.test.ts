// The structure of src/ as a table: who may import whom. Fails on an upward import, a cycle, a platform API outside the
// edges, or a file that has grown too long.
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../src", import.meta.url));

/** Place in src/ -> places it may import from besides its own. Data flows from top to bottom. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "tensor.ts": [],
  contract: [],
  tokenizer: [],
  comparison: [],
  backend: ["tensor.ts"],
  loading: ["tensor.ts", "backend"],
  model: ["backend", "loading"],
  engine: ["tensor.ts", "backend", "model"],
  attribution: ["backend", "model", "engine"],
  explainer: [
    "contract",
    "tokenizer",
    "comparison",
    "backend",
    "loading",
    "model",
    "engine",
    "attribution",
  ],
  lab: ["contract", "explainer"],
  api: ["contract", "backend", "loading", "model", "explainer"],
};

/** The platform edges: they alone may name a concrete backend, a binding, node: or the DOM, and may import anything. */
const edges = ["worker.ts", "node.ts"];

/** Concrete backends; the interface and what implementations share are free to use. */
const concrete = ["backend/reference.ts", "backend/wasm.ts"];

const longest = 400;
const files = globSync("**/*.ts", { cwd: root }).map((file) => file.replaceAll("\\", "/"));
const source = (file: string) => readFileSync(join(root, file), "utf8");
const placeOf = (file: string) => (file.includes("/") ? (file.split("/")[0] ?? "") : file);

/** Modules that a file names after `from` or in `import(…)`: relative ones as paths below src/. */
function importsOf(file: string): { inside: string[]; outside: string[] } {
  const names = [...source(file).matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"]+)"/g)].map(
    ([, name]) => name ?? "",
  );
  const inside = names
    .filter((name) => name.startsWith("."))
    .map((name) => normalize(join(dirname(file), name)).replaceAll("\\", "/"));
  return { inside, outside: names.filter((name) => !name.startsWith(".")) };
}

describe("src/", () => {
  test("every file belongs to a place of the table", () => {
    const unknown = files.filter((file) => {
      const place = placeOf(file);
      return !edges.includes(place) && !(place in mayImport);
    });
    expect(unknown).toEqual([]);
    expect(files.length).toBeGreaterThan(40);
  });

  test("imports point one way", () => {
    const wrong = files
      .filter((file) => !edges.includes(file))
      .flatMap((file) => {
        const place = placeOf(file);
        const allowed = [place, ...(mayImport[place] ?? [])];
        return importsOf(file)
          .inside.filter((target) => !allowed.includes(placeOf(target)))
          .map((target) => `${file} -> ${target}`);
      });
    expect(wrong).toEqual([]);
  });

  test("only the platform edges name a concrete backend, node: or a binding", () => {
    const wrong = files
      .filter((file) => !edges.includes(file))
      .flatMap((file) => {
        const { inside, outside } = importsOf(file);
        const platform = outside.filter((name) => /^(node|cloudflare):/.test(name));
        const backends = inside.filter(
          (target) => concrete.includes(target) && placeOf(file) !== "backend",
        );
        return [...platform, ...backends].map((name) => `${file} -> ${name}`);
      });
    expect(wrong).toEqual([]);
  });

  test("no cycle", () => {
    const state = new Map<string, "open" | "done">();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]) => {
      if (state.get(file) === "done") return;
      if (state.get(file) === "open") {
        cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
        return;
      }
      state.set(file, "open");
      for (const target of importsOf(file).inside) {
        if (files.includes(target)) visit(target, [...path, file]);
      }
      state.set(file, "done");
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test(`no file over ${longest} lines, the median under 180`, () => {
    const lengths = files
      .map((file) => ({ file, lines: source(file).split("\n").length - 1 }))
      .toSorted((a, b) => a.lines - b.lines);
    expect(lengths.filter(({ lines }) => lines > longest)).toEqual([]);
    expect(lengths[lengths.length >> 1]?.lines).toBeLessThan(180);
  });
});

test("assembly/: no file over the limit", () => {
  const cwd = fileURLToPath(new URL("../assembly", import.meta.url));
  const long = globSync("**/*.ts", { cwd }).filter(
    (file) => readFileSync(join(cwd, file), "utf8").split("\n").length > longest,
  );
  expect(long).toEqual([]);
});
