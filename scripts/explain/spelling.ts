// How methods, removals and targets are written on a command line, and the request that they stand for.
// Whether a layer, label or token exists is the model's to say.
import {
  type MethodName,
  methodNames,
  type MethodRequest,
  type RemovalRequest,
  type TargetRequest,
} from "../../src/contract/request.ts";
import { UsageError } from "./failure.ts";

const layerSettings = ["from", "up-to", "only", "set", "epsilon"] as const;

/** The settings that may follow a method: "cp-lrp:from=4:epsilon=1e-6". */
export const methodSettings: Readonly<Record<MethodName, readonly string[]>> = {
  loo: [],
  attnlrp: ["epsilon"],
  "attnlrp-unhalved": ["epsilon"],
  "cp-lrp": layerSettings,
  "cp-lrp-ali": layerSettings,
  "gradient-x-input": [],
  "integrated-gradients": ["steps"],
  rollout: [],
};

type Field = readonly [name: "layers" | "epsilon" | "steps", value: unknown];

const fields: Readonly<Record<string, (value: string) => Field>> = {
  from: (value) => ["layers", { from: wholeNumber("--methods", value) }],
  "up-to": (value) => ["layers", { up_to: wholeNumber("--methods", value) }],
  only: (value) => ["layers", { only: wholeNumber("--methods", value) }],
  set: (value) => [
    "layers",
    { set: value.split("+").map((each) => wholeNumber("--methods", each)) },
  ],
  epsilon: (value) => ["epsilon", decimal(value)],
  steps: (value) => ["steps", wholeNumber("--methods", value)],
};

/** "loo,attnlrp,cp-lrp:from=4" -> methods of a request. Throws `UsageError`. */
export function methodsOf(spelled: string): MethodRequest[] {
  return items("--methods", spelled).map(methodOf);
}

function methodOf(spelled: string): MethodRequest {
  const [name = "", ...settings] = spelled.split(":");
  const allowed = methodSettings[name as MethodName];
  if (allowed === undefined) {
    throw new UsageError(`--methods: "${name}" is no method; there are ${methodNames.join(", ")}`);
  }
  const request: Record<string, unknown> = { method: name };
  for (const setting of settings) {
    const [written = "", ...rest] = setting.split("=");
    const key = written.replace("_", "-");
    if (!allowed.includes(key)) {
      const known = allowed.length === 0 ? "takes no settings" : `takes ${allowed.join(", ")}`;
      throw new UsageError(`--methods: ${name} ${known}, not "${written}"`);
    }
    const [field, value] = fields[key]!(rest.join("="));
    if (field in request) {
      throw new UsageError(`--methods: ${spelled} sets ${field} twice`);
    }
    request[field] = value;
  }
  return request as MethodRequest;
}

const plainRemovals = ["attention", "mask", "zero", "delete"] as const;

/** "attention,mask,replace=the" -> removals of a request; digits name a token by its id. Throws `UsageError`. */
export function removalsOf(spelled: string): RemovalRequest | RemovalRequest[] {
  const removals = items("--removal", spelled).map(removalOf);
  const [only] = removals;
  return removals.length === 1 && only !== undefined ? only : removals;
}

function removalOf(spelled: string): RemovalRequest {
  const plain = plainRemovals.find((name) => name === spelled);
  if (plain !== undefined) return plain;
  const token = /^replace=(.+)$/s.exec(spelled)?.[1];
  if (token === undefined) {
    const known = [...plainRemovals, "replace=TOKEN"].join(", ");
    throw new UsageError(`--removal: "${spelled}" is no removal; there are ${known}`);
  }
  return { replace: labelOrIndex(token) };
}

/** "predicted", a label, an index, or two of these as a contrast: "positive,negative". Throws `UsageError`. */
export function targetOf(spelled: string): TargetRequest {
  if (spelled === "predicted") return spelled;
  const parts = items("--target", spelled).map(labelOrIndex);
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) {
    throw new UsageError(
      `--target: "${spelled}" names ${parts.length} labels; one, or two to contrast`,
    );
  }
  if (second !== undefined) return { contrast: [first, second] };
  return typeof first === "number" ? { index: first } : { label: first };
}

/** "5,6,7" or "5 6 7" -> numbers. Throws `UsageError` naming `option`. */
export function wholeNumbers(option: string, spelled: string): number[] {
  const parts = spelled.split(/[\s,]+/).filter((part) => part !== "");
  if (parts.length === 0) throw new UsageError(`${option}: is empty`);
  return parts.map((part) => wholeNumber(option, part));
}

export function wholeNumber(option: string, spelled: string): number {
  if (/^\d{1,15}$/.test(spelled)) return Number(spelled);
  throw new UsageError(`${option}: "${spelled}" is not a whole number`);
}

function decimal(spelled: string): number {
  const value = Number(spelled);
  if (spelled.trim() !== "" && Number.isFinite(value)) return value;
  throw new UsageError(`--methods: epsilon "${spelled}" is not a number`);
}

function labelOrIndex(spelled: string): string | number {
  return /^\d{1,15}$/.test(spelled) ? Number(spelled) : spelled;
}

function items(option: string, spelled: string): string[] {
  const parts = spelled.split(",").map((part) => part.trim());
  if (parts.includes("")) throw new UsageError(`${option}: "${spelled}" has an empty part`);
  return parts;
}
