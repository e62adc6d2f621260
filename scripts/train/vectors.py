"""First word vectors from counts: PPMI matrices and a truncated SVD.

A few minutes on one core are too little for a masked language model to learn
word meaning. Counting neighbours gives it at once. Half of the channels come
from near neighbours (syntax), half from far ones (topic and mood: in one review
"dull" meets "awful" more often than "superb").
"""

import numpy as np

from text import SPECIALS

NEAR, FAR = range(1, 5), range(5, 21)


def count_pairs(ids, size, distances):
    """How often two pieces stand at one of the distances, either order."""
    counts = np.zeros(size * size, np.float32)
    wide = ids.astype(np.int64)
    for d in distances:
        counts += np.bincount(wide[:-d] * size + wide[d:], minlength=size * size)
    counts = counts.reshape(size, size)
    return counts + counts.T


def ppmi(counts, smoothing=0.75):
    """Positive pointwise mutual information; smoothing tames rare contexts."""
    rows = counts.sum(1, keepdims=True)
    columns = counts.sum(0, keepdims=True) ** smoothing
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = np.log(counts * columns.sum() / (rows * columns))
    return np.maximum(np.nan_to_num(matrix, nan=0, posinf=0, neginf=0), 0).astype(np.float32)


def truncated_svd(matrix, rank, rng, rounds=4, extra=32):
    """Left singular vectors times sqrt(singular values), by subspace iteration."""
    basis = rng.standard_normal((matrix.shape[1], rank + extra)).astype(np.float32)
    for _ in range(rounds):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    left, values, _ = np.linalg.svd(matrix @ basis, full_matrices=False)
    return left[:, :rank] * np.sqrt(values[:rank])


def unit_rows(matrix):
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-6)


def word_vectors(ids, size, channels, scale=0.1):
    """(size, channels) float32, `scale` the root mean square of a row."""
    rng = np.random.default_rng([1, 1])  # not the run's seed: that varies the training only
    halves = []
    for distances in (NEAR, FAR):
        vectors = truncated_svd(ppmi(count_pairs(ids, size, distances)), channels // 2, rng)
        halves.append(unit_rows(vectors))
    vectors = unit_rows(np.concatenate(halves, 1)) * scale * np.sqrt(channels)
    # Pieces never seen in the text (the specials) start as small noise.
    seen = np.bincount(ids, minlength=size) > 0
    seen[: len(SPECIALS)] = False
    vectors[~seen] = rng.standard_normal((int((~seen).sum()), channels)) * scale / 5
    return vectors.astype(np.float32)
