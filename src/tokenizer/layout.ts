// Where the post-processor puts the tokens of a text or a pair, and where it adds its own: asked of
// the library with placeholders. Knows no text.

import {
  RobertaProcessingPostProcessor,
  SequencePostProcessor,
  type PostProcessor,
} from "@huggingface/tokenizers";

/** One place in the final row of tokens: the `index`-th of a sequence, or an added token. */
export interface Slot {
  readonly typeId: number;
  readonly source: { readonly sequence: 0 | 1; readonly index: number } | null;
}

/** `counts` holds the number of tokens of the text, and of its pair where there is one. */
export function layoutOf(postProcessor: PostProcessor | null, counts: readonly number[]): Slot[] {
  const placed = new Set<unknown>();
  const [first = [], second] = counts.map((count, sequence) =>
    Array.from({ length: count }, (_, index) => ({ sequence: sequence as 0 | 1, index })),
  );
  // The post-processors move tokens without looking at them, so placeholders show where each goes.
  const processed = postProcessor?.post_process(
    first as unknown as string[],
    (second ?? null) as unknown as string[],
    true,
  );
  const row: readonly unknown[] = processed?.tokens ?? [...first, ...(second ?? [])];
  const typeIds = allOfTypeZero(postProcessor) ? undefined : processed?.token_type_ids;
  const slots = row.map((item, position): Slot => {
    if (typeof item === "string") return { typeId: typeIds?.[position] ?? 0, source: null };
    placed.add(item);
    const source = item as { sequence: 0 | 1; index: number };
    return { typeId: typeIds?.[position] ?? 0, source };
  });
  const expected = counts.reduce((sum, count) => sum + count, 0);
  if (placed.size !== expected || slots.filter((slot) => slot.source).length !== expected) {
    throw new Error(
      `tokenizer: the post-processor keeps ${placed.size} of ${expected} tokens of ` +
        `${counts.length === 2 ? "a pair of texts" : "a text"}`,
    );
  }
  return slots;
}

/** Hugging Face gives all tokens type 0 here; library 0.2.0 gives the second text type 1. */
function allOfTypeZero(postProcessor: PostProcessor | null): boolean {
  if (postProcessor instanceof SequencePostProcessor) {
    return postProcessor.processors.some(allOfTypeZero);
  }
  return postProcessor instanceof RobertaProcessingPostProcessor;
}
