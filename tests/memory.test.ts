// Memory of a warm isolate, as V8 in workerd counts it: local runtimes do not enforce the 128 MB of production, so this does.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { unstable_startWorker } from "wrangler";

const MIB = 2 ** 20;
const limit = 100 * MIB;

interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize: number;
  readonly backingStorageSize: number;
}

/** One call of the Chrome DevTools protocol. */
async function inspect<T>(origin: string, method: string): Promise<T> {
  const [target] = (await (await fetch(`${origin}/json`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  const url = target?.webSocketDebuggerUrl ?? "";
  // The inspector of wrangler wants a local origin; only Node's WebSocket takes headers.
  const options = { headers: { Origin: "http://localhost", "User-Agent": "plumbline" } };
  const socket = new WebSocket(url, options as unknown as string[]);
  try {
    return await new Promise<T>((resolve, reject) => {
      socket.onerror = () => reject(new Error(`inspector: no connection to ${url}`));
      socket.onopen = () => socket.send(JSON.stringify({ id: 1, method }));
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(String(data)) as { id?: number; result: T };
        if (message.id === 1) resolve(message.result);
      };
    });
  } finally {
    socket.close();
  }
}

test("a warm isolate with the embedded model stays under 100 MiB after explaining 128 tokens", async () => {
  const worker = await unstable_startWorker({
    config: fileURLToPath(new URL("../wrangler.toml", import.meta.url)),
    dev: { server: { port: 0 }, inspector: { port: 0 }, logLevel: "error" },
  });
  try {
    await worker.ready;
    const request = (path: string, body?: unknown) =>
      worker.fetch(`http://plumbline.local${path}`, {
        ...(body ? { method: "POST", body: JSON.stringify(body) } : {}),
        headers: { "content-type": "application/json" },
      });
    const text = "a good film ".repeat(42);
    const methods = [
      "loo",
      "attnlrp",
      "cp-lrp",
      "gradient-x-input",
      "integrated-gradients",
      "rollout",
    ];
    const explained = await request("/v1/explain", { text, methods });
    const answer = (await explained.json()) as { tokens: unknown[] };
    expect(explained.status).toBe(200);
    expect(answer.tokens.length).toBe(128);

    const card = (await (await request("/v1/models/sst2")).json()) as { memory_bytes: number };
    const heap = await inspect<HeapUsage>(
      (await worker.inspectorUrl)?.origin ?? "",
      "Runtime.getHeapUsage",
    );
    const javascript = heap.usedSize + heap.embedderHeapUsedSize + heap.backingStorageSize;
    const total = card.memory_bytes + javascript;
    const shown = [card.memory_bytes, javascript, total].map((bytes) => (bytes / MIB).toFixed(1));
    console.log(
      `WASM pages ${shown[0]} MiB + JavaScript heap and buffers ${shown[1]} MiB = ${shown[2]} MiB`,
    );
    // Weights alone take several MiB: smaller figures would mean that nothing was measured.
    expect(card.memory_bytes).toBeGreaterThan(5 * MIB);
    expect(javascript).toBeGreaterThan(MIB);
    expect(total).toBeLessThan(limit);
  } finally {
    await worker.dispose();
  }
}, 120_000);
