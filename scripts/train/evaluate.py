"""Measures an exported model: reads its folder again and nothing of the training.

    python3 evaluate.py --model public/models/sst2 --split dev --data DIR
"""

import argparse

import torch

from data import encode_texts, read_sst
from export import load
from finetune import assess


def measure(folder, data, split):
    """(accuracy, sentences)"""
    model, encode, _ = load(folder)
    corpus = encode_texts(read_sst(data, split), encode)
    return assess(model, corpus, torch.device("cpu"))[0], len(corpus[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="the exported folder")
    parser.add_argument("--split", default="dev", choices=["dev", "test"])
    parser.add_argument("--data", required=True, help="the folder with sst2/*.tsv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    right, count = measure(args.model, args.data, args.split)
    print(f"{args.split}: {right:.4f} of {count} sentences")


if __name__ == "__main__":
    main()
