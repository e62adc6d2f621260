// What one request may be at most. The model's own limits (tokens, memory) are the explainer's.

export interface Limits {
  /** Of a request's body. */
  readonly maximumBodyBytes: number;
  /** Texts or instances of one request. */
  readonly maximumInstances: number;
}

export const defaultLimits: Limits = { maximumBodyBytes: 256 * 1024, maximumInstances: 32 };
