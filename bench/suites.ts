// Which code does which job.
import { timeEmbedded } from "./embedded.ts";
import type { Job, PortableSuite } from "./jobs.ts";
import { timeProduct } from "./products.ts";
import { timeForwards, timeLoops } from "./rivals.ts";
import type { Host, Row } from "./workload.ts";

const suites: Readonly<Record<PortableSuite, (job: Job, host: Host) => Promise<Row[]>>> = {
  embedded: timeEmbedded,
  forwards: timeForwards,
  loops: timeLoops,
  products: timeProduct,
};

export function runJob(job: Job<PortableSuite>, host: Host): Promise<Row[]> {
  return suites[job.suite](job, host);
}
