// How the tests reach the API: the real Worker, or an app on files that a test has spoilt.
import { env, exports } from "cloudflare:workers";
import { expect } from "vitest";
import relaxed from "../../build/kernels.relaxed-simd.wasm";
import { createApp } from "../../src/api/app.ts";
import type { Limits } from "../../src/api/limits.ts";
import { createModelStore, type ModelStore } from "../../src/api/model-store.ts";
import { createDryBackend, createWasmBackend } from "../../src/backend/wasm.ts";
import { problem, type Problem } from "../../src/contract/problem.ts";
import { createExplainer } from "../../src/explainer/explainer.ts";
import { memorySource } from "../../src/loading/byte-source.ts";

export const text = "an oddly charming film";

export type Send = (path: string, init?: RequestInit) => Promise<Response>;

/** To the real Worker of wrangler.toml, with the models tiny (default) and sst2. */
export const send: Send = async (path, init) =>
  exports.default.fetch(new Request(`https://plumbline.test${path}`, init));

export function post(path: string, body: unknown, by: Send = send): Promise<Response> {
  const init = {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json" },
  };
  return by(path, init);
}

export type Files = Record<string, Uint8Array | string>;

/** The files of models/tiny, to be spoilt. */
export async function tinyFiles(): Promise<Files> {
  const names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
  const read = async (name: string) => {
    const response = await env.ASSETS.fetch(`https://assets.local/models/tiny/${name}`);
    if (!response.ok) throw new Error(`assets: ${name} answered ${response.status}`);
    return [name, new Uint8Array(await response.arrayBuffer())] as const;
  };
  return Object.fromEntries(await Promise.all(names.map(read)));
}

export interface TinyOptions {
  readonly limitBytes?: number;
  /** Whether the memory of a request is counted before it starts. */
  readonly foreseen?: boolean;
  readonly onLoad?: () => void;
}

/** The model "tiny" on `files`, which are read at each load. */
export function tinyStore(
  files: Files,
  { limitBytes = 2 ** 24, foreseen = true, onLoad = () => {} }: TinyOptions = {},
): ModelStore {
  return createModelStore({
    names: ["tiny"],
    load: async (name) => {
      onLoad();
      const dry = createDryBackend();
      return createExplainer({
        name,
        source: memorySource("memory", files),
        backend: createWasmBackend(relaxed, { name: "wasm-relaxed-simd", limitBytes }),
        memory: foreseen ? { dry, limitBytes } : undefined,
      });
    },
  });
}

export function appOn(models: ModelStore, limits: Partial<Limits> = {}): Send {
  const app = createApp({ models, limits });
  return async (path, init) => app.request(`https://plumbline.test${path}`, init);
}

/** Everything that holds for every refusal; returns it for what holds for this one. */
export async function problemOf(response: Response, status?: number): Promise<Problem> {
  const body = await response.text();
  if (status !== undefined) expect(response.status, body).toBe(status);
  expect(response.headers.get("content-type"), body).toBe("application/problem+json");
  const found = problem.parse(JSON.parse(body));
  expect(found.status).toBe(response.status);
  expect(found.error).toBe(found.detail);
  expect(found.request_id).toBe(response.headers.get("x-request-id"));
  expect(found.type).toMatch(/^urn:plumbline:problem:[a-z-]+$/);
  return found;
}
