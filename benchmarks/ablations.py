"""Every ablation and baseline on demo subject 1: scores by ROI, time and multiply-adds, as in the paper's Table 3 (simulated).

python -m benchmarks.ablations [--paper-steps 3000]   writes docs/ablations.md and benchmarks/results/ablations.json
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

import factortopy as ft
from benchmarks.measuring import ROOT, keep, machine
from factortopy.encoder.paper import PaperSettings

ROIS = ("V1", "V2", "V3", "hV4", "OPA", "EBA", "FFA", "PPA")
FAST = {
    "full model": {},
    "without layer": {"select": ("space", "scale")},
    "without space": {"select": ("layer", "scale")},
    "without scale": {"select": ("space", "layer")},
    "without topology": {"topology": False},
    "three space samples": {"space_samples": 3},
    "class token": {"model": "classtoken"},
    "patch token": {"model": "patchtoken"},
    "GNet": {"model": "gnetvit"},
    "pooled ridge, PCA of the network's weights": {"model": "ridge"},
    "pooled ridge, PCA of the data": {"model": "ridge", "reduce": "data"},
    "pooled ridge, one layer (6), PCA of the weights": {"model": "ridge", "layer": 5},
}


def multiply_adds(encoder, features):
    """Millions of multiply-adds that all responses to one picture take, without the network's own."""
    with FlopCounterMode(display=False) as counter:
        encoder.predict_features(features[:1])
    return counter.get_total_flops() / 2e6


def row(subject, features, **how):
    """Fit, score by ROI."""
    begun = time.perf_counter()
    encoder = ft.fit(subject, features, **how)
    seconds = time.perf_counter() - begun
    score = ft.brain_score(encoder, subject, features)
    found = {"all": float(np.nanmean(score)), **{n: float(np.nanmean(score[encoder.rois[n]])) for n in ROIS}}
    found |= {"time, s": seconds, "multiply-adds, M": multiply_adds(encoder, features)}
    return encoder, found


def agreement(a, b, subject):
    """How alike two encoders' selectors are, over vertices with a noise ceiling above 0.2."""
    a, b, use = a.selectors(), b.selectors(), subject.noise_ceiling > 0.2
    near = use & (b.scale < 0.6) & (a.scale < 0.6)
    return {
        "layer argmax equal": float((a.layer_argmax == b.layer_argmax)[use].mean()),
        "layer argmax equal or next": float((np.abs(a.layer_argmax - b.layer_argmax) <= 1)[use].mean()),
        "mean layer, r": float(np.corrcoef(a.layer_mean[use], b.layer_mean[use])[0, 1]),
        "space, median distance in grid cells": float(np.median(np.abs(a.space - b.space)[near].max(1)) * 4),
        "scale, r": float(np.corrcoef(a.scale[use], b.scale[use])[0, 1]),
    }


def markdown(rows, ceiling, agree, where, paper_steps):
    """docs/ablations.md."""
    lines = [
        "# Ablations and baselines on demo subject 1",
        "",
        "**Simulated data**: rendered pictures, a simulated subject, `demo-vit`. Nothing here may be compared with figures on human",
        "data. Mean R² on test pictures by area (not divided by the ceiling, which is in the last line), time of the fit from",
        "tokens at hand (on a machine shared with other work: up to twice what it takes alone), multiply-adds for all 2,154",
        "responses to one picture (without the network's own).",
        f"Made by `python -m benchmarks.ablations` on {where}. Each line is one argument of `ft.fit`, or of",
        "`python -m factortopy train` (`--select`, `--no-topology`, `--space-samples`, `--model`, `--recipe`).",
        "",
        "| | " + " | ".join(("all", *ROIS)) + " | time, s | multiply-adds, M |",
        "|---|" + "---|" * (len(ROIS) + 3),
    ]
    for name, values in rows.items():
        scores = " | ".join(f"{values[key]:.3f}" for key in ("all", *ROIS))
        lines.append(f"| {name} | {scores} | {values['time, s']:.0f} | {values['multiply-adds, M']:.1f} |")
    lines.append("| noise ceiling | " + " | ".join(f"{ceiling[key]:.3f}" for key in ("all", *ROIS)) + " | | |")
    lines += [
        "",
        "## Do the recipes and seeds tell the same story?",
        "",
        "Agreement of selectors with the full model (`fast`, seed 0) over vertices with a ceiling above 0.2; `paper` was stopped after",
        f"{paper_steps:,} steps.",
        "",
        "| | " + " | ".join(agree) + " |",
        "|---|" + "---|" * len(agree),
    ]
    for key in next(iter(agree.values())):
        lines.append(f"| {key} | " + " | ".join(f"{values[key]:.2f}" for values in agree.values()) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper-steps", type=int, default=3000, help="of the paper recipe (its own: up to 60,000)")
    chosen = parser.parse_args()
    subject, backbone = ft.load_subject("demo-1"), ft.load_backbone("demo-vit")
    features = ft.extract(backbone, subject.images)
    ft.fit(subject, features, steps=1)  # tokens are reduced once; all that follow find them
    rows, encoders = {}, {}
    for name, how in FAST.items():
        encoders[name], rows[name] = row(subject, features, **how)
        print(name, rows[name], flush=True)
    for seed in (1, 2):
        encoders[f"fast, seed {seed}"], _ = row(subject, features, seed=seed)
    settings = replace(PaperSettings(), steps=chosen.paper_steps, every=500)
    name = f"full model, `paper` recipe, {chosen.paper_steps:,} steps"
    encoders["paper"], rows[name] = row(subject, features, recipe="paper", settings=settings)
    first = encoders["full model"]
    agree = {n: agreement(first, encoders[n], subject) for n in ("fast, seed 1", "fast, seed 2", "paper")}
    ceiling = {"all": float(np.nanmean(subject.noise_ceiling))}
    ceiling |= {n: float(np.nanmean(subject.noise_ceiling[subject.rois[n]])) for n in ROIS}
    where = machine("cpu")
    values = {"scores": rows, "ceiling": ceiling, "agreement": agree, "machine": where, "simulated": True}
    keep(ROOT / "benchmarks" / "results" / "ablations.json", "demo-1, demo-vit", values)
    (ROOT / "docs" / "ablations.md").write_text(
        markdown(rows, ceiling, agree, "two cores without a GPU", chosen.paper_steps), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
