// What every handler finds in its context.

export interface ApiEnvironment {
  readonly Variables: {
    requestId: string;
    /** The parsed body, before any default; set by `jsonBody`. */
    body: unknown;
  };
}
