#!/usr/bin/env python3
"""Trains Plumbline's built-in sentiment model and writes it as a Hugging Face folder.

example:
  python3 scripts/train/train.py --preset cpu --data DIR --work WORK \\
      --out public/models/sst2

--data holds
  sst2/train.tsv, dev.tsv, test.tsv   a header, then sentence<TAB>label (0 or 1)
  imdb/train.jsonl.xz                 one {"text": ..., "label": 0 or 1} per line
  imdb/unsup.txt.xz                   one review per line
  gutenberg-prose.txt.xz              one paragraph per line (preset gpu only)

Phases: vocabulary, word vectors, phase 1 (masked words and review mood), phase 2
(SST-2), evaluation, export. Each leaves a file in --work and is skipped when that
file is there: after a kill, give the same command again and at most a minute is
lost. Give a new --work to start over.
"""

import argparse
import io
import os
import time
from pathlib import Path

THREADS = os.environ.get("OMP_NUM_THREADS", "1")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when numpy is loaded
    os.environ.setdefault(name, THREADS)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from card import PROSE, write_card  # noqa: E402
from data import build_vocabulary, load_corpora, read_sst, write_whole  # noqa: E402
from evaluate import measure  # noqa: E402
from export import export  # noqa: E402
from finetune import finetune  # noqa: E402
from loop import log  # noqa: E402
from model import Classifier, Heads, start_weights  # noqa: E402
from presets import PRESETS, bert_config  # noqa: E402
from pretrain import pretrain  # noqa: E402
from vectors import word_vectors  # noqa: E402


def read_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu", choices=sorted(PRESETS),
                        help="cpu: 6 x 128, ten minutes on one thread; gpu: 6 x 256 and 1e9 "
                        "tokens; smoke: the whole way with a few steps, to see that it works")
    parser.add_argument("--data", required=True, help="the folder with the corpora, only read")
    parser.add_argument("--work", required=True, help="folder for vocabulary, ids and checkpoints")
    parser.add_argument("--out", required=True, help="folder of the exported model")
    parser.add_argument("--seed", type=int, default=7, help="seed of everything drawn (default 7)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--no-test", action="store_true",
                        help="leave the test split unread and write no model card: for comparing "
                        "recipes, which must not look at it")
    return parser.parse_args()


def check_speed():
    """Says so when the matrix library is the slow reference one."""
    a = torch.ones(1024, 256)
    b = torch.ones(256, 256)
    a @ b
    began = time.time()
    for _ in range(5):
        a @ b
    speed = 5 * 2 * 1024 * 256 * 256 / (time.time() - began) / 1e9
    log(f"matrix products on the CPU: {speed:.0f} GFLOP/s")
    if speed < 10:
        log("that is slow; OpenBLAS is 20 times faster: apt-get install libopenblas0-pthread")


def prepare_vectors(preset, corpora, path):
    if not preset["svd"]:
        return None
    if not path.exists():
        ids = np.concatenate([corpora["reviews"][0], corpora["sst"][0]])
        vectors = word_vectors(ids, preset["vocabulary"], preset["channels"])
        file = io.BytesIO()
        np.save(file, vectors)
        write_whole(path, file.getvalue())
    return np.load(path)


def main():
    args = read_arguments()
    preset = PRESETS[args.preset]
    config = bert_config(preset)
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if args.device == "auto" else args.device)
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(THREADS))
    np.finfo(np.float32), np.finfo(np.float64)  # before denormals go, else numpy warns
    torch.set_flush_denormal(True)
    log(f"preset {args.preset}, device {device}, seed {args.seed}, torch {torch.__version__}")
    check_speed()
    began = time.time()

    log("vocabulary")
    vocabulary = build_vocabulary(args.data, preset["vocabulary"], work / "vocabulary.json")
    log("corpora as piece ids")
    corpora = load_corpora(args.data, vocabulary, work, preset["prose"])
    log("word vectors")
    vectors = prepare_vectors(preset, corpora, work / f"vectors-{preset['channels']}.npy")
    clock = work / f"{args.preset}.prepared"  # seconds, kept for the card of a resumed run
    if not clock.exists():
        write_whole(clock, f"{time.time() - began:.0f}".encode())
    prepared = float(clock.read_text())

    model, heads = Classifier(config), Heads(config)
    counts = np.bincount(corpora["reviews"][0], minlength=preset["vocabulary"])
    start_weights(model, heads, vectors, counts, args.seed)
    model.to(device), heads.to(device)
    kept = [work / f"{args.preset}.{phase}.pt" for phase in (1, 2)]
    first = 0.0
    if preset["pretrain"]["steps"]:
        first = pretrain(model, heads, corpora, preset, args.seed, kept[0], device)
    best, second = finetune(model, corpora, preset, args.seed, kept[1], device)
    log(f"chosen: step {best['step']} with dev accuracy {best['accuracy']:.4f}")

    export(args.out, config, vocabulary, best["weights"])
    if not args.no_test:
        write_figures(args, preset, config, device, [prepared, first, second], best)


def write_figures(args, preset, config, device, seconds, best):
    """Measures the exported files and writes the model card."""
    dev, dev_count = measure(args.out, args.data, "dev")
    test, test_count = measure(args.out, args.data, "test")
    log(f"exported model: dev {dev:.4f}, test {test:.4f}")
    parameters = sum(v.numel() for v in best["weights"].values())
    one, two = preset["pretrain"], preset["finetune"]
    phases = describe(preset, one, two, seconds, best)
    write_card(args.out, {
        "parameters": f"{parameters / 1e6:.1f}",
        "size": f"{(Path(args.out) / 'model.safetensors').stat().st_size / 1e6:.1f}",
        "dev": 100 * dev, "test": 100 * test, "dev_count": dev_count, "test_count": test_count,
        "error": 100 * (test * (1 - test) / test_count) ** 0.5,
        "layers": preset["layers"], "channels": preset["channels"], "width": preset["width"],
        "heads": config["num_attention_heads"], "positions": preset["positions"],
        "vocabulary": f"{preset['vocabulary']:,}", "preset": args.preset, "seed": args.seed,
        "minutes": f"{sum(seconds) / 60:.0f}", "phases": phases,
        "hardware": "on one GPU" if device.type == "cuda" else "on one CPU thread",
        "sst_count": f"{len(read_sst(args.data, 'train')):,}",
        "prose": PROSE if preset["prose"] else "",
        "mask": 8, "hide": 5,
    })


def describe(preset, one, two, seconds, best):
    """The training in words, for the card."""
    told = []
    if preset["svd"]:
        told.append("Word vectors start from counts: a singular value decomposition of near and "
                    "far neighbours in the reviews.")
    if one["steps"]:
        told.append(f"Phase 1, {one['steps']:,} steps of about {one['tokens']:,} tokens "
                    f"({seconds[1] / 60:.0f} minutes): masked words in review windows and SST-2 "
                    "phrases, and the mood of both.")
    name = "Phase 2" if one["steps"] else "Then"
    told.append(f"{name}, {two['steps']:,} steps of about {two['tokens']:,} tokens "
                f"({seconds[2] / 60:.0f} minutes): SST-2 phrases, long ones more often, and "
                f"{two['reviews']:.0%} windows of labelled reviews. AdamW, peak "
                f"rate {two['lr']:g}, dropout {two['dropout']}. The weights are a running average; those of step "
                f"{best['step']:,} did best on the dev sentences.")
    return "\n".join(f"- {line}" for line in told)


if __name__ == "__main__":
    main()
