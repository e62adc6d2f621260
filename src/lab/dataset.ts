// A data set as texts with labels, from tab-separated or JSON lines. Knows no model and no file system.

export interface Example {
  readonly text: string;
  /** As written in the file: an index or a label; absent where the file has none. */
  readonly label: string | undefined;
}

/**
 * `tsv`: a header line with a column `sentence` or `text` and maybe `label`. `jsonl`: objects with `text` (or `sentence`)
 * and maybe `label`. Throws with the line's number for a line that is neither.
 */
export function parseDataset(content: string, format: "tsv" | "jsonl"): Example[] {
  const lines = content.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return format === "tsv" ? fromTsv(lines) : lines.map(fromJson);
}

function fromTsv([header = "", ...lines]: readonly string[]): Example[] {
  const columns = header.split("\t");
  const text = columns.findIndex((column) => column === "sentence" || column === "text");
  const label = columns.indexOf("label");
  if (text < 0) throw new Error(`dataset: no column sentence or text in the header: ${header}`);
  return lines.map((line, index) => {
    const cells = line.split("\t");
    const found = cells[text];
    if (cells.length !== columns.length || found === undefined) {
      throw new Error(
        `dataset: line ${index + 2} has ${cells.length} columns, the header ${columns.length}`,
      );
    }
    return { text: found.trim(), label: label < 0 ? undefined : cells[label] };
  });
}

function fromJson(line: string, index: number): Example {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line) as Record<string, unknown>;
  } catch (cause) {
    throw new Error(`dataset: line ${index + 1} is not JSON`, { cause });
  }
  const text = record?.text ?? record?.sentence;
  if (typeof text !== "string") throw new Error(`dataset: line ${index + 1} has no text`);
  const { label } = record;
  return {
    text: text.trim(),
    label: label === undefined || label === null ? undefined : String(label),
  };
}
