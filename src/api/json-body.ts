// From a request's bytes to a JSON value: media type, size, UTF-8, syntax, in this order. Knows no schema.
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./api-error.ts";
import type { ApiEnvironment } from "./environment.ts";
import { jsonErrorPosition } from "./json-position.ts";
import type { Limits } from "./limits.ts";

const JSON_TYPE = /^application\/(?:[a-z0-9!#$&^_.-]+\+)?json$/;
/** What curl -d and bare clients send without being told the type of their JSON. */
const UNDECLARED = new Set(["", "application/x-www-form-urlencoded"]);

/** Reads the body once, as JSON, for the schema of the route and as `context.var.body`. */
export function jsonBody({ maximumBodyBytes }: Limits): MiddlewareHandler<ApiEnvironment> {
  return async function jsonBody(context, next) {
    const { raw } = context.req;
    refuseMediaType(raw.headers);
    const text = decode(await readBytes(raw, maximumBodyBytes));
    context.set("body", parse(text));
    const { method, signal } = raw;
    const headers = new Headers(raw.headers);
    headers.set("content-type", "application/json");
    context.req.raw = new Request(raw.url, { method, headers, body: text, signal });
    await next();
  };
}

function refuseMediaType(headers: Headers): void {
  const declared = headers.get("content-type") ?? "";
  const [type = "", ...parameters] = declared
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  if (!JSON_TYPE.test(type) && !UNDECLARED.has(type)) {
    throw new ApiError(
      "wrong-content-type",
      `content-type: expected application/json, found ${clip(declared)}`,
    );
  }
  const charset = parameters.find((each) => each.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !/^"?utf-?8"?$/.test(charset)) {
    throw new ApiError(
      "wrong-content-type",
      `content-type: expected UTF-8, found ${clip(charset)}`,
    );
  }
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new ApiError(
      "wrong-content-type",
      `content-encoding: compressed bodies are not read: ${clip(encoding)}`,
    );
  }
}

/** At most `maximum` bytes; Content-Length spares the reading where it is too large, and is not believed elsewhere. */
async function readBytes(request: Request, maximum: number): Promise<Uint8Array[]> {
  const refuse = (found: string) =>
    new ApiError("body-too-large", `body: has ${found} bytes, at most ${maximum} are read`);
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maximum) throw refuse(String(declared));
  const parts: Uint8Array[] = [];
  const reader = request.body?.getReader();
  for (let size = 0; reader !== undefined;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size > maximum) {
      await reader.cancel();
      throw refuse(`at least ${size}`);
    }
    parts.push(value);
  }
  return parts;
}

function decode(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  try {
    const texts = parts.map((part) => decoder.decode(part, { stream: true }));
    return [...texts, decoder.decode()].join("");
  } catch (cause) {
    throw new ApiError("malformed-body", "body: is not UTF-8", { cause });
  }
}

function parse(text: string): unknown {
  if (text.trim() === "") throw new ApiError("malformed-body", "body: is empty, expected JSON");
  try {
    return JSON.parse(text);
  } catch (cause) {
    const position = jsonErrorPosition(text);
    const before = text.slice(0, position).split("\n");
    const column = (before.at(-1)?.length ?? 0) + 1;
    const what = position === text.length ? "ends too early" : "is not JSON";
    const where = `position ${position} (line ${before.length}, column ${column})`;
    throw new ApiError("malformed-body", `body: ${what} at ${where}`, { cause });
  }
}

function clip(value: string): string {
  return JSON.stringify(value.slice(0, 100));
}
