// The command line: `npm run quantize -- FOLDER --to FOLDER`. The work is done in quantize/folder.ts.
import { runFolderCommand } from "./convert/command.ts";
import { type Quantised, quantizeFolder } from "./quantize/folder.ts";

const description = `Writes a Hugging Face folder with model.safetensors again with int8 weights: a quarter of the memory
of float32, and faster. Explanations are then those of the quantised model, leave-one-out too.

Example:
  npm run quantize -- ~/models/my-bert --to ~/models/my-bert-int8
  npm run explain -- "an oddly charming film" --checkpoint ~/models/my-bert-int8
`;

const details = `
Every linear weight and the word embedding become int8 with one float32 scale per row, the row's
largest weight over 127; in the file a matrix X stays X, and its scales are X_scale. Biases, norms
and the other embeddings stay what they are. What the model does not need is left out.

Activations are not quantised in the file: products take them in 16 bits, row by row. How far the
answers move depends on the model. Explain the same text with both folders and compare.

The result is read back before it takes its name: after an error or an interrupt nothing stays
behind. No weight file has more than 25 MiB where tensors allow it, so that Cloudflare can serve
them as assets. Taken over as they are: config.json and the tokenizer's files.

Exit status: 0 quantised, 1 not quantised, 2 wrong usage, 130 interrupted.`;

function lines({ bytes, bytesBefore, errors }: Quantised): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  const [worst] = errors.toSorted((a, b) => b.rms - a.rms);
  const largest = Math.max(...errors.map((error) => error.largest));
  const ratio = (bytesBefore / bytes).toFixed(2);
  return [
    `${bytesBefore.toLocaleString("en")} bytes before, ${ratio} times as many`,
    `${errors.length} tensors are int8; the largest error is ${percent(largest)} of a tensor's largest weight`,
    `largest rms error, relative to that of the weights: ${percent(worst!.rms)}, in ${worst!.tensor}`,
  ];
}

await runFolderCommand({
  name: "quantize",
  folder: "config.json, model.safetensors (or shards), and the tokenizer's files",
  description,
  details,
  run: quantizeFolder,
  lines,
});
