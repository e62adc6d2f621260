// The revision of a checkpoint: a hash of weights and config that does not depend on how the bytes arrive.
// Knows bytes only.

export interface RevisionHash {
  /** The next bytes of the current file. Copies what it keeps. */
  add(bytes: Uint8Array): Promise<void>;
  /** The current file is complete. */
  endFile(): Promise<void>;
  /** The first 16 hex digits of the hash. */
  finish(): Promise<string>;
}

// SubtleCrypto has no running hash, so a file is hashed piece by piece, and then the hashes.
const PIECE_BYTES = 1024 * 1024;

/**
 * SHA-256 over the SHA-256 digests of each file's 1 MiB pieces (the last may be shorter, an empty file has none),
 * files in the order given.
 */
export function revisionHash(): RevisionHash {
  if (crypto.subtle === undefined) {
    throw new Error("revision: crypto.subtle is absent; a page needs https or localhost");
  }
  const digests: ArrayBuffer[] = [];
  const piece = new Uint8Array(PIECE_BYTES);
  let held = 0;
  // One digest runs beside the reading. The API copies its input at once, so `piece` can be filled again.
  let running: Promise<unknown> = Promise.resolve();

  async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await running;
    running = crypto.subtle.digest("SHA-256", bytes).then((hash) => digests.push(hash));
  }

  return {
    async add(bytes) {
      for (let at = 0; at < bytes.length;) {
        const count = Math.min(bytes.length - at, PIECE_BYTES - held);
        piece.set(bytes.subarray(at, at + count), held);
        at += count;
        held += count;
        if (held < PIECE_BYTES) return;
        held = 0;
        await digest(piece);
      }
    },
    async endFile() {
      if (held > 0) await digest(piece.subarray(0, held));
      held = 0;
    },
    async finish() {
      await running;
      const hash = await crypto.subtle.digest("SHA-256", await new Blob(digests).arrayBuffer());
      return [...new Uint8Array(hash, 0, 8)]
        .map((byte) => byte.toString(16).padStart(2, "0"))
        .join("");
    },
  };
}
