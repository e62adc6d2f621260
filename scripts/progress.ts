// Shows how far long work is: a bar on a terminal, a plain line every two seconds elsewhere, nothing for short work.
import { type Options, SingleBar } from "cli-progress";

/** Work of at most this many milliseconds shows nothing. */
const SHORT = 2000;
/** Before this many milliseconds the rest cannot be guessed. */
const GUESS = 250;

/** `done` of `total`; calls with another label begin new work. */
export type Report = (label: string, done: number, total: number) => void;

export interface Progress {
  readonly report: Report;
  /** Takes the bar off the screen; to be called before anything else is printed. */
  clear(): void;
}

export interface ProgressOptions {
  readonly stream: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** Plain lines where the stream is no terminal. */
  readonly lines: boolean;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** Reports come from between long computations, so nothing here waits for a timer. */
export function createProgress(options: ProgressOptions): Progress {
  const { stream, lines, now = () => performance.now() } = options;
  let label: string | undefined;
  let begin = 0;
  let lastLine = 0;
  let bar: SingleBar | undefined;

  function clear(): void {
    bar?.stop();
    bar = undefined;
  }

  function report(next: string, done: number, total: number): void {
    const time = now();
    if (next !== label) {
      clear();
      label = next;
      begin = time;
      lastLine = time;
    }
    if (stream.isTTY) {
      const elapsed = time - begin;
      const expected = done > 0 ? (elapsed * total) / done : Infinity;
      if (bar === undefined && (elapsed < GUESS || expected < SHORT)) return;
      const left = done > 0 ? `${Math.ceil((expected - elapsed) / 1000)} s left` : "";
      if (bar === undefined) {
        bar = new SingleBar(barOptions(stream));
        bar.start(total, done, { label, left });
      } else {
        bar.update(done, { label, left });
      }
    } else if (lines && time - lastLine >= SHORT) {
      lastLine = time;
      stream.write(`${label} ${Math.floor(done)}/${total}\n`);
    }
    if (done >= total) {
      clear();
      label = undefined;
    }
  }

  return { report, clear };
}

/** Leaves the cursor and the terminal's line wrapping alone, so that an interrupt has nothing to restore. */
function barOptions(stream: ProgressOptions["stream"]): Options {
  return {
    stream,
    linewrap: true,
    format: "{label} {bar} {value}/{total}  {left}",
    formatValue: (value, _, kind) => String(kind === "value" ? Math.floor(value) : value),
    barCompleteChar: "━",
    barIncompleteChar: "┈",
    barsize: Math.max(4, Math.min(28, (stream.columns || 80) - 50)),
    clearOnComplete: true,
  };
}
