// A tensor is a shape and a storage handle. No arithmetic here: only the backend that made a tensor can
// look inside its storage.

/** Row-major matrix of float32 or int32. Coefficients of P passes over R rows are stored as (P*R, C). */
export interface Tensor {
  readonly rows: number;
  readonly columns: number;
  /** Owned by the backend: an address, an array or a GPU buffer. */
  readonly storage: unknown;
}

/** Throws unless `tensor` has the given shape; `what` names it in the message. */
export function assertShape(what: string, tensor: Tensor, rows: number, columns: number): void {
  if (tensor.rows !== rows || tensor.columns !== columns) {
    throw new Error(
      `${what}: expected shape (${rows}, ${columns}), got (${tensor.rows}, ${tensor.columns})`,
    );
  }
}
