"""The model card: README.md of the exported folder."""

from pathlib import Path

TEMPLATE = """# plumbline-sst2: a small sentiment model for English film reviews

Plumbline's built-in example. It reads one English sentence or paragraph and says whether its
mood is negative or positive. It is **small** ({parameters} million parameters, {size} MB) and
was trained from scratch, without a pretrained language model: good enough to show explanations at
work and to measure them, not good enough to decide anything about people or money. A BERT of
the usual size reaches about 93 % on the same task.

| Sentences | Accuracy |
|---|---|
| SST-2 dev, {dev_count} (used to choose the weights) | **{dev:.1f} %** |
| SST-2 test, {test_count} (measured once, at the end) | **{test:.1f} %** |

Both are measured on the files of this folder, computed in 32-bit floating point. Seed and step
were chosen on the dev sentences: quote the test figure. Its standard error is {error:.1f} points.

## Shape

`BertForSequenceClassification`: {layers} layers, {channels} channels, {heads} heads of 32,
feed-forward {width}, exact GELU, post-LayerNorm, up to {positions} tokens, weights stored as F16.
Vocabulary: {vocabulary} lower-case word pieces. Labels: 0 negative, 1 positive. Files follow the
Hugging Face layout (`config.json`, `tokenizer.json`, `tokenizer_config.json`, `vocab.txt`,
`model.safetensors`). Both rows of the token-type table are equal: the model knows single texts
only.

## Training

```
python3 scripts/train/train.py --preset {preset} --data DIR --work DIR --out public/models/sst2
```

Seed {seed}, {minutes} minutes in all {hardware}.

{phases}

## Data and licences

- **SST-2**: Stanford Sentiment Treebank (Socher et al. 2013) in the form of GLUE (Wang et al.
  2018), {sst_count} training phrases from film reviews. Published for research; the sentences
  come from Rotten Tomatoes.
- **IMDB reviews** (Maas et al. 2011): the 25,000 labelled training reviews and the 50,000
  unlabelled ones. Published for research; the reviews belong to their authors.
{prose}
None of their text is in this folder, apart from word pieces. No test split was used in training.

## Use and limits

- Meant for demonstrations, tests and studies of explanation methods on English film reviews.
- Other domains, other languages, irony, comparisons and long arguments are beyond it. Negation
  works in common patterns and fails in rare ones.
- It always answers positive or negative: there is no neutral. Its confidence is not calibrated
  outside film reviews.
- It learned from what reviewers wrote and repeats their prejudices: a name, a country or a group
  may shift the score for no good reason.
- Tokens replaced by `[MASK]` or hidden from attention occurred in training ({mask} % and up to
  {hide} % of tokens), so that removal-based explanations stay near what the model knows.
"""

PROSE = "- **Project Gutenberg** prose, public domain, for the masked-word task only.\n"


def write_card(folder, figures):
    (Path(folder) / "README.md").write_text(TEMPLATE.format(**figures), "utf-8")
