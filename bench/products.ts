// One matrix product of the backend against the register-only loop: out (M, N) = x (M, K) W (N, K) transposed + bias.
import type { Job } from "./jobs.ts";
import { atPeak, type Host, play, type Row } from "./workload.ts";

/** `model` is "K->N", `tokens` is M. */
export async function timeProduct(job: Job, host: Host): Promise<Row[]> {
  const [K = 0, N = 0] = job.model.split("->").map(Number);
  const M = job.tokens;
  const backend = await host.createBackend();
  const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  const weight = backend.weight(N, K);
  backend.write(weight, 0, numbers(N * K));
  const x = backend.floats(numbers(M * K), M, K);
  const bias = backend.floats(numbers(N), 1, N);
  const out = backend.allocate(M, N);
  const { peak, times } = atPeak(host.peak, 2 * M * N * K);
  const product = () => backend.matmul(out, x, weight, { transposeB: true, bias });
  return play(
    { product, peak },
    [
      {
        name: "gemm-share-of-peak",
        ours: "product",
        other: "peak",
        times,
        against: "the same operations at the measured peak",
      },
    ],
    job,
    `${host.name} ${backend.name}`,
  );
}
