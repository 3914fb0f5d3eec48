"""The fit at the sizes that users have: each part's time and products, memory, scores, beside the plain reference (synthetic).

Part of benchmarks/encoder.py (``--nsd``). Stages, each kept as soon as it is done and done once for a commit:
data       features and responses on disk; not timed
fit        opened and fitted from an empty cache, in a process of its own with the settings of our trainings
again      the same with another seed: components are in the cache now
reference  steps of benchmarks/plain_encoder.py on as many vertices as fit into memory, carried on to all of them and to the
           paper's 60,000 steps: an extrapolation

What is counted as products: full matrix products, two operations a multiply-add, on every picture once, whatever the code does in
truth: covariances of 16 tokens a channel and rotations; ridge of single layers and places (start); aligning, mixing and Gram
matrices of the steps, three times for their gradients; the same once in the last solve, and its predictions of validation.
"""

import os
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch

import factortopy as ft
from benchmarks.encoder_step import in_memory, plain_fit, settle
from benchmarks.measuring import commit, exponent, in_child, machine, median_time, peak_above, watched
from benchmarks.planted_size import FULL, Size, planted_size
from factortopy.encoder import fitting, start
from factortopy.encoder.fast import FastFit, FastSettings
from factortopy.encoder.paper import PaperSettings
from factortopy.encoder.solve import PENALTIES
from factortopy.runs.costs import fit_seconds
from factortopy.storage.home import home
from factortopy.storage.machine import SETTINGS
from factortopy.subjects.subject import Subject

SIZES = {
    "a": FULL,
    "b": replace(FULL, images=10_000, trials=27_750),
    "c": replace(FULL, vertices=327_684),
}
STAGES = ("data", "fit", "again", "reference")
PARTS = {"pose": "checks and components", "__init__": "start", "run": "steps and validations", "solve": "last solve"}
LIMIT = 1.1  # exponents above are called faster than linear
DEPTH = 4 + 1  # places of a layer that a vertex reads: four local tokens and the global one


def tenth(size):
    """A tenth of the vertices, pictures and trials, never under 1,000 pictures: the same problem otherwise."""
    images = max(min(1000, size.images), size.images // 10)
    trials = size.trials and size.trials * images // size.images
    return replace(size, images=images, trials=trials, vertices=size.vertices // 20 * 2)


def settings_for(size):
    """Of the recipe, with the aligned channels that the whole size has: a tenth costs as much a picture and vertex."""
    return FastSettings().settled(round(0.8 * (size.trials or size.images)))


# ---------------------------------------------------------------- one fit, in parts


@contextmanager
def in_parts():
    """Yields a dict that fills with the seconds of each part of a fast fit, and a dict with its ``Problem``."""
    seconds, seen = {}, {}

    def timed(name, call):
        def timing(*positional, **named):
            begun = time.perf_counter()
            result = call(*positional, **named)
            seconds[PARTS[name]] = time.perf_counter() - begun
            print(f"  {PARTS[name]}: {seconds[PARTS[name]]:.1f} s", flush=True)
            if name == "pose":
                seen["problem"] = result
            return result

        return timing

    with ExitStack() as stack:
        for name in PARTS:
            owner = fitting if name == "pose" else FastFit
            stack.enter_context(patch.object(owner, name, timed(name, getattr(owner, name))))
        yield seconds, seen


def product_rate(side=2048, rounds=9):
    """GFLOP/s of one ``torch.mm`` of side × side float32 matrices on the threads of this process."""
    a, b = torch.randn(2, side, side)
    return 2 * side**3 / median_time([lambda: torch.mm(a, b)], rounds)[0] / 1e9


def products(problem, settings, steps_done):
    """Operations of the matrix products that each part needs, as the head of this file says."""
    channels, widths = zip(*(basis.matrix.shape for basis in problem.local_basis), strict=True)
    few = [t.shape[-1] for t in problem.few[0]]
    places, d, layers = problem.grid**2, settings.dim, len(widths)
    pictures = {part: len(np.unique(problem.image[getattr(problem, part)])) for part in ("train", "val")}
    solved, n, vertices = sum(pictures.values()), len(problem.local[0]), int(problem.usable.sum())
    aligned, mixed = 2 * (places + 1) * sum(widths) * d, 2 * DEPTH * layers * d
    by_step = settings.pictures * (aligned + settings.vertices * (mixed + 2 * d * d * 2 / 3))
    tried, half = min(start.PICTURES, pictures["train"]), min(few)
    sampled = min(start.VERTICES, vertices)
    return {
        "checks and components": sum(2 * 16 * c**3 + 2 * n * (places + 1) * c * k for c, k in zip(channels, few, strict=True)),
        "start": layers * (places + 1) * tried * (2 * half * sampled + 2 * half * half * 2 / 3),
        "steps and validations": 3 * steps_done * by_step,
        "last solve": solved * (aligned + vertices * (mixed + 2 * d * d))
        + pictures["val"] * vertices * 2 * d * len(PENALTIES),
    }  # fmt: skip


def fit_once(size, settings, folder, cache, seed=0, device="cpu"):
    """One fit of a problem on disk: seconds, memory, products, scores. In a child.

    cache : home folder of the fit, where an earlier seed may have left components
    """
    size, settings = Size(**size), FastSettings(**settings)
    with watched() as peaks:
        rate = product_rate()
        begun = time.perf_counter()
        planted = planted_size(size, folder=folder)
        opened = time.perf_counter() - begun
        with patch.dict(os.environ, FACTORTOPY_HOME=cache), in_parts() as (seconds, seen):
            begun, history = time.perf_counter(), []

            def look(progress):
                if progress.val_score is not None:
                    history.append((time.perf_counter() - begun, progress.step, progress.val_score))
                    if progress.step % 60 == 0:
                        print(f"  step {progress.step} of {progress.total}: {history[-1][0]:.0f} s", flush=True)

            encoder = ft.fit(
                planted.subject, planted.features, seed=seed, settings=settings, on_progress=look, device=device
            )
            whole = time.perf_counter() - begun
    rate = (rate + product_rate()) / 2
    steps = encoder.info["steps_done"]
    needed = products(seen["problem"], settings, steps)
    expected = sum(fit_seconds(size.layers * size.channels, size.images, size.vertices, steps, settings.dim))
    out = {
        "time in all, s": whole,
        "what the app said before, s": expected,
        "what the app said / time in all": expected / whole,
        **{f"{name}, s": value for name, value in seconds.items()},
        "opening (before the fit), s": opened,
        "torch.mm of 2,048², GFLOP/s": rate,
        **{f"{name}, GFLOP/s": needed[name] / value / 1e9 for name, value in seconds.items()},
        **{f"{name}, share of torch.mm": needed[name] / value / 1e9 / rate for name, value in seconds.items()},
        "time in all at 111 GFLOP/s, s": whole * rate / 111,
        **{f"peak memory, {kind}, GB": value / 1e3 for kind, value in peaks.items()},
        "steps": steps,
        "aligned channels": settings.dim,
        "components of a layer, mean": float(np.mean([len(b.variance) for b in seen["problem"].local_basis])),
        **quality(planted, encoder.selectors(), ft.brain_score(encoder, planted.subject, planted.features)),
        "R² that ridge with the true selectors reaches": planted.reachable(),
        "validation": history,
    }  # fmt: skip
    if device.startswith("cuda"):
        out["peak memory of the GPU, GB"] = torch.cuda.max_memory_allocated() / 1e9
    return out


def quality(planted, selectors, score):
    """Test R² (mean over vertices) and nearness to the truth."""
    mean = float(np.nanmean(score))
    return {
        "test R²": mean,
        "test R², share of the ceiling": mean / planted.size.ceiling,
        **planted.agreement(selectors),
    }


# ---------------------------------------------------------------- the reference


def reference(size, folder, device="cpu", most=10_000, rounds=3):
    """A step of the plain reference on part of the vertices and 32 pictures, carried on to the whole size. In a child."""
    size = Size(**size)
    planted = planted_size(size, folder=folder)
    s, some = planted.subject, min(most, size.vertices)
    times, memory = [], 0.0
    for n in (some // 2, some):
        rows = np.linspace(0, size.vertices - 1, n).astype(int)
        trials = np.sort(np.unique(s.image_index, return_index=True)[1][:32])
        small = Subject(
            np.array(s.responses[trials])[:, rows], None, s.hemi[rows], s.vertex[rows], coords=s.coords[rows],
            simulated=True, density=s.density,
        )  # fmt: skip
        fit = plain_fit(small, in_memory(planted.features[s.image_index[trials]]), device)
        times += median_time([fit.step], rounds, warm=1, settle=settle(device))
        memory = peak_above(fit.step, device) / 1e3
    # What does not grow with the vertices (aligning) and what does.
    each = max(0.0, (times[1] - times[0]) / (some - some // 2))
    step = times[1] + each * (size.vertices - some)
    steps = PaperSettings().steps
    return {
        f"a step on {some:,} vertices, s": times[1],
        "its peak memory above the data, GB": memory,
        "a step on all vertices, extrapolated, s": step,
        f"the paper's {steps:,} steps, extrapolated, s": step * steps,
    }


# ---------------------------------------------------------------- stages


def run_stage(stage, size, settings, known, folder, device="cpu"):
    """What a stage measures, a dict; {} for the data. ``folder`` holds those."""
    cache = home() / "bench" / f"cache-{size.answers(0)}"
    arguments = {"size": vars(size), "folder": str(folder), "device": device}
    if stage == "data":
        planted_size(
            size, folder=folder, report=lambda *count: print("  {}: {:,} of {:,} pictures".format(*count), flush=True)
        )
        return {}
    if stage == "reference":
        return in_child("benchmarks.nsd_size", "reference", arguments, **SETTINGS)
    if stage == "fit":
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
    elif not cache.exists():
        raise SystemExit(
            "again: expected what the first fit left in the cache, found none; give --stage fit again --anew"
        )
    arguments |= {"settings": vars(settings), "cache": str(cache), "seed": int(stage == "again")}
    values = in_child("benchmarks.nsd_size", "fit_once", arguments, **SETTINGS)
    if stage == "again":
        shutil.rmtree(cache, ignore_errors=True)
        first = known["fit"]
        if first["machine"]["commit"] == commit():
            values = {"share of the first fit's time": values["time in all, s"] / first["time in all, s"]} | values
    return values


def nsd(name, whole, stages, known, keep, device="cpu", anew=False, data=None, decay=1.0, steps=None):
    """The stages of one size that are not yet known for this commit.

    known : {stage: values} of an earlier run; keep(known) writes them; data : folder of the problems

    Returns
    -------
    {stage: values}, each with its machine, date and commit; {stage: values before} of those that were measured again
    """
    full = replace(SIZES[name], decay=decay)
    size = full if whole else tenth(full)
    settings, before = settings_for(full), {}
    settings = replace(settings, steps=steps or settings.steps)
    known = dict(known) | {"size": str(size), "problem": vars(size)}
    for stage in stages:
        former = known.get(stage)
        now = commit()
        if former and former["machine"]["commit"] == now and "+" not in now and not anew:
            print(f"  {stage}: kept from {former['machine']['date']}, the same commit (--anew measures it again)")
            continue
        print(f"{name}, {stage}", flush=True)
        where = machine(device)
        values = run_stage(stage, size, settings, known, data or home() / "bench", device)
        if values:
            if former:
                before[stage] = former
            known[stage] = values | {"machine": where}
            keep(known)
    return known, before


def summary(known, size, whole):
    """{row: value} that stands beside what was wanted: the whole size is extrapolated from a tenth, and called so."""
    fit, out = known.get("fit"), {}
    if fit is None:
        return out
    seconds, part = fit["time in all, s"], size if whole else tenth(size)
    steps = FastSettings().steps / fit["steps"]
    if not whole or steps != 1:
        pictures, vertices = size.images / part.images, size.vertices / part.vertices
        grown = {"checks and components": pictures, "steps and validations": steps, "last solve": pictures * vertices}
        seconds = sum(fit[f"{name}, s"] * grown.get(name, 1) for name in PARTS.values())
        out["whole size, extrapolated (components × pictures, steps to 180, solve × pictures × vertices), s"] = seconds
    if "reference" in known:
        last = next(v for k, v in known["reference"].items() if k.startswith("the paper's"))
        out["plain reference (extrapolated), times longer"] = last / seconds
    return out


def growth(sections, whole):
    """Exponents of each part from size to size, from those that were measured; {} without them.

    sections : {"a": {stage: values}, …} of one share
    """
    out, share = {}, (lambda size: size) if whole else tenth
    for what, other, of in (("vertices", "c", "vertices"), ("pictures", "b", "images")):
        pair = [sections.get(name, {}).get("fit") for name in ("a", other)]
        sizes = [getattr(share(SIZES[name]), of) for name in ("a", other)]
        if None in pair or sizes[0] == sizes[1]:
            continue
        for part in (*PARTS.values(), "time in all"):
            out[f"{part}, {what}"] = exponent(sizes, [fit[f"{part}, s"] for fit in pair])
    return {name: f"{value:.2f}{'' if value <= LIMIT else ': faster than linear'}" for name, value in out.items()}


def beside(before, now):
    """{column: {row: value}} of one stage's numbers, earlier and now, and their ratio."""
    rows = [k for k, v in now.items() if isinstance(v, float) and isinstance(before.get(k), int | float)]
    return {
        f"before ({before['machine']['commit']})": {row: before[row] for row in rows},
        "now": {row: now[row] for row in rows},
        "now / before": {row: now[row] / before[row] if before[row] else float("nan") for row in rows},
    }
