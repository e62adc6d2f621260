"""Reads the corpora and keeps them as piece ids in the work folder."""

import io
import json
import lzma
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from text import make_encoder, words
from vocab import train_wordpiece

# SST-2 is Penn Treebank text ("does n't", "-lrb-"). People write "doesn't" and
# "(". Each training text is seen in both spellings, so both work.
_TREEBANK = [("ca n't", "can't"), ("wo n't", "won't"), (" n't", "n't"), ("-lrb-", "("),
             ("-rrb-", ")"), ("``", '"'), ("''", '"')]
_CONTRACTION = re.compile(r"(\w)n't\b", re.IGNORECASE)
SST_WEIGHT = 16  # one SST-2 word counts like this many IMDB words in the vocabulary


def to_plain(text):
    for old, new in _TREEBANK:
        text = text.replace(old, new)
    return text


def to_treebank(text):
    return _CONTRACTION.sub(r"\1 n't", text)


def read_sst(data, split):
    """[(sentence, label)] of one SST-2 split."""
    lines = (Path(data) / "sst2" / f"{split}.tsv").read_text("utf-8").split("\n")[1:]
    rows = (line.rsplit("\t", 1) for line in lines if line)
    return [(sentence.strip(), int(label)) for sentence, label in rows]


def read_reviews(data):
    """Yields (text, label); label -1 where the review has none. Train and
    unlabelled reviews only: the IMDB test split is never opened."""
    folder = Path(data) / "imdb"
    with lzma.open(folder / "train.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["text"], int(row["label"])
    with lzma.open(folder / "unsup.txt.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line, -1


def read_prose(data, lines_per_text=30):
    """Public-domain prose, paragraphs joined so that windows rarely need padding."""
    with lzma.open(Path(data) / "gutenberg-prose.txt.xz", "rt", encoding="utf-8") as lines:
        batch = []
        for line in lines:
            batch.append(line)
            if len(batch) == lines_per_text:
                yield " ".join(batch), -1
                batch = []


def write_whole(path, content):
    """Whole or not at all: a kill while writing leaves no half file behind."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def build_vocabulary(data, size, path):
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    counts = Counter()
    for text, _ in read_reviews(data):
        counts.update(words(text))
    for text, _ in read_sst(data, "train"):
        for word in words(to_plain(text)) + words(text):
            counts[word] += SST_WEIGHT // 2
    vocabulary = train_wordpiece(counts, size)
    write_whole(path, json.dumps(vocabulary, ensure_ascii=False).encode())
    return vocabulary


def encode_texts(texts, encode):
    """(ids of all texts one after the other, where each begins, labels)."""
    ids, starts, labels = [], [0], []
    for text, label in texts:
        part = np.array(encode(text), np.uint16)
        ids.append(part)
        starts.append(starts[-1] + len(part))
        labels.append(label)
    return np.concatenate(ids), np.array(starts, np.int64), np.array(labels, np.int64)


def _both_spellings(texts):
    for i, (text, label) in enumerate(texts):
        yield (to_treebank(text) if i % 2 else text), label


def load_corpora(data, vocabulary, work, prose):
    """{"reviews", "sst", "sst_plain", "dev"} as encode_texts gives them."""
    path = Path(work) / ("corpora-prose.npz" if prose else "corpora.npz")
    if not path.exists():
        encode = make_encoder(vocabulary)
        train = read_sst(data, "train")
        parts = {
            "reviews": encode_texts(_both_spellings(read_reviews(data)), encode),
            "sst": encode_texts(train, encode),
            "sst_plain": encode_texts([(to_plain(t), y) for t, y in train], encode),
            "dev": encode_texts(read_sst(data, "dev"), encode),
        }
        if prose:
            parts["prose"] = encode_texts(read_prose(data), encode)
        flat = {f"{k}.{i}": a for k, arrays in parts.items() for i, a in enumerate(arrays)}
        file = io.BytesIO()
        np.savez(file, **flat)
        write_whole(path, file.getvalue())
    flat = np.load(path)
    names = {key.split(".")[0] for key in flat.files}
    return {name: tuple(flat[f"{name}.{i}"] for i in range(3)) for name in sorted(names)}
