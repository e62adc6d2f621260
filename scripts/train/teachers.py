"""Teachers: small convolutional networks on the same word vectors.

Each costs a tenth of the BERT to train. Their mean judgement is steadier than any
one model's, and it can be asked about sentences that have no label. The BERT learns
from it next to the true labels (knowledge distillation).
"""

import torch
import torch.nn.functional as F
from torch import nn

from batches import draw_phrases, draw_windows, mask_noise, phrase_order, to_device
from loop import autocast, make_optimizer, run_phase, step_rng, update
from model import drop
from text import CLS, MASK, PAD, SEP


class Teacher(nn.Module):
    def __init__(self, vectors, filters=96, widths=(1, 2, 3, 5)):
        super().__init__()
        self.embeddings = nn.Embedding.from_pretrained(torch.from_numpy(vectors) * 10, freeze=False)
        channels = vectors.shape[1]
        self.convolutions = nn.ModuleList(nn.Linear(channels * w, filters) for w in widths)
        self.widths = widths
        self.join = nn.Linear(2 * filters * len(widths), 96)
        self.answer = nn.Linear(96, 2)

    def forward(self, ids, rate=0.0, rng=None):
        words = (ids != PAD) & (ids != CLS) & (ids != SEP) & (ids != MASK)
        x = drop(self.embeddings(ids) * words[:, :, None], rate / 2, rng)
        seen = []
        for width, convolution in zip(self.widths, self.convolutions):
            spread = F.pad(x, (0, 0, width - 1, 0)).unfold(1, width, 1).flatten(2)
            y = F.relu(convolution(spread))
            count = words.sum(1, keepdim=True).clamp(min=1).sqrt()
            seen += [y.max(1).values, (y * words[:, :, None]).sum(1) / count]
        y = drop(torch.cat(seen, 1), rate, rng)
        return self.answer(drop(F.relu(self.join(y)), rate, rng))


def train_teacher(number, vectors, corpora, settings, seed, path, device):
    torch.manual_seed(seed * 101 + number)
    model = Teacher(vectors).to(device)
    optimizer = make_optimizer([model], settings)
    order = phrase_order(corpora["sst"], settings["full"])

    def train_step(step):
        rng = step_rng(seed, 10 + number, step)
        if rng.random() < settings["reviews"]:
            rows, labels = draw_windows(corpora["reviews"], 128, settings["tokens"], rng, 1.0)
        else:
            rows, labels = draw_phrases(corpora, order, settings["tokens"], rng)
        x, y = to_device(device, mask_noise(rows, rng), labels)
        with autocast(device):
            logits = model(x, settings["dropout"], rng)
        loss = F.cross_entropy(logits.float(), y)
        update(loss, step, settings, optimizer, list(model.parameters()))
        return {"loss": loss.item()}

    run_phase(f"teacher {number}", path, settings, {"model": model, "optimizer": optimizer},
              train_step, every=200)
    return model.eval()
