"""How fast features are extracted, against the network's bare forward pass in the same run (random pictures).

    python -m benchmarks.extraction [--pictures 256] [--device cuda]

Both take turns, batch for batch of the same size, so that a busy machine is slow for both. The bare pass gets normalised
pictures that lie ready in memory and its output is thrown away; extraction hashes, reads, normalises, reads every layer, pools
to 8 × 8, turns into half precision and writes. Also the memory of an extraction of 73,000 pictures' size (--large: a network of
one layer, since only its output matters). Prints tables and writes benchmarks/results/extraction.json.
"""

import argparse
import time

import numpy as np
import torch

import factortopy as ft
from benchmarks.measuring import ROOT, keep, machine, own_home, peak_above, show
from factortopy.backbones.base import Backbone
from factortopy.features import extract

NETWORKS = {"demo-vit": 4, "timm/vit_small_patch16_224 untrained": 1}  # and how many times as many pictures
BATCH, ROUNDS = 32, 5
RESULTS = ROOT / "benchmarks" / "results" / "extraction.json"


def pictures(n, side, seed=0):
    """(n, side, side, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def compare(name, n, device):
    """Seconds of the bare pass and of extraction of the same n pictures, and tokens a second of each."""
    backbone = ft.load_backbone(name).to(device)
    module = getattr(backbone, "module", backbone.model)
    images = pictures(n, backbone.input_size)
    ready = backbone.prepare(images[:BATCH])
    mixed = torch.autocast(device, dtype=torch.float16, enabled=device == "cuda")

    def bare():
        with torch.inference_mode(), mixed:
            for _ in range(n // BATCH):
                module(ready)
        if device == "cuda":
            torch.cuda.synchronize()

    def whole():
        with own_home():
            extract(backbone, images, device=device)

    times = {"bare": [], "whole": []}
    for i in range(ROUNDS + 1):
        for key, call in (("bare", bare), ("whole", whole)):
            begun = time.perf_counter()
            call()
            if i:
                times[key].append(time.perf_counter() - begun)
    bare_time, whole_time = (float(np.median(t)) for t in times.values())
    ratios = np.array(times["whole"]) / np.array(times["bare"])
    with own_home():
        features = extract(backbone, images[:2], device=device)
    each = sum(local.shape[1] * local.shape[2] for local in features.local) + len(features.global_)
    return {
        "pictures": n,
        "bare forward pass, pictures/s": n / bare_time,
        "extraction, pictures/s": n / whole_time,
        "extraction, tokens written/s": n * each / whole_time,
        "extraction / bare, median of rounds": float(np.median(ratios)),
        "extraction / bare, least": float(ratios.min()),
    }


class OneLayer(Backbone):
    """As many numbers a picture as a ViT-B has in its twelve layers, for next to no work."""

    name, layer_names, width, input_size, fingerprint = "one-layer", ("only",), 9216, 16, "one-layer"

    def tokens(self, images):
        tokens = torch.from_numpy(images).float().mean((1, 2, 3)).reshape(-1, 1, 1, 1).expand(-1, 8, 8, self.width)
        return [tokens], [tokens[:, 0, 0]]


def large(n):
    """Memory above what was in use, and disk, of an extraction of n pictures of ViT-B's size."""
    images, made = pictures(n, 16), {}
    with own_home():
        peak = peak_above(lambda: made.update(features=extract(OneLayer(), images)))
        size = sum(a.nbytes for a in (*made["features"].local, *made["features"].global_))
    return {"pictures": n, "peak memory above the start, MB": peak, "on disk, GB": size / 1e9}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=64, help="of the larger network")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--large", type=int, default=0, help="pictures whose memory is measured (10,000 take 12 GB of disk)"
    )
    options = parser.parse_args()
    facts = machine(options.device)
    if options.large:
        found = large(options.large)
        show("memory", found)
        keep(RESULTS, "memory", {"machine": facts, **found})
        return
    found = {name: compare(name, options.pictures * more, options.device) for name, more in NETWORKS.items()}
    show(f"extraction on {options.device}", found)
    keep(RESULTS, options.device, {"machine": facts, **found})


if __name__ == "__main__":
    main()
