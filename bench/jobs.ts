// What `npm run bench` measures, as data: the rows, which suite gives them, and the jobs that a runtime does one by one.
import { bertNames } from "./random-bert.ts";

export const rowNames = {
  embedded: [
    "forward-share-of-peak",
    "forward-per-attnlrp",
    "forward-per-three-methods",
    "own-loop-per-explain",
  ],
  forwards: [
    "forward-f32-vs-ort",
    "forward-f32-vs-ort-cropped",
    "forward-f32-vs-ort-q8",
    "forward-int8-vs-ort-q8",
    "forward-per-attnlrp",
    "forward-per-three-methods",
  ],
  loops: ["loo-vs-ort-loop", "loo-vs-own-loop"],
  products: ["gemm-share-of-peak"],
  pytorch: ["attnlrp-vs-pytorch"],
} as const;

export type Suite = keyof typeof rowNames;
export type RowName = (typeof rowNames)[Suite][number];

/** Suites that Node and workerd run alike. PyTorch is a process, and so Node's alone. */
export type PortableSuite = Exclude<Suite, "pytorch">;

/** One model at one length. */
export interface Job<S extends Suite = Suite> {
  readonly suite: S;
  readonly model: string;
  readonly tokens: number;
  readonly samples: number;
  /** The only row wanted. */
  readonly only?: RowName | undefined;
}

export interface JobOptions {
  /** A folder below public/models, and its lengths. */
  readonly embedded: string;
  readonly tokens: readonly number[];
  readonly samples: number;
  readonly only?: RowName | undefined;
}

/** Jobs of one model stand together, since a runtime keeps one random model at a time. */
export function portableJobs(options: JobOptions): Job<PortableSuite>[] {
  const { embedded, tokens, samples, only } = options;
  const jobs = <S extends PortableSuite>(suite: S, model: string, lengths: readonly number[]) =>
    lengths.map((length) => ({ suite, model, tokens: length, samples, only }));
  return [
    ...jobs("embedded", embedded, tokens),
    ...["256->1024", "768->768"].flatMap((model) => jobs("products", model, [128, 256])),
    ...bertNames.flatMap((model) => [
      ...jobs("forwards", model, [32, 128]),
      ...jobs("loops", model, [25]),
    ]),
  ].filter(gives);
}

export function pytorchJobs({ samples, only }: JobOptions): Job<"pytorch">[] {
  return [32, 128]
    .map((tokens) => ({ suite: "pytorch", model: "bert-4x256", tokens, samples, only }) as const)
    .filter(gives);
}

function gives({ suite, only }: Job): boolean {
  const names: readonly RowName[] = rowNames[suite];
  return only === undefined || names.includes(only);
}
