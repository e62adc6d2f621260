"""Trains a WordPiece vocabulary from word counts."""

import heapq
from collections import Counter, defaultdict

from text import SPECIALS


def train_wordpiece(counts, size, min_word=3, min_char=200):
    """The `size` pieces found by joining the most frequent neighbours again and
    again, as the Hugging Face trainer does. Ties go to the smaller pair of
    strings, so the result depends on the counts only."""
    counts = {w: n for w, n in counts.items() if n >= min_word and len(w) <= 40}
    chars = Counter()
    for word, n in counts.items():
        for char in word:
            chars[char] += n
    alphabet = {c for c, n in chars.items() if n >= min_char or c.isascii()}
    pieces = list(SPECIALS) + sorted(alphabet) + ["##" + c for c in sorted(alphabet) if c.isalnum()]

    kept = sorted((w, n) for w, n in counts.items() if set(w) <= alphabet)
    split = [[w[0]] + ["##" + c for c in w[1:]] for w, _ in kept]
    weight = [n for _, n in kept]
    pair_count, where = Counter(), defaultdict(set)
    for i, parts in enumerate(split):
        for pair in zip(parts, parts[1:]):
            pair_count[pair] += weight[i]
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)

    seen = set(pieces)
    while len(pieces) < size and heap:
        n, pair = heapq.heappop(heap)
        if -n != pair_count[pair]:
            continue  # an outdated entry: the current one is in the heap as well
        joined = pair[0] + pair[1][2:]
        if joined not in seen:
            seen.add(joined)
            pieces.append(joined)
        changed = set()
        for i in where.pop(pair):
            changed |= _join(split, i, pair, joined, weight[i], pair_count, where)
        pair_count.pop(pair, None)
        for other in changed:
            if pair_count[other] > 0:
                heapq.heappush(heap, (-pair_count[other], other))
    return {piece: i for i, piece in enumerate(pieces)}


def _join(split, i, pair, joined, n, pair_count, where):
    """Joins `pair` in word i; returns the pairs whose counts changed."""
    before, after, k = split[i], [], 0
    while k < len(before):
        if k + 1 < len(before) and (before[k], before[k + 1]) == pair:
            after.append(joined)
            k += 2
        else:
            after.append(before[k])
            k += 1
    split[i] = after
    old, new = list(zip(before, before[1:])), list(zip(after, after[1:]))
    for p in old:
        pair_count[p] -= n
    for p in new:
        pair_count[p] += n
        where[p].add(i)
    return (set(old) | set(new)) - {pair}
