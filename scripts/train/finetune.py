"""Phase 2: SST-2 phrases, with some long review windows so that paragraphs work."""

import copy
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from batches import draw_phrases, draw_windows, hide_keys, mask_noise, phrase_order, to_device
from loop import autocast, log, make_optimizer, run_phase, step_rng, update
from text import CLS, PAD, SEP

POOL_PENALTY = 0.01  # on the squared pooler input: tanh must not saturate


def assess(model, corpus, device, rows=64):
    """(share of right answers, mean cross-entropy) over a split."""
    ids, starts, labels = corpus
    order = np.argsort(np.diff(starts), kind="stable")  # one length together: less padding
    right, loss = 0, 0.0
    with torch.no_grad():
        for at in range(0, len(order), rows):
            chosen = order[at : at + rows]
            texts = [[CLS, *ids[starts[i] : starts[i + 1]], SEP] for i in chosen]
            width = max(map(len, texts))
            batch = np.array([t + [PAD] * (width - len(t)) for t in texts], np.int64)
            x, visible, y = to_device(device, batch, batch != PAD, labels[chosen])
            logits = model(x, visible)
            right += int((logits.argmax(1) == y).sum())
            loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return right / len(labels), loss / len(labels)


def finetune(model, corpora, preset, seed, path, device):
    """(the averaged weights that did best on dev, seconds)"""
    settings = preset["finetune"]
    order = phrase_order(corpora["sst"], settings["full"])
    optimizer = make_optimizer([model], settings)
    average = copy.deepcopy(model)
    best = {"accuracy": 0.0, "step": 0, "weights": None}

    def train_step(step):
        rng = step_rng(seed, 2, step)
        long = rng.random() < settings["reviews"]
        if long:
            length = int(rng.choice([64, 128, 256]))
            rows, labels = draw_windows(corpora["reviews"], length, settings["tokens"], rng, 1.0)
        else:
            rows, labels = draw_phrases(corpora, order, settings["tokens"], rng)
        x, visible, y = to_device(device, mask_noise(rows, rng), hide_keys(rows, rng), labels)
        with autocast(device):
            summary = model.summary(model.bert(x, visible, settings["dropout"], rng))
            logits = model.classifier(torch.tanh(summary))
        loss = F.cross_entropy(logits.float(), y)
        update(loss + POOL_PENALTY * summary.float().square().mean(), step, settings, optimizer,
               list(model.parameters()))
        decay = min(settings["average"], (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters()):
                mean.lerp_(now, 1 - decay)
        return {"review loss" if long else "loss": loss.item()}

    def on_check(step):
        now, loss = assess(average, corpora["dev"], device)
        log(f"phase 2, step {step}: dev accuracy {now:.4f}, loss {loss:.4f}")
        if now > best["accuracy"]:
            weights = {k: v.cpu().clone() for k, v in average.state_dict().items()}
            best.update(accuracy=now, step=step, weights=weights)

    record = SimpleNamespace(state_dict=lambda: best, load_state_dict=best.update)
    state = {"model": model, "optimizer": optimizer, "average": average, "record": record}
    seconds = run_phase("phase 2", path, settings, state, train_step, on_check)
    return best, seconds
