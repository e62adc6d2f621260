"""Writes reference values for other implementations: piece ids and logits of dev
sentences, computed in float64 from an exported model.

    python3 golden.py --model public/models/sst2 --data DIR --out golden.json
"""

import argparse
import json

import torch

from data import read_sst, to_plain
from export import load
from text import CLS, SEP

EXTRA = [
    "",
    "Café Müller isn't half bad!",
    "日本 naïve\tfilm…",
    "It's NOT good — it's GREAT.",
    "supercalifragilisticexpialidocious 🙂 ok",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="the exported folder")
    parser.add_argument("--data", required=True, help="the folder with sst2/dev.tsv")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--count", type=int, default=20, help="how many dev sentences")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, encode, _ = load(args.model, torch.float64)
    rows = read_sst(args.data, "dev")
    texts = [to_plain(t) if i % 2 else t for i, (t, _) in enumerate(rows[: args.count])] + EXTRA
    items = []
    for text in texts:
        ids = [CLS, *encode(text), SEP]
        x = torch.tensor([ids])
        with torch.no_grad():
            logits = model(x, torch.ones_like(x, dtype=torch.bool))[0].tolist()
        items.append({"text": text, "ids": ids, "logits": logits})
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump({"computed": "float64 from the stored weights", "items": items}, out,
                  ensure_ascii=False, indent=1)
    print(f"{len(items)} texts -> {args.out}")


if __name__ == "__main__":
    main()
