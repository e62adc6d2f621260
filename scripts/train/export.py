"""Writes the model as a Hugging Face folder and reads such a folder back."""

import json
from pathlib import Path

import numpy as np
import torch

import safetensors
from model import Classifier
from text import CLS, MASK, PAD, SEP, SPECIALS, UNK, make_encoder


def tokenizer_json(vocabulary):
    def special(i):
        return {"id": i, "content": SPECIALS[i], "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True}

    def mark(token, kind):
        return {"SpecialToken": {"id": SPECIALS[token], "type_id": kind}}

    def text(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}

    def entry(i):
        return {"id": SPECIALS[i], "ids": [i], "tokens": [SPECIALS[i]]}

    single = [mark(CLS, 0), text("A", 0), mark(SEP, 0)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(i) for i in (PAD, UNK, CLS, SEP, MASK)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True,
                       "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, text("B", 1), mark(SEP, 1)],
            "special_tokens": {SPECIALS[i]: entry(i) for i in (CLS, SEP)},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": SPECIALS[UNK],
                  "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": vocabulary},
    }


def tokenizer_config(positions):
    names = {f"{key}_token": SPECIALS[i]
             for key, i in [("cls", CLS), ("mask", MASK), ("pad", PAD), ("sep", SEP), ("unk", UNK)]}
    return {"clean_up_tokenization_spaces": True, "do_basic_tokenize": True,
            "do_lower_case": True, "model_max_length": positions, "never_split": None,
            "strip_accents": None, "tokenize_chinese_chars": True,
            "tokenizer_class": "BertTokenizer", **names}


def write_json(path, value, indent=2):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", "utf-8")


def export(folder, config, vocabulary, weights):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer.json", tokenizer_json(vocabulary), indent=1)
    positions = config["max_position_embeddings"]
    write_json(folder / "tokenizer_config.json", tokenizer_config(positions))
    pieces = sorted(vocabulary, key=vocabulary.get)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    arrays = {name: value.float().numpy().copy() for name, value in weights.items()}
    # Training never sees a second text: give it the first one's type vector.
    types = arrays["bert.embeddings.token_type_embeddings.weight"]
    types[1] = types[0]
    safetensors.write(folder / "model.safetensors", arrays)


def load(folder, dtype=torch.float32):
    """(model, encode, config) from an exported folder, and nothing else."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    weights = safetensors.read(folder / "model.safetensors")
    model = Classifier(config)
    model.load_state_dict({k: torch.from_numpy(v.astype(np.float32)) for k, v in weights.items()})
    return model.to(dtype).eval(), make_encoder(vocabulary), config
