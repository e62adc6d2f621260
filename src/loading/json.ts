// JSON objects out of a byte source. Knows no field of any of them.
import { readText, type ByteSource } from "./byte-source.ts";
import { CheckpointError } from "./checkpoint-error.ts";

/** Throws `CheckpointError` naming `path` where `text` is not JSON, or not an object. */
export function parseJson(text: string, path: string, source: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(path, `${path}: not JSON in ${source}: ${reason}`, { cause });
  }
  if (isRecord(value)) return value;
  const found = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  throw new CheckpointError(path, `${path}: expected a JSON object in ${source}, found ${found}`);
}

/** Throws `FileMissing`, or `CheckpointError` as `parseJson` does. */
export async function readJson(source: ByteSource, path: string): Promise<Record<string, unknown>> {
  return parseJson(await readText(source, path), path, source.name);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
