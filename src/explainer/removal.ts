// From a request's removal to what leave-one-out does, and to the name it has in answers.
import type { Removal } from "../attribution/removals.ts";
import type { RemovalRequest } from "../contract/request.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { RequestError } from "./request-error.ts";

/** The name of a removal in lists and sentences. */
export function removalName(removal: RemovalRequest): string {
  return typeof removal === "string" ? removal : `replace by ${JSON.stringify(removal.replace)}`;
}

/** Throws `RequestError` where the model has no such token. */
export function resolveRemoval(
  removal: RemovalRequest,
  tokenizer: Tokenizer | undefined,
  vocabulary: number,
): Removal {
  if (removal === "mask") {
    const id = tokenizer?.maskId;
    if (id === undefined) {
      throw new RequestError({ path: "removal", message: "mask: this model has no mask token" });
    }
    return { replace: id };
  }
  if (typeof removal === "string") return removal;
  const { replace } = removal;
  const id = typeof replace === "number" ? replace : tokenizer?.idOf(replace);
  if (id === undefined || id >= vocabulary) {
    throw new RequestError({
      path: "removal.replace",
      message: `is ${JSON.stringify(replace)}, which is not in the vocabulary`,
    });
  }
  return { replace: id };
}
