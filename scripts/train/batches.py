"""Draws batches. Everything follows from the generator given, and the loops seed
one per step: a resumed run sees exactly the batches of an uninterrupted one."""

import numpy as np
import torch

from text import CLS, MASK, PAD, SEP, SPECIALS

MASK_NOISE = 0.08  # share of tokens shown as [MASK]: removal by [MASK] is then no surprise
HIDE_NOISE = 0.05  # share of keys hidden from attention, in half of the batches: the same
HIDE_BATCHES = 0.5  # for removal by the attention mask
WORD_TARGETS = 0.15  # share of tokens to predict in phase 1


def pack(ids, begin, count):
    """[CLS] ids[begin:begin+count] [SEP] for each row, padded to the longest."""
    width = int(count.max())
    columns = np.arange(width)
    inside = columns < count[:, None]
    picked = ids[np.minimum(begin[:, None] + columns, len(ids) - 1)].astype(np.int64)
    rows = np.full((len(begin), width + 2), PAD, np.int64)
    rows[:, 0] = CLS
    rows[:, 1:-1] = np.where(inside, picked, PAD)
    rows[np.arange(len(begin)), count + 1] = SEP
    return rows


def draw_windows(corpus, length, tokens, rng, labelled):
    """(rows, labels) of windows of long texts, each inside one text. A share `labelled` of
    them is drawn from the texts with a label; the others, from all texts, have label -1."""
    ids, starts, labels = corpus
    n = max(tokens // length, 1)
    sizes = np.diff(starts)
    wanted = rng.random(n) < labelled if (labels >= 0).any() else np.zeros(n, bool)
    begin = np.empty(n, np.int64)
    for flag, pool in ((True, np.flatnonzero(labels >= 0)), (False, np.arange(len(labels)))):
        here = np.flatnonzero(wanted == flag)
        if len(here):
            ends = np.cumsum(sizes[pool])  # texts in proportion to their length
            at = rng.integers(0, ends[-1], len(here))
            which = np.searchsorted(ends, at, "right")
            begin[here] = starts[pool[which]] + at - (ends[which] - sizes[pool[which]])
    text = np.searchsorted(starts, begin, "right") - 1
    body = length - 2
    begin = np.maximum(np.minimum(begin, starts[text + 1] - body), starts[text])
    rows = pack(ids, begin, np.minimum(body, starts[text + 1] - begin))
    return rows, np.where(wanted, labels[text], -1)


def phrase_order(corpus, full):
    """Phrases by length, and how often each is drawn: in proportion to its length
    up to `full` pieces, because what matters is whole sentences."""
    size = np.diff(corpus[1])
    order = np.argsort(size, kind="stable")
    weight = np.minimum(size[order], full).astype(float)
    return order, np.cumsum(weight) / weight.sum()


def draw_phrases(corpora, order, tokens, rng, reach=1500):
    """Phrases of about one length, so that hardly anything is padding."""
    by_length, share = order
    middle = int(np.searchsorted(share, rng.random()))
    low, high = max(middle - reach, 0), min(middle + reach, len(by_length))
    size = np.diff(corpora["sst"][1])
    n = max(tokens // int(size[by_length[middle]] + 2), 8)
    chosen = by_length[rng.integers(low, high, n)]
    ids, starts, labels = corpora["sst" if rng.random() < 0.5 else "sst_plain"]
    return pack(ids, starts[chosen], starts[chosen + 1] - starts[chosen]), labels[chosen]


def hide_keys(rows, rng):
    """Which keys attention may read: no padding and, at times, not all others."""
    visible = rows != PAD
    if rng.random() < HIDE_BATCHES:
        visible &= (rng.random(rows.shape) >= HIDE_NOISE) | (rows < len(SPECIALS))
    return visible


def mask_noise(rows, rng, rate=MASK_NOISE):
    """Some tokens as [MASK]."""
    hit = (rng.random(rows.shape) < rate) & (rows >= len(SPECIALS))
    return np.where(hit, MASK, rows)


def word_puzzle(rows, size, rng):
    """The masked-language-model task: rows with gaps, and which cells to predict.
    Of the targets 80 % show [MASK], 10 % a random piece, 10 % themselves."""
    target = (rng.random(rows.shape) < WORD_TARGETS) & (rows >= len(SPECIALS))
    kind = rng.random(rows.shape)
    random_piece = rng.integers(len(SPECIALS), size, rows.shape)
    shown = np.where(target & (kind < 0.8), MASK, rows)
    return np.where(target & (kind >= 0.9), random_piece, shown), target


def to_device(device, *arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays]
