// Numbers as people read them. Knows no terminal.

/** Two digits; never "-0.00". */
export function decimals(value: number, digits = 2): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** Digits after the point that show a row whose largest number is `largest` to about three figures. */
export function digitsFor(largest: number): number | undefined {
  if (largest >= 0.1 || largest === 0) return largest >= 100 ? 0 : largest >= 10 ? 1 : 2;
  return largest >= 1e-4 ? 1 - Math.floor(Math.log10(largest)) : undefined;
}

/** With its sign in front, or a space where it rounds to zero, so that the signs of a column line up. */
export function signed(value: number, largest: number): string {
  const digits = digitsFor(largest);
  const text = digits === undefined ? value.toExponential(1) : decimals(value, digits);
  const sign = Number(text) === 0 ? " " : value > 0 ? "+" : "";
  return sign + text;
}

/** As `signed`, without a sign. */
export function size(value: number): string {
  const digits = digitsFor(Math.abs(value));
  return digits === undefined ? value.toExponential(1) : decimals(value, digits);
}

export function percent(share: number, digits = 0): string {
  return `${decimals(100 * share, digits)} %`;
}

export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of up to `cells` characters for a share of 0 to 1. */
export function bar(share: number, cells: number): string {
  const filled = Math.round(Math.min(Math.max(share, 0), 1) * cells * 8);
  return "█".repeat(Math.floor(filled / 8)) + (eighths[filled % 8] ?? "");
}
