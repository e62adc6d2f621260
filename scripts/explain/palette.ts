// A score's colour: blue against, orange for, which eyes with any colour vision tell apart. Knows no terminal.

export type Colour = readonly [red: number, green: number, blue: number];

// Ends and middles of ColorBrewer's RdBu (blue half) and PuOr (orange half), both safe for colour-blind eyes.
const neutral: Colour = [236, 236, 234];
const against: readonly Colour[] = [neutral, [146, 197, 222], [33, 102, 172]];
const inFavour: readonly Colour[] = [neutral, [253, 184, 99], [217, 91, 0]];

/** The same scale among the 256 colours that every terminal has, from against to for; neutral in the middle. */
const indexed: readonly IndexedColour[] = [
  { index: 25, colour: [0, 95, 175] },
  { index: 68, colour: [95, 135, 215] },
  { index: 110, colour: [135, 175, 215] },
  { index: 153, colour: [175, 215, 255] },
  { index: 255, colour: [238, 238, 238] },
  { index: 223, colour: [255, 215, 175] },
  { index: 215, colour: [255, 175, 95] },
  { index: 208, colour: [255, 135, 0] },
  { index: 166, colour: [215, 95, 0] },
];

export interface IndexedColour {
  readonly index: number;
  readonly colour: Colour;
}

const black: Colour = [0, 0, 0];
const white: Colour = [255, 255, 255];

/** Background of a score as a share of the largest, -1 to 1; what lies outside takes the end's colour. */
export function fillOf(share: number): Colour {
  const stops = share < 0 ? against : inFavour;
  const place = Math.min(Math.abs(share), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  return mix(stops[below] ?? neutral, stops[below + 1] ?? neutral, place - below);
}

/** As `fillOf`, in one of 256 colours. */
export function indexedFillOf(share: number): IndexedColour {
  const middle = (indexed.length - 1) / 2;
  const clipped = Math.max(-1, Math.min(share, 1));
  return indexed[Math.round(middle + clipped * middle)] ?? indexed[middle]!;
}

/** Black or white, whichever can be read better on `fill`; always a contrast of at least 4.5. */
export function inkOn(fill: Colour): Colour {
  return contrast(black, fill) >= contrast(white, fill) ? black : white;
}

/** Contrast ratio of WCAG 2.2, 1 to 21. */
export function contrast(a: Colour, b: Colour): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: Colour): number {
  const [red = 0, green = 0, blue = 0] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function mix(from: Colour, to: Colour, share: number): Colour {
  const between = (index: 0 | 1 | 2) => Math.round(from[index] + (to[index] - from[index]) * share);
  return [between(0), between(1), between(2)];
}
