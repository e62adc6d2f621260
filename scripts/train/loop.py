"""What both phases share: optimiser, learning rate, checkpoints, progress."""

import math
import os
import time

import numpy as np
import torch

SAVE_SECONDS = 45


def log(text):
    print(time.strftime("%H:%M:%S ") + text, flush=True)


def make_optimizer(modules, settings):
    """AdamW; no decay on biases, LayerNorms and embeddings."""
    matrices, rest = [], []
    for module in modules:
        for name, p in module.named_parameters():
            (matrices if p.ndim == 2 and "embeddings" not in name else rest).append(p)
    groups = [{"params": matrices, "weight_decay": settings["decay"]},
              {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings["lr"], betas=(0.9, 0.98), foreach=True)


def learning_rate(step, settings):
    """Linear warm-up, then half a cosine down to 2 %."""
    warm = min(1.0, (step + 1) / settings["warmup"])
    return settings["lr"] * warm * (0.51 + 0.49 * math.cos(math.pi * step / settings["steps"]))


def step_rng(seed, phase, step):
    """The randomness of one step, the same whether or not the run was resumed."""
    torch.manual_seed((seed * 31 + phase) * 1_000_003 + step)
    return np.random.default_rng([seed, phase, step])


def save(path, state):
    """Whole or not at all: a kill while writing leaves the previous file."""
    torch.save(state, f"{path}.part")
    os.replace(f"{path}.part", path)


def update(loss, step, settings, optimizer, parameters):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, settings)
    optimizer.step()


def autocast(device):
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def run_phase(name, path, settings, state, train_step, on_check=None, every=50):
    """Steps from the checkpoint at `path`, if any, to the end. `state` maps names to
    things with state_dict and load_state_dict; `train_step(step)` returns numbers
    to show; `on_check(step)` is called every settings["check"] steps."""
    step = 0
    seconds = 0.0
    if path.exists():
        saved = torch.load(path, map_location="cpu")
        step, seconds = saved["step"], saved["seconds"]
        for key, part in state.items():
            part.load_state_dict(saved[key])
        if step < settings["steps"]:
            log(f"{name}: resumed at step {step}")
    sums, began, last_save = {}, time.time() - seconds, time.time()

    def keep():
        parts = {key: part.state_dict() for key, part in state.items()}
        save(path, {"step": step, "seconds": time.time() - began, **parts})

    while step < settings["steps"]:
        for key, value in train_step(step).items():
            total = sums.setdefault(key, [0.0, 0])
            total[0] += value
            total[1] += 1
        step += 1
        done = step == settings["steps"]
        if step % every == 0 or done:
            shown = ", ".join(f"{k} {total / n:.3f}" for k, (total, n) in sorted(sums.items()))
            left = (time.time() - began) / step * (settings["steps"] - step) / 60
            log(f"{name} {step}/{settings['steps']}: {shown} ({left:.1f} min left)")
            sums = {}
        if on_check and (step % settings["check"] == 0 or done):
            on_check(step)
        if done or time.time() - last_save > SAVE_SECONDS:
            keep()
            last_save = time.time()
    return torch.load(path, map_location="cpu")["seconds"]
