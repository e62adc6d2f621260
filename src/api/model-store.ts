// The models of a deployment: names, loading on demand, one load for all who wait. A failed load is forgotten.
// Knows no model format and no platform; how a name is loaded is given.
import type { Explainer } from "../explainer/explainer.ts";
import { RequestError } from "../explainer/request-error.ts";

/** No model of that name. */
export class UnknownModel extends RequestError {
  constructor(name: string, known: readonly string[]) {
    super({ path: "model", message: `is ${JSON.stringify(name)}, known are ${known.join(", ")}` });
    this.name = "UnknownModel";
  }
}

/** A model of the deployment did not load; the message is that of the cause, which names the tensor or file. */
export class ModelUnavailable extends Error {
  readonly model: string;
  constructor(model: string, cause: unknown) {
    super(`${model}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "ModelUnavailable";
    this.model = model;
  }
}

export interface ModelStore {
  /** The first is the default. */
  readonly names: readonly string[];
  /** Throws `UnknownModel`, or `ModelUnavailable` where it does not load; the next call tries again. */
  open(name?: string): Promise<Explainer>;
}

export interface ModelStoreOptions {
  readonly names: readonly string[];
  readonly load: (name: string) => Promise<Explainer>;
  /** Told of each load, so that the platform lets it end even if the caller who began it goes away. */
  readonly keepAlive?: (work: Promise<unknown>) => void;
  /** A load older than this is taken for lost, and the next caller starts another. */
  readonly patienceMilliseconds?: number;
}

interface Entry {
  readonly explainer: Promise<Explainer>;
  readonly begun: number;
  loaded: boolean;
}

export function createModelStore({
  names,
  load,
  keepAlive = () => {},
  patienceMilliseconds = 60_000,
}: ModelStoreOptions): ModelStore {
  const entries = new Map<string, Entry>();

  function begin(name: string): Entry {
    const explainer = Promise.try(load, name).catch((cause: unknown) => {
      throw new ModelUnavailable(name, cause);
    });
    const entry: Entry = { explainer, begun: Date.now(), loaded: false };
    entries.set(name, entry);
    const settled = explainer.then(
      () => {
        entry.loaded = true;
      },
      () => {
        if (entries.get(name) === entry) entries.delete(name);
      },
    );
    keepAlive(settled);
    return entry;
  }

  return {
    names,
    async open(name = names[0]) {
      if (name === undefined) throw new ModelUnavailable("models", "none is configured");
      if (!names.includes(name)) throw new UnknownModel(name, names);
      const entry = entries.get(name);
      const lost =
        entry !== undefined && !entry.loaded && Date.now() - entry.begun > patienceMilliseconds;
      return (entry === undefined || lost ? begin(name) : entry).explainer;
    },
  };
}
