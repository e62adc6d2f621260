// The id of an answer: a hash of everything that decides its bytes. Equal ids mean equal answers, so it is a cache key.
import type { ExplainRequest } from "../contract/request.ts";
import type { Context } from "./context.ts";

/** Raised by hand when rules, removals or the layout of answers change, so that old cached answers are not served. */
const rulesVersion = 1;

export async function answerId(context: Context, request: ExplainRequest): Promise<string> {
  const { name, revision, network, maximumTokens, methods, thresholds } = context;
  const backend = network.backend.name;
  const decisive = [rulesVersion, name, revision, backend, maximumTokens, methods, thresholds];
  const text = stableJson([...decisive, { ...request, model: name }]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest, 0, 16)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** JSON with the keys of every object in order, so that the order in which a caller wrote them does not matter. */
function stableJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
