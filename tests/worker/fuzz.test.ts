// 2,000 requests of all kinds to the real Worker: whatever comes, the answer is right or a problem, and never a 5xx.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { type Sent, requests } from "./requests.ts";
import { problemOf, send } from "./service.ts";

test("no body and no route makes the server fail", async () => {
  const errors = vi.spyOn(console, "error");
  const counts = new Map<string, number>();
  const count = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);

  const property = fc.asyncProperty(requests, async ({ method, path, type, body }: Sent) => {
    const bare = method === "GET" || method === "HEAD";
    const response = await send(path, {
      method,
      // Bytes, because text would get a content type of its own.
      ...(bare ? {} : { body: typeof body === "string" ? new TextEncoder().encode(body) : body }),
      headers: type === undefined ? {} : { "content-type": type },
    });
    expect(response.status).toBeLessThan(500);
    expect(response.headers.get("x-request-id")).toBeTruthy();
    count(`${Math.floor(response.status / 100)}xx`);
    count(String(response.status));
    if (method === "HEAD") return;
    if (!response.ok) return void (await problemOf(response));
    expect(response.headers.get("content-type")).toBe("application/json");
    // What is not finite would stand there as null; no answer has one of its own.
    JSON.parse(await response.text(), (field, value: unknown) => {
      expect(value, field).not.toBeNull();
      return value;
    });
  });
  await fc.assert(property, { numRuns: 2_000, seed: 20_261_123, endOnFailure: true });

  const counted = [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  console.log(`fuzz: ${counted.map(([status, times]) => `${status}: ${times}`).join(", ")}`);
  expect(counts.get("2xx")).toBeGreaterThan(500);
  expect(counts.get("4xx")).toBeGreaterThan(500);
  expect(errors).not.toHaveBeenCalled();
});
