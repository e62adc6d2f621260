// The command line: `npm run convert -- FOLDER --to FOLDER`. The work is done in convert/folder.ts.
import { runFolderCommand } from "./convert/command.ts";
import { convertFolder } from "./convert/folder.ts";

const description = `Converts a Hugging Face folder whose weights are a PyTorch pytorch_model.bin (PyTorch 1.6 or
later, one file or several with an index) into a folder with model.safetensors, which the
explainer reads.

Example:
  npm run convert -- ~/models/my-bert --to ~/models/my-bert-safetensors
  npm run explain -- "an oddly charming film" --checkpoint ~/models/my-bert-safetensors
`;

const details = `
A .bin is a Python pickle, which can hold any program. None is run here: only tensors are read,
and a file that asks for anything else is refused.

F32, F16 and BF16 stay what they are, F64 becomes F32, integer tensors such as position_ids are
left out. Every weight that the model needs is checked by name and shape, and the result is read
back before it takes its name: after an error or an interrupt nothing stays behind.

No weight file has more than 25 MiB where tensors allow it, so that Cloudflare can serve them as
assets; several have a model.safetensors.index.json.

Taken over as they are: config.json, tokenizer.json, tokenizer_config.json, vocab.txt and
special_tokens_map.json.

Exit status: 0 converted, 1 not converted, 2 wrong usage, 130 interrupted.`;

await runFolderCommand({
  name: "convert",
  folder: "config.json, pytorch_model.bin, and the tokenizer's files",
  description,
  details,
  run: convertFolder,
  lines: () => [],
});
