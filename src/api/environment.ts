// What every handler finds in its context.

export interface ApiEnvironment {
  readonly Variables: {
    requestId: string;
    /** The parsed body, before any default; set by `jsonBody`. */
    body: unknown;
    /** Charges the caller for forward passes; throws the 429. Set by `guard`. */
    admit: (forwards: number) => Promise<void>;
  };
}
