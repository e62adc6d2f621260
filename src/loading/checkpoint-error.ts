// The errors of loading. Each names its culprit, a tensor or a file, so that an answer can name it too.

/** A checkpoint is absent, torn, or not what was asked for. */
export class CheckpointError extends Error {
  /** Checkpoint name of a tensor, or path of a file inside the checkpoint. */
  readonly culprit: string;
  constructor(culprit: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CheckpointError";
    this.culprit = culprit;
  }
}

/** A source holds no file of that path. */
export class FileMissing extends CheckpointError {
  constructor(path: string, source: string) {
    super(path, `${path}: not found in ${source}`);
    this.name = "FileMissing";
  }
}

/** Tensors of the plan are not in the checkpoint; `culprit` is the first of them. */
export class WeightsMissing extends CheckpointError {
  /** Everything that is missing, as written in the message. */
  readonly missing: readonly string[];
  constructor(culprit: string, missing: readonly string[], source: string) {
    const listed = missing.slice(0, 5).join("; ");
    const rest = missing.length > 5 ? `; and ${missing.length - 5} more` : "";
    super(culprit, `weights: ${missing.length} missing from ${source}: ${listed}${rest}`);
    this.name = "WeightsMissing";
    this.missing = missing;
  }
}

/** A tensor is there with a shape that the plan does not accept. */
export class WeightsMismatch extends CheckpointError {
  readonly expected: readonly number[];
  readonly found: readonly number[];
  constructor(tensor: string, file: string, expected: readonly number[], found: readonly number[]) {
    super(
      tensor,
      `weights: ${tensor} in ${file}: expected shape ${shapeText(expected)}, found ${shapeText(found)}`,
    );
    this.name = "WeightsMismatch";
    this.expected = expected;
    this.found = found;
  }
}

export function shapeText(shape: readonly number[]): string {
  return `(${shape.join(", ")})`;
}
