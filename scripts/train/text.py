"""BERT's text rules: normalise, split into words, split words into pieces.

They mirror what a reader of tokenizer.json does (BertNormalizer,
BertPreTokenizer, WordPiece), so that training and inference see the same ids.
"""

import re
import unicodedata

PAD, UNK, CLS, SEP, MASK = range(5)
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_WORD = 100

_ASCII_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROL = {c: None for c in [*range(32), 127] if c not in (9, 10, 13)}
_CJK = [
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
]


def is_cjk(char):
    return any(low <= ord(char) <= high for low, high in _CJK)


def is_punctuation(char):
    code = ord(char)
    if code < 128:
        return 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return unicodedata.category(char).startswith("P")


def normalise(text):
    """Clean, set CJK characters apart, strip accents, lower-case."""
    out = []
    for char in text:
        if char in "\t\n\r" or char.isspace() and unicodedata.category(char)[0] != "C":
            out.append(" ")
        elif char == "\ufffd" or unicodedata.category(char)[0] == "C":
            continue
        else:
            out.append(f" {char} " if is_cjk(char) else char)
    decomposed = unicodedata.normalize("NFD", "".join(out))
    kept = (c for c in decomposed if unicodedata.category(c) != "Mn")
    # One character at a time: str.lower() alone would apply the final-sigma rule.
    return "".join(c.lower() for c in kept)


def words(text):
    """The words and single punctuation marks of a text."""
    if text.isascii():
        return _ASCII_WORD.findall(text.translate(_ASCII_CONTROL).lower())
    found, word = [], []
    for char in normalise(text) + " ":
        apart = is_punctuation(char)
        if not (apart or char.isspace()):
            word.append(char)
            continue
        if word:
            found.append("".join(word))
            word = []
        if apart:
            found.append(char)
    return found


def split_word(word, vocabulary):
    """Greedy longest match first; one [UNK] when any part is missing."""
    if len(word) > MAX_WORD:
        return [UNK]
    ids, start = [], 0
    while start < len(word):
        end = len(word)
        while end > start:
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                break
            end -= 1
        if end == start:
            return [UNK]
        ids.append(vocabulary[piece])
        start = end
    return ids


def make_encoder(vocabulary):
    """text -> piece ids without specials. Words repeat, so they are remembered."""
    known = {}

    def encode(text):
        ids = []
        for word in words(text):
            if word not in known:
                known[word] = split_word(word, vocabulary)
            ids.extend(known[word])
        return ids

    return encode
