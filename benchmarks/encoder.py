"""How fast the encoder is, against a plain reference in the same run and on the same arrays (all synthetic).

    python -m benchmarks.encoder                step and small: about half an hour, most of it the reference's
    python -m benchmarks.encoder --step         one `paper` step of 5,000 vertices, 12 layers of 768 channels, batch 8
    python -m benchmarks.encoder --small        time to the validation score that the reference has after 10 minutes
    python -m benchmarks.encoder --linear       growth of the cost with vertices, images and layers
    python -m benchmarks.encoder --nsd          the sizes that users have, a tenth of them (--whole: all): 12 layers of 768 channels and
                                                a) 3,000 images × 37,984 vertices, b) 27,750 trials of 10,000 images × 37,984 vertices,
                                                c) 3,000 images × 327,684 vertices; --size and --stage choose (nsd_size.py)

The reference is benchmarks/plain_encoder.py, the data are benchmarks/planted_size.py's. Prints tables and writes
benchmarks/results/encoder.json, section by section; --nsd prints what it found there before beside what it finds now.
"""

import argparse
import shutil
import time
from dataclasses import replace

import numpy as np
import torch

import factortopy as ft
from benchmarks.encoder_step import PAPER, PLAIN, STEP, paper_fit, settle, step
from benchmarks.measuring import ROOT, exponent, keep, kept, machine, median_time, own_home, show
from benchmarks.nsd_size import LIMIT, SIZES, STAGES, beside, growth, nsd, quality, summary
from benchmarks.plain_encoder import PlainFit
from benchmarks.planted_size import SMALL, Size, planted_size
from factortopy.encoder.fast import FastFit, FastSettings
from factortopy.encoder.model import Factorized
from factortopy.encoder.paper import PaperSettings
from factortopy.encoder.problem import pose
from factortopy.features.extraction import Features
from factortopy.storage.home import home
from factortopy.subjects.subject import Subject

LINEAR = Size(2000, 12, 128, 20_000)
ALIGNED = 48  # channels in all of its problems
FAST = "ours, fast"


# ---------------------------------------------------------------- time to a score


def timed_fit(planted, until=None, seconds=None, device="cpu", **how):
    """``ft.fit`` from the call on, in an empty home.

    until : validation score at which it is stopped; seconds : time after which it is

    Returns
    -------
    encoder, {"first step", "last step", "in hand": seconds, "reached": seconds to ``until`` or None, "history": rows
    (seconds, step, validation score)}
    """
    times = {"reached": None, "history": []}

    def look(progress):
        now = time.perf_counter() - begun
        times.setdefault("first step", now)
        times["last step"] = now
        if progress.val_score is not None:
            times["history"].append((now, progress.step, progress.val_score))
            if until is not None and progress.val_score >= until:
                times["reached"] = now
                return False
        return seconds is None or now < seconds

    with own_home():
        begun = time.perf_counter()
        encoder = ft.fit(planted.subject, planted.features, on_progress=look, device=device, **how)
        times["in hand"] = time.perf_counter() - begun
    return encoder, times


def plain_selectors(fit):
    with torch.no_grad():
        space, layer, scale = (x.cpu().numpy() for x in fit.model.selectors())
    return ft.Selectors(space, layer, scale[:, 0], fit.model.channel.weight.detach().cpu().numpy())


def told(point):
    print(f"  plain reference: {point[0]:.0f} s, step {point[1]}, validation R² {point[2]:.3f}", flush=True)


def small(size, minutes, device="cpu", repeats=3):
    """Validation score of the reference (all vertices) after so many minutes; time until ours has it (256 vertices)."""
    planted = planted_size(size)
    begun = time.perf_counter()
    plain = PlainFit(planted.subject, planted.features, device=device)
    history = plain.run(60 * minutes, every=100, report=told, begun=begun)
    target = max(score for _, _, score in history)
    table = {
        PLAIN: {
            "validation R² that counts": target,
            "seconds to it": history[-1][0],
            "steps": history[-1][1],
            **quality(planted, plain_selectors(plain), plain.score(planted.subject.split.test)),
        }
    }
    reached = []
    for seed in range(repeats):
        encoder, times = timed_fit(planted, until=target, device=device, seed=seed)
        score = ft.brain_score(encoder, planted.subject, planted.features)
        reached.append((times["reached"], times["in hand"], float(np.nanmean(score))))
    seconds = [r for r, _, _ in reached]
    middle = None if None in seconds else float(np.median(seconds))
    encoder, times = timed_fit(planted, device=device)
    table[FAST] = {
        "validation R² that counts": times["history"][-1][2],
        "seconds to it": times["in hand"],
        "steps": encoder.info["steps_done"],
        **quality(planted, encoder.selectors(), ft.brain_score(encoder, planted.subject, planted.features)),
        "seconds to the reference's score": middle,
        "the same, with the last solve": float(np.median([t for _, t, _ in reached])),
        "test R² of that encoder": float(np.median([s for _, _, s in reached])),
    }
    settings = replace(PaperSettings(), every=100, patience=10**6)
    limit = 60 * minutes
    encoder, times = timed_fit(planted, target, limit, device, recipe="paper", settings=settings)
    table[PAPER] = {
        "validation R² that counts": times["history"][-1][2] if times["history"] else None,
        "seconds to it": times["in hand"],
        "steps": encoder.info["steps_done"],
        **quality(planted, encoder.selectors(), ft.brain_score(encoder, planted.subject, planted.features)),
        "seconds to the reference's score": times["reached"],
    }
    paper = times["reached"]
    return {
        "size": str(size),
        "R² that ridge with the true selectors reaches (test)": planted.reachable(),
        "fast: times sooner": middle and history[-1][0] / middle,
        "fast: seconds to the reference's score, each seed": [round(s, 2) if s else None for s in seconds],
        "paper: times sooner": paper and history[-1][0] / paper,
        **table,
        "history": {PLAIN: history},
    }


# ---------------------------------------------------------------- growth


def part_of(planted, images, layers, vertices):
    """The same problem with fewer images, layers and vertices, (subject, features)."""
    s, rows = planted.subject, np.linspace(0, planted.size.vertices - 1, vertices).astype(int)
    responses = np.array(planted.subject.responses[:images][:, rows])
    subject = Subject(
        responses, None, s.hemi[rows], s.vertex[rows], coords=s.coords[rows], simulated=True, density=s.density
    )
    features = Features.from_arrays(
        [t[:images] for t in planted.features.local[:layers]], [t[:images] for t in planted.features.global_[:layers]]
    )
    return subject, features


def costs(subject, features, device):
    """Seconds of each part of a fit."""
    wait, out = settle(device), {}

    def timed(name, call):
        wait()
        begun = time.perf_counter()
        result = call()
        wait()
        out[name] = time.perf_counter() - begun
        return result

    with own_home():
        problem = timed("checks and PCA", lambda: pose(subject, features, 8, device))
        settings = FastSettings(dim=ALIGNED)
        model = Factorized(problem, settings.dim, 0)
        fit = timed("start", lambda: FastFit(problem, settings, model, 0))
        (out["step"],) = median_time([fit.step], 7, settle=wait)
        timed("last solve", fit.solve)
    out[f"all of it, {settings.steps} steps"] = sum(out.values()) + (settings.steps - 1) * out["step"]
    fit = paper_fit(subject, features, device)
    (out["paper: step"],) = median_time([fit.step], 5, settle=wait)
    return out


def linear(size, device="cpu"):
    """Seconds of each part of a fit at three sizes of vertices, images and layers, and the exponents of their growth."""
    planted, table, problems = planted_size(size), {}, {}
    middle = {"images": size.images // 2, "layers": size.layers // 2, "vertices": size.vertices // 4}
    largest = {"images": size.images, "layers": size.layers, "vertices": size.vertices}
    costs(*part_of(planted, **{k: v // 2 for k, v in middle.items()}), device)  # warm
    for what in ("vertices", "images", "layers"):
        sizes = [largest[what] // 4, largest[what] // 2, largest[what]]
        found = [costs(*part_of(planted, **(middle | {what: n})), device) for n in sizes]
        for n, values in zip(sizes, found, strict=True):
            table[f"{n:,} {what}"] = values
            problems[f"{n:,} {what}"] = middle | {what: n, "channels": size.channels, "aligned": ALIGNED}
        table[f"exponent, {what}"] = {k: exponent(sizes, [v[k] for v in found]) for k in found[0]}
    fixed = ", ".join(f"{v:,} {k}" for k, v in middle.items())
    columns = {part: {row: values[part] for row, values in table.items()} for part in next(iter(table.values()))}
    faster = [
        f"{part}, {row[10:]}" for part, own in columns.items() for row in own if "expo" in row and own[row] > LIMIT
    ]
    return {
        "size": f"{fixed} of {size.channels} channels but for the one that grows (synthetic)",
        "grows faster than linearly": ", ".join(faster) or "nothing",
        **columns,
        "problems": problems,
    }


# ---------------------------------------------------------------- command line


def tiny(size):
    """Of the same kind and soon done, to try the benchmark itself."""
    return replace(
        size, images=min(size.images, 160), layers=4, channels=min(size.channels, 64), vertices=min(size.vertices, 400)
    )


def nsd_sizes(chosen, target):
    """``--nsd``: each size's stages, with what was known before beside them; then the growth from size to size."""
    share = "whole" if chosen.whole else "a tenth"
    share += "" if chosen.decay == 1 else f", decay {chosen.decay:g}"
    share += "" if chosen.steps is None else f", {chosen.steps} steps"
    share += "" if chosen.device == "cpu" else f", {chosen.device}"
    for name in chosen.size:
        label = f"nsd {name}, {share}"

        def put(values, label=label):
            keep(target, label, values)

        known = kept(target, label)
        known, before = nsd(
            name,
            chosen.whole,
            chosen.stage,
            known,
            put,
            chosen.device,
            chosen.anew,
            chosen.data,
            chosen.decay,
            chosen.steps,
        )
        known["summary"] = summary(known, SIZES[name], chosen.whole)
        put(known)
        show(f"{label}: {known['size']}", known["summary"])
        for stage in STAGES:
            if stage in known:
                show(f"{label}, {stage}, {known[stage]['machine']['date']}", flat(known[stage]))
            if stage in before:
                show(f"{label}, {stage}, before and now", beside(before[stage], known[stage]))
    grown = growth({name: kept(target, f"nsd {name}, {share}") for name in SIZES}, chosen.whole)
    if grown:
        show(f"nsd, {share}: exponents of growth, 1 is linear", grown)
        keep(target, f"nsd growth, {share}", grown)


def flat(values):
    return {k: v for k, v in values.items() if k not in ("history", "validation", "machine", "problems")}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("step", "small", "linear", "nsd"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--minutes", type=float, default=10, help="of the reference's training (default 10)")
    parser.add_argument("--whole", action="store_true", help="--nsd: the sizes themselves, not a tenth")
    parser.add_argument(
        "--size", nargs="+", choices=list(SIZES), default=list(SIZES), help="--nsd: which (default: all)"
    )
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=list(STAGES), help="--nsd: which (default: all)")
    parser.add_argument("--anew", action="store_true", help="--nsd: measure again what is known of this commit")
    parser.add_argument(
        "--decay", type=float, default=1.0, help="--nsd: of the channels' spectrum (default 1, slow; 1.5)"
    )
    parser.add_argument("--steps", type=int, help="--nsd: fewer, for times alone (default: the recipe's 180)")
    parser.add_argument("--data", help="--nsd: folder of its data (default: bench in the home folder)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--delete", action="store_true", help="delete the data afterwards (they are kept in the home folder)"
    )
    parser.add_argument("--results", default=str(ROOT / "benchmarks" / "results" / "encoder.json"))
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    device, made = chosen.device, tiny if chosen.tiny else lambda size: size
    sections = {
        "step": lambda: step(made(STEP), device),
        "small": lambda: small(made(SMALL), chosen.minutes, device),
        "linear": lambda: linear(made(LINEAR), device),
    }
    wanted = [name for name in sections if getattr(chosen, name)] or ([] if chosen.nsd else ["step", "small"])
    for name in wanted:
        where, begun = machine(device), time.perf_counter()
        values = sections[name]()
        label = name if device == "cpu" else f"{name}, {device}"
        show(label, flat(values))
        print(f"  {time.perf_counter() - begun:.0f} s in all")
        keep(chosen.results, label, values | {"machine": where})
    if chosen.nsd:
        nsd_sizes(chosen, chosen.results)
    if chosen.delete:
        shutil.rmtree(home() / "bench", ignore_errors=True)


if __name__ == "__main__":
    main()
