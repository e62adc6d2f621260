"""Phase 1: masked words on review windows and phrases, and the mood of both."""

import torch
import torch.nn.functional as F

from batches import draw_phrases, draw_windows, hide_keys, phrase_order, to_device, word_puzzle
from loop import autocast, make_optimizer, run_phase, step_rng, update


def pretrain(model, heads, corpora, preset, seed, path, device):
    settings = preset["pretrain"]
    order = phrase_order(corpora["sst"], preset["finetune"]["full"])
    optimizer = make_optimizer([model, heads], settings)
    parameters = [*model.parameters(), *heads.parameters()]
    lengths, shares = zip(*settings["windows"].items())

    def draw(rng):
        """(kind, rows, labels)"""
        if rng.random() < settings["phrases"]:
            return "phrases", *draw_phrases(corpora, order, settings["tokens"], rng)
        length = int(rng.choice(lengths, p=shares))
        kind = "prose" if "prose" in corpora and rng.random() < settings["prose"] else "reviews"
        return kind, *draw_windows(
            corpora[kind], length, settings["tokens"], rng, settings["labelled"])

    def train_step(step):
        rng = step_rng(seed, 1, step)
        kind, rows, labels = draw(rng)
        shown, target = word_puzzle(rows, preset["vocabulary"], rng)
        x, visible, target, truth, y = to_device(
            device, shown, hide_keys(rows, rng), target, rows, labels)
        with autocast(device):
            hidden = model.bert(x, visible, settings["dropout"], rng)
            guesses = heads.words(hidden[target], model.bert.embeddings.word_embeddings.weight)
            pooled = torch.tanh(model.summary(hidden))
            # Reviews have a judge of their own: one window says little about the
            # review's stars, and that doubt must not reach the classifier.
            moods = (model.classifier if kind == "phrases" else heads.review)(pooled)
        loss = F.cross_entropy(guesses.float(), truth[target])
        told = {f"{kind} words": loss.item()}
        known = y >= 0
        if known.any():
            mood = F.cross_entropy(moods.float()[known], y[known])
            loss = loss + mood
            told[f"{kind} mood"] = mood.item()
        update(loss, step, settings, optimizer, parameters)
        return told

    state = {"model": model, "heads": heads, "optimizer": optimizer}
    return run_phase("phase 1", path, settings, state, train_step)
