"""Training of the demo networks on rendered pictures.

    python -m benchmarks.make_demo_networks {supervised,masked} --out assets/networks --steps N --seed 0

``supervised`` learns which categories a picture holds (from the mean token) and, for every token, which objects cover
it; most of the time it sees a random part of the patches, which is faster and teaches it to make do with parts.
``masked`` sees a quarter of the patches, in blocks of 2 × 2, and a small decoder fills in the others. Everything that
is random follows from the seed and the number of the step, so that a training that was interrupted goes on
(``--resume``) as if it had not been.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn

from factortopy.backbones.demo import (
    DEPTH,
    INPUT_SIZE,
    PATCH,
    SIDE,
    WIDTH,
    Block,
    VisionTransformer,
    normalise,
    sine_positions,
    untrained,
)
from factortopy.stimuli.scenes import CATEGORIES, HELD_OUT_SEEDS, SCENE_KINDS, labels, render_covered
from factortopy.storage.files import write_atomic, write_json
from factortopy.storage.home import cache_dir

NAMES = {"supervised": "demo-vit", "masked": "demo-mae"}
LABELS = CATEGORIES + SCENE_KINDS[1:]
PICTURES, HELD_OUT = 16_000, 1_000
BATCH = 48
RATE = {"supervised": 1.2e-3, "masked": 1.2e-3}
BETAS = {"supervised": (0.9, 0.98), "masked": (0.9, 0.95)}
WEIGHT_DECAY = 0.05
WARM_UP = 100  # steps
KEEP = ((0.76, 0.3), (0.92, 0.6), (1.0, 1.0))  # until this share of the steps, this share of the patches
COVER_WEIGHT, COVER_POSITIVE = 2.0, 3.0
HIDDEN = 0.75
DECODER_WIDTH, DECODER_DEPTH, DECODER_HEADS = 96, 2, 4
SAVE_EVERY, LOG_EVERY = 200, 50  # steps


# ---------------------------------------------------------------- pictures
def training_pictures(count=PICTURES, first=0):
    """Pictures of seeds ``first`` … ``first + count - 1``, labels and cover; rendered once, then read from the cache.

    Returns
    -------
    images : (count, 112, 112, 3) uint8 array
    labels : (count, 11) float32 array
    cover : (count, 14, 14, 8) uint8 array
    """
    folder = cache_dir("training-pictures") / f"{first}-{count}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        images, scenes, cover = render_covered(range(first, first + count), INPUT_SIZE, 2)
        for name, array in (("images", images), ("labels", labels(scenes)), ("cover", cover)):
            part = folder / f"{name}.part.{os.getpid()}.npy"
            np.save(part, array)
            os.replace(part, folder / f"{name}.npy")
        (folder / "complete").touch()
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "cover"))


def batch_of(images, rows, rng=None):
    """(B, 3, 112, 112) normalised pictures; ``rng`` varies contrast and colour cast."""
    pictures = torch.from_numpy(images[np.sort(rows)]).permute(0, 3, 1, 2).float() / 255
    if rng is not None:
        gain = torch.from_numpy(rng.uniform(0.7, 1.3, (len(rows), 1, 1, 1)).astype(np.float32))
        cast = torch.from_numpy(rng.normal(0, 0.06, (len(rows), 3, 1, 1)).astype(np.float32))
        pictures = (pictures - 0.5) * gain + 0.5 + cast
    return normalise(pictures)


# ---------------------------------------------------------------- objectives
class Supervised(nn.Module):
    """The network with a head for the picture's labels and one for what covers each token."""

    def __init__(self):
        super().__init__()
        self.network = VisionTransformer()
        self.picture_head = nn.Linear(WIDTH, len(LABELS))
        self.cover_head = nn.Linear(WIDTH, len(CATEGORIES))

    def loss(self, pictures, targets, cover, rng, progress):
        """Mean loss of a batch; ``progress`` 0 … 1 decides how many patches are looked at."""
        share = next(share for until, share in KEEP if progress <= until)
        cover = cover.flatten(1, 2)
        keep = None
        if share < 1:
            keep = torch.from_numpy(rng.random((len(pictures), SIDE * SIDE))).argsort(1)[:, : int(SIDE * SIDE * share)]
            cover = cover.gather(1, keep[..., None].expand(-1, -1, cover.shape[-1]))
        tokens = self.network(pictures, keep)
        whole = F.binary_cross_entropy_with_logits(self.picture_head(tokens.mean(1)).float(), targets)
        weight = torch.tensor(COVER_POSITIVE)
        parts = F.binary_cross_entropy_with_logits(self.cover_head(tokens).float(), cover, pos_weight=weight)
        return whole + COVER_WEIGHT * parts


class Masked(nn.Module):
    """The network, which sees a quarter of the patches, and a small decoder that fills in the pixels of the others."""

    def __init__(self):
        super().__init__()
        self.network = VisionTransformer()
        self.enter = nn.Linear(WIDTH, DECODER_WIDTH)
        self.mask_token = nn.Parameter(torch.zeros(DECODER_WIDTH))
        self.decoder = nn.ModuleList(Block(DECODER_WIDTH, DECODER_HEADS) for _ in range(DECODER_DEPTH))
        self.decoder_norm = nn.LayerNorm(DECODER_WIDTH)
        self.pixels = nn.Linear(DECODER_WIDTH, 3 * PATCH * PATCH)
        self.register_buffer("positions", sine_positions(DECODER_WIDTH, SIDE), persistent=False)

    def loss(self, pictures, targets, cover, rng, progress):
        """Mean squared error on the hidden patches, each normalised by its own mean and variance."""
        keep = torch.from_numpy(visible_patches(len(pictures), rng))
        hidden = torch.ones(len(pictures), SIDE * SIDE).scatter(1, keep, 0.0)
        entered = self.enter(self.network(pictures, keep))
        places = keep[..., None].expand(-1, -1, DECODER_WIDTH)
        empty = self.mask_token.to(entered.dtype).expand(len(pictures), SIDE * SIDE, -1)
        tokens = empty.scatter(1, places, entered) + self.positions.to(entered.dtype)
        for block in self.decoder:
            tokens = block(tokens)
        predicted = self.pixels(self.decoder_norm(tokens)).float()
        wanted = patches(pictures)
        centred = wanted - wanted.mean(-1, keepdim=True)
        wanted = centred / (wanted.var(-1, keepdim=True) + 0.02).sqrt()
        return (((predicted - wanted) ** 2).mean(-1) * hidden).sum() / hidden.sum()


def visible_patches(count, rng):
    """(count, k) indices of the patches that stay visible: whole blocks of 2 × 2, a quarter of all."""
    half = SIDE // 2
    blocks = rng.random((count, half * half)).argsort(1)[:, : round(half * half * (1 - HIDDEN))]
    row, column = 2 * (blocks // half), 2 * (blocks % half)
    corners = [(row + down) * SIDE + column + right for down in (0, 1) for right in (0, 1)]
    return np.concatenate(corners, 1)


def patches(pictures):
    """(B, 3, 112, 112) to (B, SIDE², 192): the pixels of every patch."""
    cut = pictures.unflatten(2, (SIDE, PATCH)).unflatten(4, (SIDE, PATCH))
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


# ---------------------------------------------------------------- training
def learning_rate(step, steps, peak):
    """Linear warm-up, then a cosine down to 2 % of the peak."""
    cosine = 0.5 * (1 + np.cos(np.pi * step / steps))
    return float(peak * min(1.0, (step + 1) / min(WARM_UP, max(1, steps // 4))) * (0.98 * cosine + 0.02))


def train(objective, out, steps, seed=0, resume=False, pictures=PICTURES, held_out=HELD_OUT, batch=BATCH, threads=1):
    """Train one network and write its weights, their description and the log.

    Parameters
    ----------
    objective : {"supervised", "masked"}
    out : path
        Folder for ``demo-vit`` or ``demo-mae`` .safetensors (float16), .json and .csv.
    steps, seed, pictures, held_out, batch, threads : int
    resume : bool
        Go on from the checkpoint of an interrupted training with the same settings.

    Returns
    -------
    dict
        What the .json holds.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out, name = Path(out), NAMES[objective]
    out.mkdir(parents=True, exist_ok=True)
    settings = {"objective": objective, "steps": steps, "seed": seed, "pictures": pictures, "batch": batch}
    checkpoint = cache_dir("training-checkpoints") / f"{name}-{seed}-{steps}-{pictures}-{batch}.pt"
    images, targets, cover = training_pictures(pictures)
    model = {"supervised": Supervised, "masked": Masked}[objective]()
    optimizer = torch.optim.AdamW(
        model.parameters(), RATE[objective], betas=BETAS[objective], weight_decay=WEIGHT_DECAY
    )
    first, log, before = 0, [], 0.0
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, log, before = state["step"], state["log"], state["seconds"]
    started, recent = time.monotonic(), []
    for step in range(first, steps):
        loss = train_step(model, optimizer, objective, (images, targets, cover), step, steps, seed, batch)
        recent.append(loss)
        done = step + 1
        if done % LOG_EVERY == 0 or done == steps:
            seconds = before + time.monotonic() - started
            log.append(
                [done, done * batch, float(np.mean(recent)), learning_rate(step, steps, RATE[objective]), seconds]
            )
            recent = []
            print(f"{name} step {done}/{steps} loss {log[-1][2]:.4f} {seconds:.0f} s", flush=True)
        if done % SAVE_EVERY == 0 and done < steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            seconds = before + time.monotonic() - started
            save_checkpoint(checkpoint, {**state, "step": done, "log": log, "seconds": seconds})
            if done == SAVE_EVERY or done % (5 * SAVE_EVERY) == 0:
                write_weights(model.network, out / f"{name}.safetensors", {**settings, "step": done, "finished": False})
    seconds = before + time.monotonic() - started
    write_log(out / f"{name}.csv", log)
    save_checkpoint(
        checkpoint,
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": steps,
            "log": log,
            "seconds": seconds,
        },
    )
    write_weights(model.network, out / f"{name}.safetensors", {**settings, "step": steps, "finished": True})
    report = {**settings, "pictures_seen": steps * batch, "seconds": round(seconds), "threads": threads}
    report |= {"torch": torch.__version__, "simulated": "all pictures are rendered (drawings), none is a photograph"}
    report |= evaluate(model, objective, pictures, held_out)
    write_json(out / f"{name}.json", report)
    return report


def train_step(model, optimizer, objective, data, step, steps, seed, batch):
    """One step; returns its loss."""
    images, targets, cover = data
    rng = np.random.default_rng([seed, step, len(objective)])
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, steps, RATE[objective])
    rows = np.sort(rng.choice(len(images), batch, replace=False))
    pictures = batch_of(images, rows, rng)
    wanted, covered = torch.from_numpy(targets[rows]), torch.from_numpy(cover[rows]).float() / 255
    mirror = torch.from_numpy(
        (rng.random(batch) < 0.5) & (targets[rows, LABELS.index("word")] == 0)
    )  # words stay as they are
    pictures = torch.where(mirror[:, None, None, None], pictures.flip(3), pictures)
    covered = torch.where(mirror[:, None, None, None], covered.flip(2), covered)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(pictures, wanted, covered, rng, step / steps)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


# ---------------------------------------------------------------- evaluation
def area_under_curve(truth, score):
    """(labels,) area under the ROC curve of each column; NaN where a label is always or never there."""
    areas = []
    for present, values in zip(truth.T > 0, score.T, strict=True):
        order = values.argsort(kind="stable")
        ranks = np.empty(len(order))
        ranks[order] = np.arange(1, len(order) + 1)
        yes, no = present.sum(), (~present).sum()
        areas.append((ranks[present].sum() - yes * (yes + 1) / 2) / (yes * no) if yes and no else np.nan)
    return np.array(areas)


@torch.no_grad()
def mean_tokens(network, images, last=True):
    """(n, WIDTH) mean token after the last block, or (DEPTH, n, WIDTH) after every block."""
    network.eval()
    parts = []
    for first in range(0, len(images), 100):
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network.layers(batch_of(images, np.arange(first, min(first + 100, len(images)))))
        parts.append(torch.stack([tokens.float().mean(1) for tokens in outputs]))
    tokens = torch.cat(parts, 1).double().numpy()
    return tokens[-1] if last else tokens


def linear_probe(train_tokens, train_truth, test_tokens, test_truth):
    """Area under the curve of a ridge regression (penalty n / 100) of every label on standardised tokens."""
    mean, spread = train_tokens.mean(0), train_tokens.std(0) + 1e-6
    inputs, tests = (train_tokens - mean) / spread, (test_tokens - mean) / spread
    gram = inputs.T @ inputs + 1e-2 * len(inputs) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (train_truth - train_truth.mean(0)))
    return area_under_curve(test_truth, tests @ weights)


def by_label(areas):
    """{label: area rounded to 3 digits, None where there is none} and their mean."""
    table = {label: rounded(area) for label, area in zip(LABELS, areas, strict=True)}
    return {**table, "mean": rounded(np.nanmean(areas))}


def rounded(number):
    """A float that JSON can hold; None for NaN."""
    return None if np.isnan(number) else round(float(number), 3)


@torch.no_grad()
def evaluate(model, objective, pictures, held_out):
    """Accuracy on held-out pictures: what was trained, and a linear probe beside the untrained network's."""
    model.eval()
    images, truth, cover = training_pictures(held_out, HELD_OUT_SEEDS)
    train_images, train_truth, _ = training_pictures(pictures)
    train_images, train_truth = train_images[:4000], np.array(train_truth[:4000])
    report = {"held_out_pictures": held_out}
    if objective == "supervised":
        tokens = torch.from_numpy(mean_after_norm(model.network, images))
        report["auc"] = by_label(area_under_curve(truth, model.picture_head(tokens).numpy()))
    else:
        losses = []
        for first in range(0, held_out, 50):
            rows = np.arange(first, min(first + 50, held_out))
            rng = np.random.default_rng([HELD_OUT_SEEDS, first])
            with torch.autocast("cpu", torch.bfloat16):
                losses.append(model.loss(batch_of(images, rows), None, None, rng, 1.0).item())
        report["reconstruction_loss"] = round(float(np.mean(losses)), 4)
    for key, network in (("probe_auc", model.network), ("probe_auc_untrained", untrained())):
        seen, fresh = mean_tokens(network, train_images, last=False), mean_tokens(network, images, last=False)
        areas = [linear_probe(seen[layer], train_truth, fresh[layer], truth) for layer in range(DEPTH)]
        report[key] = by_label(areas[-1])
        report[f"{key}_by_layer"] = [rounded(np.nanmean(area)) for area in areas]
    return report


@torch.no_grad()
def mean_after_norm(network, images):
    """(n, WIDTH) float32 mean of the normalised last tokens, what the picture head reads."""
    parts = []
    for first in range(0, len(images), 100):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(network(batch_of(images, np.arange(first, min(first + 100, len(images))))).float().mean(1))
    return torch.cat(parts).numpy()


# ---------------------------------------------------------------- files
def write_log(path, log):
    """The log as CSV: step, pictures seen, mean loss since the last line, learning rate, seconds."""
    lines = ["step,pictures_seen,loss,learning_rate,seconds"]
    lines += [f"{step},{seen},{loss:.5f},{rate:.3e},{seconds:.1f}" for step, seen, loss, rate, seconds in log]
    write_atomic(path, "\n".join(lines) + "\n")


def write_weights(network, path, settings):
    """The network as float16 safetensors, complete or not at all."""
    tensors = {key: tensor.detach().half().contiguous() for key, tensor in network.state_dict().items()}
    write_atomic(path, save(tensors, metadata={key: str(value) for key, value in settings.items()}))


def save_checkpoint(path, state):
    part = Path(f"{path}.part.{os.getpid()}")
    torch.save(state, part)
    os.replace(part, path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.make_demo_networks", description=__doc__.split("\n")[0])
    parser.add_argument("objective", choices=sorted(NAMES))
    parser.add_argument("--out", default="assets/networks", help="folder for weights, description and log")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of 48 pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="processor threads; another number rounds differently")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args(arguments)
    report = train(options.objective, options.out, options.steps, options.seed, options.resume, threads=options.threads)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
