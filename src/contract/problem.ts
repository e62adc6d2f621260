// What a refusal looks like (RFC 9457), and how the findings of a schema become its list of bad fields.
import { z } from "zod";

const fieldProblem = z.object({
  path: z
    .string()
    .meta({ description: 'Field, such as "methods.1.layers"; "" is the whole body.' }),
  message: z.string(),
});

export const problem = z
  .object({
    type: z.string().meta({ description: "Names the kind of problem; equal for equal kinds." }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(fieldProblem).optional().meta({ description: "One entry per bad field." }),
    request_id: z.string().meta({ description: "As in the header X-Request-Id." }),
    error: z
      .string()
      .meta({ description: "Same as `detail`, for Open Inference Protocol clients." }),
  })
  .meta({ id: "Problem" });

export type Problem = z.infer<typeof problem>;
export type FieldProblem = z.infer<typeof fieldProblem>;

/** The wording of zod -> ours, which reads on after the name of a field. */
const wordings: readonly (readonly [RegExp, string])[] = [
  [/^Invalid (input|option): /, "is not valid: "],
  [/^expected /, "is not valid: expected "],
  [/^Too (big|small): /, "is too $1: "],
];

/** One entry per bad field; an unknown field is named by its own path. */
export function fieldProblems({ issues }: z.ZodError): FieldProblem[] {
  return issues.flatMap((issue) => {
    const path = (...more: readonly string[]) => [...issue.path.map(String), ...more].join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ path: path(key), message: "is not a known field" }));
    }
    const message = wordings.reduce(
      (text, [pattern, wording]) => text.replace(pattern, wording),
      issue.message,
    );
    return [{ path: path(), message }];
  });
}
