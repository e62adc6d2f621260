// Who may ask, and how much: bearer keys, and a charge for the forward passes of each request. Both are off unless given.
import type { Context, MiddlewareHandler } from "hono";
import { timingSafeEqual } from "hono/utils/buffer";
import { ApiError } from "./api-error.ts";
import type { ApiEnvironment } from "./environment.ts";

export interface Access {
  /** Bearer keys, any of which opens the routes below /v1. None: they are open. */
  readonly keys: readonly string[];
  /** Charges a caller, by key or address, for so many forward passes; false where that is too many. */
  readonly charge: (caller: string, forwards: number) => Promise<boolean>;
  /** What a refused caller is told to wait. */
  readonly retrySeconds: number;
}

export const openAccess: Access = { keys: [], charge: async () => true, retrySeconds: 60 };

/** Refuses wrong keys with 401, and gives handlers `admit`, which refuses with 429 before any work is done. */
export function guard({ keys, charge, retrySeconds }: Access): MiddlewareHandler<ApiEnvironment> {
  return async function guard(context, next) {
    const caller = await identify(context, keys);
    context.set("admit", async (forwards) => {
      if (await charge(caller, forwards)) return;
      const message = `rate limit: ${forwards} forward passes are too many now, retry in ${retrySeconds} s`;
      throw new ApiError("too-many-requests", message, {
        headers: { "Retry-After": String(retrySeconds) },
      });
    });
    await next();
  };
}

async function identify({ req }: Context, keys: readonly string[]): Promise<string> {
  if (keys.length === 0) return req.header("cf-connecting-ip") ?? "anonymous";
  const given = /^Bearer ([^\s]+)$/.exec(req.header("authorization") ?? "")?.[1];
  // Every key is compared, in constant time, so that the answer's delay tells nothing.
  const matches = await Promise.all(keys.map((key) => timingSafeEqual(key, given ?? "")));
  const key = keys[matches.indexOf(true)];
  if (given === undefined || key === undefined) {
    const message = given === undefined ? "is missing or not a bearer key" : "is not a known key";
    throw new ApiError("unauthorized", `authorization: ${message}`, {
      headers: { "WWW-Authenticate": "Bearer" },
    });
  }
  return key;
}
