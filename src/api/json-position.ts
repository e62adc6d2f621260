// Where a text stops being JSON. The engine's own message quotes the text and often gives no position.

type Expected = "value" | "value or ]" | "key or }" | "key" | ":" | ", or }" | ", or ]" | "end";

const SPACE = new Set([" ", "\t", "\n", "\r"]);
const LITERAL = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** UTF-16 offset of the first character that no JSON text could have there, or the length where it just ends. */
export function jsonErrorPosition(text: string): number {
  const open: ("{" | "[")[] = [];
  let expected: Expected = "value";
  const afterValue = (): Expected =>
    open.length === 0 ? "end" : open.at(-1) === "{" ? ", or }" : ", or ]";

  for (let at = 0; at < text.length;) {
    const character = text[at] ?? "";
    if (SPACE.has(character)) {
      at++;
      continue;
    }
    const isValue = expected === "value" || expected === "value or ]";
    const isKey: boolean = expected === "key" || expected === "key or }";
    if (character === '"' && (isValue || isKey)) {
      const end = stringEnd(text, at);
      if (!end.closed) return end.at;
      at = end.at;
      expected = isKey ? ":" : afterValue();
    } else if (isValue && (character === "{" || character === "[")) {
      open.push(character);
      at++;
      expected = character === "{" ? "key or }" : "value or ]";
    } else if (expected.endsWith(character) && (character === "}" || character === "]")) {
      open.pop();
      at++;
      expected = afterValue();
    } else if (expected === ":" && character === ":") {
      at++;
      expected = "value";
    } else if (expected.startsWith(",") && character === ",") {
      at++;
      expected = expected === ", or }" ? "key" : "value";
    } else {
      const length = isValue ? matchAt(LITERAL, text, at) : 0;
      if (length === 0) return at;
      at += length;
      expected = afterValue();
    }
  }
  return text.length;
}

/** One past the closing quote of the string that opens at `start`, or the offset of what may not stand in a string. */
function stringEnd(text: string, start: number): { readonly at: number; readonly closed: boolean } {
  let at = start + 1;
  while (at < text.length) {
    const character = text[at] ?? "";
    if (character === '"') return { at: at + 1, closed: true };
    if (character < " ") return { at, closed: false };
    const length = character === "\\" ? matchAt(ESCAPE, text, at) : 1;
    if (length === 0) return { at, closed: false };
    at += length;
  }
  return { at, closed: false };
}

function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
