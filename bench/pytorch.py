"""AttnLRP in gradient form (Arras et al. 2025, arXiv 2502.15886) for `npm run bench`, as one would write it in PyTorch.

    pytorch.py FOLDER

FOLDER holds config.json and a float32 model.safetensors. Says what it runs on, then answers each line {"ids": [...]} with
{"scores": [...]}, relevance per token of the predicted class, read at the word embeddings."""

import json
import math
import re
import struct
import sys

import torch
from torch.nn.functional import gelu, linear


def read_tensors(path):
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(raw, dtype=torch.float32, count=(end - begin) // 4, offset=8 + length + begin)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def halve(x):
    """The value of x, half of its gradient."""
    return 0.5 * x + 0.5 * x.detach()


class Bert:
    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors

    def linear(self, x, name):
        return linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def norm(self, x, name):
        # Sigma is a constant, the mean is not.
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.detach().square().mean(-1, keepdim=True)
        normed = centred * torch.rsqrt(variance + self.config["layer_norm_eps"])
        return normed * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def activate(self, x, function):
        # phi(x) / x is a constant.
        held = x.detach()
        return x * (function(held) / held)

    def attention(self, h, name):
        heads = self.config["num_attention_heads"]
        tokens, channels = h.shape
        split = lambda part: self.linear(h, f"{name}.{part}").view(tokens, heads, -1).transpose(0, 1)
        q, k, v = split("query"), split("key"), split("value")
        scores = halve(q @ k.transpose(1, 2)) / math.sqrt(channels // heads)
        return halve(scores.softmax(-1) @ v).transpose(0, 1).reshape(tokens, channels)

    def relevance(self, ids):
        weights = self.tensors
        word = weights["bert.embeddings.word_embeddings.weight"][ids].requires_grad_()
        positions = weights["bert.embeddings.position_embeddings.weight"][: len(ids)]
        types = weights["bert.embeddings.token_type_embeddings.weight"][0]
        h = self.norm(word + positions + types, "bert.embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            name = f"bert.encoder.layer.{layer}"
            attended = self.linear(self.attention(h, f"{name}.attention.self"), f"{name}.attention.output.dense")
            h = self.norm(h + attended, f"{name}.attention.output.LayerNorm")
            inner = self.activate(self.linear(h, f"{name}.intermediate.dense"), gelu)
            h = self.norm(h + self.linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        pooled = self.activate(self.linear(h[:1], "bert.pooler.dense"), torch.tanh)
        logits = self.linear(pooled, "classifier")[0]
        (gradient,) = torch.autograd.grad(logits.max(), word)
        return (gradient * word.detach()).sum(-1).tolist()


def blas():
    """The library that multiplies matrices: it decides the speed, and distributions differ in it."""
    if torch.backends.mkl.is_available():
        return "MKL"
    with open("/proc/self/maps") as maps:
        found = re.search(r"/([^/\n]*blas[^/\n]*)$", maps.read(), re.MULTILINE)
    return found[1] if found else "its own BLAS"


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1]
    with open(f"{folder}/config.json") as file:
        bert = Bert(json.load(file), read_tensors(f"{folder}/model.safetensors"))
    print(json.dumps({"name": f"PyTorch {torch.__version__} on {blas()}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"scores": bert.relevance(json.loads(line)["ids"])}), flush=True)


if __name__ == "__main__":
    main()
