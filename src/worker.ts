// The Cloudflare entry: bindings and vars, kernels, weights from the static assets. Everything else is in api/.
import { waitUntil } from "cloudflare:workers";
import plain from "../build/kernels.simd.wasm";
import relaxed from "../build/kernels.relaxed-simd.wasm";
import { version } from "../package.json";
import type { Access } from "./api/access.ts";
import { type App, createApp } from "./api/app.ts";
import { createModelStore } from "./api/model-store.ts";
import { chooseKernels, createDryBackend, createWasmBackend } from "./backend/wasm.ts";
import { type MethodName, methodNames } from "./contract/request.ts";
import { createExplainer } from "./explainer/explainer.ts";
import { fetchSource } from "./loading/byte-source.ts";

/** What wrangler.toml gives. Vars are text; those left out have their defaults here. */
export interface Environment {
  readonly ASSETS: Fetcher;
  /** Folders below /models in the assets, comma separated; the first is the default model. */
  readonly MODELS: string;
  /** Methods that this deployment does not offer, comma separated. */
  readonly METHODS_OFF?: string;
  /** Memory of all models together: weights and work. An isolate has 128 MiB for this and everything else. */
  readonly MEMORY_LIMIT_MIB?: string;
  /** Longest text, in tokens; the model's own limit holds as well. */
  readonly MAX_TOKENS?: string;
  /** Most forward passes of one request. */
  readonly MAX_FORWARDS?: string;
  /** Secret: bearer keys for the routes below /v1, comma separated. Without it they are open. */
  readonly API_KEYS?: string;
  /** Counts calls per caller; a request makes one for every 8 forward passes. Without it nobody is counted. */
  readonly RATE_LIMITER?: RateLimit;
}

/** A binding counts calls, not weights, so forward passes are charged in units. */
const FORWARDS_PER_CALL = 8;

/** Lives as long as the isolate, and the loaded models with it. By vars, which are the same for all its requests. */
const apps = new Map<string, App>();

export default {
  fetch(request, environment, execution) {
    const { MODELS, METHODS_OFF, MEMORY_LIMIT_MIB, MAX_TOKENS, MAX_FORWARDS, API_KEYS } =
      environment;
    const limits = [MEMORY_LIMIT_MIB, MAX_TOKENS, MAX_FORWARDS];
    const vars = JSON.stringify([MODELS, METHODS_OFF, limits, API_KEYS]);
    const app = apps.get(vars) ?? appOf(environment);
    apps.set(vars, app);
    return app.fetch(request, environment, execution);
  },
} satisfies ExportedHandler<Environment>;

function appOf(environment: Environment): App {
  const names = list(environment.MODELS);
  const load = (name: string) => loadModel(name, names.length, environment);
  const models = createModelStore({ names, load, keepAlive: waitUntil });
  const access = { keys: list(environment.API_KEYS ?? ""), charge: chargeBy(environment) };
  return createApp({ models, access, version });
}

function chargeBy({ RATE_LIMITER }: Environment): Access["charge"] {
  return async (caller, forwards) => {
    for (let charged = 0; RATE_LIMITER && charged < forwards; charged += FORWARDS_PER_CALL) {
      const { success } = await RATE_LIMITER.limit({ key: caller });
      if (!success) return false;
    }
    return true;
  };
}

/** Wrong vars show here, as 503 with their name, so that the server stays up and says so. */
async function loadModel(name: string, models: number, environment: Environment) {
  const share = positive("MEMORY_LIMIT_MIB", environment.MEMORY_LIMIT_MIB ?? "100") / models;
  const limitBytes = share * 2 ** 20;
  const { chosen, name: backendName } = chooseKernels({ plain, relaxed });
  const dry = createDryBackend();
  const { MAX_TOKENS, MAX_FORWARDS = "2048" } = environment;
  return createExplainer({
    name,
    source: fetchSource(`/models/${name}`, (path) =>
      // The host is not looked at.
      environment.ASSETS.fetch(`https://assets.local/models/${name}/${path}`),
    ),
    backend: createWasmBackend(chosen, { name: backendName, limitBytes }),
    // What a backend holds before its first tensor is not counted with the request.
    memory: { dry, limitBytes },
    maximumTokens: MAX_TOKENS ? positive("MAX_TOKENS", MAX_TOKENS) : undefined,
    maximumForwards: positive("MAX_FORWARDS", MAX_FORWARDS),
    methods: methodsWithout(list(environment.METHODS_OFF ?? "")),
  });
}

function methodsWithout(off: readonly string[]): MethodName[] {
  const unknown = off.find((name) => !(methodNames as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new Error(`METHODS_OFF: no such method: ${unknown}; known: ${methodNames.join(", ")}`);
  }
  return methodNames.filter((name) => !off.includes(name));
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

function positive(variable: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${variable}: expected a number above 0, found ${text}`);
  return value;
}
