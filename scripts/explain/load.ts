// A model folder and a backend's name -> an explainer. The only place here that reads weights.
import { readdir } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createExplainer, type Explainer } from "../../src/explainer/explainer.ts";
import { createBackend, folderSource } from "../../src/node.ts";
import { LoadError, messageOf } from "./failure.ts";
import type { Options } from "./options.ts";
import type { Report } from "../progress.ts";

const models = fileURLToPath(new URL("../../public/models", import.meta.url));

/** The name that answers give the model. */
export function modelName({ checkpoint, model }: Options): string {
  return checkpoint === undefined ? model : basename(resolve(checkpoint));
}

/** Throws `LoadError`, whatever the reason. */
export async function loadExplainer(options: Options, report: Report): Promise<Explainer> {
  const { checkpoint, model, backend } = options;
  const name = modelName(options);
  const folder = checkpoint ?? (relative(process.cwd(), join(models, model)) || ".");
  try {
    return await createExplainer({
      name,
      source: folderSource(folder),
      backend: await createBackend(backend),
      onProgress: ({ weights, weightsInAll }) => report(`loading ${name}`, weights, weightsInAll),
    });
  } catch (error) {
    const hint = checkpoint === undefined ? await otherModels(model) : "";
    throw new LoadError(`${messageOf(error)}${hint}`, error);
  }
}

/** Said where the model is not among those in public/models. */
async function otherModels(model: string): Promise<string> {
  const entries = await readdir(models, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  if (names.includes(model)) return "";
  return names.length === 0 ? "" : `; models there: ${names.join(", ")}`;
}
