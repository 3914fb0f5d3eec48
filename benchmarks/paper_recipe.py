"""What each deviation of ``recipe="paper"`` from the paper's released code changes, one at a time, on demo subject 1 (simulated).

python -m benchmarks.paper_recipe [--steps 800]   writes benchmarks/results/paper_recipe.json and prints the table of
docs/paper_recipe.md

Every fourth vertex, every second layer and shortened fits, so that it takes minutes; λ's decay is shortened with them: gone
after half of the steps, or a sixth where the released code's third of the paper's number is tried.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed

import factortopy as ft
from benchmarks.ablations import agreement
from benchmarks.measuring import ROOT, keep, machine
from factortopy.encoder.paper import PaperSettings

RELEASED = PaperSettings.released()


def one(name):
    """The default with one setting of the released code."""
    return {name: getattr(RELEASED, name)}


def variants(steps):
    """{words: changes of the default's settings}."""
    return {
        "default": {},
        "default, another seed": {"seed": 1},
        "tokens resized without antialiasing": one("antialias"),
        "tokens not standardised": one("standardise"),
        "positions on the sphere": one("surface"),
        "positions stretched over the vertices at hand": one("span"),
        "both": one("surface") | one("span"),
        "responses as they are": one("own_unit"),
        "batches from shuffled passes": one("passes"),
        "gradient clipped to 0.5": one("clip"),
        "λ gone in a third of the time": {"decay": steps / 6},
        "λ counted from 0, 1e-8 in the logarithm": one("first") | one("added"),
        "last state, no soup, no early stop": one("patience") | one("ingredients"),
        "all of the released code": {
            field: getattr(RELEASED, field) for field in RELEASED.__dataclass_fields__ if field not in ("steps", "decay", "every")
        } | {"decay": steps / 6},
    }  # fmt: skip


def thinned(subject, step=4):
    """The subject with every so many vertices, and all that belongs to them."""
    keep_ = slice(None, None, step)
    return ft.Subject(
        np.asarray(subject.responses)[:, keep_], subject.images, subject.hemi[keep_], subject.vertex[keep_],
        rois={name: mask[keep_] for name, mask in subject.rois.items()}, noise_ceiling=subject.noise_ceiling[keep_],
        image_index=subject.image_index, split=subject.split, name=subject.name, simulated=True, density=subject.density,
    )  # fmt: skip


def resizing(aliased, smooth):
    """Correlation of every layer's tokens between the two ways of resizing: over all numbers, and each channel's mean."""
    rows = []
    for a, b in zip(aliased.local, smooth.local, strict=True):
        a, b = (np.asarray(x[:300], np.float32).reshape(-1, x.shape[-1]) for x in (a, b))
        a, b = a - a.mean(0), b - b.mean(0)
        rows.append(float(np.nanmean((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))))
    return rows


def fitted(change, steps):
    """(selectors, R² (N,), seconds) of a fit with one change of the default."""
    whole, backbone, begun = ft.load_subject("demo-1"), ft.load_backbone("demo-vit"), time.perf_counter()
    settings = replace(PaperSettings(every=None, steps=steps), decay=steps / 2)
    settings = replace(settings, **{key: value for key, value in change.items() if key != "seed"})
    features = ft.extract(backbone, whole.images, antialias=settings.antialias)
    features, subject = features.only(range(1, len(features.local), 2)), thinned(whole)
    encoder = ft.fit(subject, features, recipe="paper", settings=settings, seed=change.get("seed", 0))
    return encoder, ft.brain_score(encoder, subject, features), time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    whole, backbone = ft.load_subject("demo-1"), ft.load_backbone("demo-vit")
    features = {how: ft.extract(backbone, whole.images, antialias=how) for how in (True, False)}
    correlations = resizing(features[False], features[True])
    print("resizing, correlation of tokens by layer:", " ".join(f"{r:.3f}" for r in correlations), flush=True)
    changes, rows, base = variants(chosen.steps), {}, None
    ceiling = thinned(whole)
    use = ceiling.noise_ceiling > 0.2
    outcomes = Parallel(chosen.jobs, return_as="generator")(delayed(fitted)(c, chosen.steps) for c in changes.values())
    for words, (encoder, score, seconds) in zip(changes, outcomes, strict=True):
        base = base or (encoder, score)
        rows[words] = {
            "R²": float(np.nanmean(score)), "R² over vertices, r": float(np.corrcoef(score[use], base[1][use])[0, 1]),
            **agreement(base[0], encoder, ceiling), "confidence": float(encoder.selectors().layer_confidence[use].mean()),
            "seconds": seconds,
        }  # fmt: skip
        print(words, {key: round(value, 3) for key, value in rows[words].items()}, flush=True)
    values = {
        "rows": rows,
        "resizing": correlations,
        "steps": chosen.steps,
        "machine": machine("cpu"),
        "simulated": True,
    }
    keep(ROOT / "benchmarks" / "results" / "paper_recipe.json", "demo-1, demo-vit", values)
    keys = list(next(iter(rows.values())))[:-1]
    print("| | " + " | ".join(keys) + " |\n|---|" + "---|" * len(keys))
    for words, row in rows.items():
        print(f"| {words} | " + " | ".join(f"{row[key]:.3f}" for key in keys) + " |")


if __name__ == "__main__":
    main()
