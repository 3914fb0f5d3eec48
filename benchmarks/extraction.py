"""How fast features are extracted, against the network's bare forward pass in the same run (random pictures).

    python -m benchmarks.extraction [--pictures 256] [--device cuda] [--memory 5000] [--estimate 2000] [--several 512]

Both take turns, batch for batch of the same size, so that a busy machine is slow for both; processor time (OMP_NUM_THREADS=1) is what
a busy machine changes least. The bare pass gets normalised
pictures that lie ready in memory and its output is thrown away; extraction hashes, reads, normalises, reads every layer, pools
to 8 × 8, turns into half precision and writes. With --memory N the memory of extracting N and N / 4 pictures instead (a network
of ViT-B's shapes and next to no work, pictures drawn one by one), with and without principal components. With --estimate N what
is said before 73,000 pictures against the time of N, extrapolated (JPEG files of NSD's size, and NSD's HDF5). With --several N
two networks in one pass against one after the other, and bfloat16 against float32. Prints tables and writes
benchmarks/results/extraction.json.
"""

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import h5py
import numpy as np
import torch
from PIL import Image

import factortopy as ft
from benchmarks.measuring import (
    HONEST_MEMORY,
    ROOT,
    forget_peak,
    in_child,
    keep,
    machine,
    memory,
    own_home,
    show,
    watched,
)
from factortopy.backbones.base import Backbone
from factortopy.features.estimate import SIDE, plan
from factortopy.features.extraction import extract, extract_many
from factortopy.runs import costs
from factortopy.subjects.nsd.images import NsdImages

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

    times, busy = {"bare": [], "whole": []}, {"bare": [], "whole": []}
    for i in range(ROUNDS + 1):
        for key, call in (("bare", bare), ("whole", whole)):
            begun, used = time.perf_counter(), time.process_time()
            call()
            if i:
                times[key].append(time.perf_counter() - begun)
                busy[key].append(time.process_time() - used)
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
        "extraction / bare, processor time": float(np.median(np.array(busy["whole"]) / np.array(busy["bare"]))),
    }


class Drawn:
    """Pictures that are drawn when they are asked for: none of them waits in memory."""

    def __init__(self, n, side=224, begin=0):
        self.n, self.side, self.begin = n, side, begin

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if isinstance(i, slice):
            begin, end, _ = i.indices(self.n)
            return Drawn(end - begin, self.side, self.begin + begin)
        if not 0 <= i < self.n:
            raise IndexError(i)
        return pictures(1, self.side, seed=self.begin + i)[0]


class Cheap(Backbone):
    """Tokens of ViT-B's shapes, twelve layers of 14 × 14 × 768 for pictures of 224 pixels, for next to no work."""

    name, layer_names, width, input_size, fingerprint = "cheap", tuple("abcdefghijkl"), 768, 224, "cheap"
    _shapes = [(14, 14, 768)] * 12  # told as real networks tell it: it sets how many pictures are shown at once

    def tokens(self, images):
        cells = torch.from_numpy(images).float().reshape(len(images), 14, 16, 14, 16, 3).mean((2, 4)) / 255
        weights = torch.linspace(-1, 1, 12 * 3 * self.width).sin().reshape(12, 3, self.width)
        local = [cells @ w for w in weights]
        return local, [t.mean((1, 2)) for t in local]


def extracting(n, reduce):
    """Megabytes of this process at its worst during an extraction of n pictures, before it, and gigabytes written."""
    backbone = Cheap()
    extract(backbone, Drawn(4, begin=10**6), cache=False)  # what is loaded once is loaded
    forget_peak()
    (before,) = memory("VmRSS")
    begun = time.perf_counter()
    with own_home(), watched() as peaks:
        features = extract(backbone, Drawn(n), reduce=reduce)
        size = sum(a.nbytes for a in (*features.local, *features.global_))
        del features
    return {
        "pictures": n,
        "components kept": reduce or "all channels",
        "memory before, MB": before,
        "peak, MB": peaks["all told"],
        "peak above the start, MB": peaks["all told"] - before,
        "on disk, GB": size / 1e9,
        "seconds": time.perf_counter() - begun,
    }


def large(n):
    """Memory of extractions of n and of a quarter as many pictures, each in a process of its own."""
    sizes = [(n // 4, None), (n, None), (n // 4, 64), (n, 64)]
    found = [in_child("benchmarks.extraction", "extracting", {"n": m, "reduce": k}, **HONEST_MEMORY) for m, k in sizes]
    return {f"{row['pictures']:,}, {row['components kept']}": row for row in found}


NSD = 73_000
DISTINCT = 200  # pictures on disk, shown again and again
ESTIMATED = {"demo-vit": "NSD's HDF5", "timm/resnet18 untrained": "JPEG files"}


def files(folder, n):
    """Paths of n JPEG files of NSD's size, a few of them again and again."""
    paths = [Path(folder) / f"{k}.jpg" for k in range(min(n, DISTINCT))]
    for k, path in enumerate(paths):
        coarse = Image.fromarray(pictures(1, SIDE // 8, seed=k)[0])
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=92)
    return [paths[k % len(paths)] for k in range(n)]


def stored(kind, folder, n):
    """n pictures of 425 × 425 pixels as sequence: JPEG files, or as NSD keeps them."""
    if kind == "JPEG files":
        return files(folder, n)
    path = Path(folder) / "nsd_stimuli.hdf5"
    with h5py.File(path, "w") as file:
        file["imgBrick"] = pictures(DISTINCT, SIDE)
    return NsdImages(path, np.arange(n) % DISTINCT)


def estimate(name, n, device, clock=time.perf_counter):
    """Hours that 73,000 pictures take: as said before, as said when a tenth is done, and n pictures extrapolated."""
    backbone, kind = ft.load_backbone(name).to(device), ESTIMATED[name]
    with own_home() as folder:
        images, times = stored(kind, folder, n), []
        net = costs.network_of(name)
        with mock.patch("factortopy.features.estimate.time", SimpleNamespace(perf_counter=clock)):
            told = plan(backbone, NSD, images=images)
        begun = clock()
        extract(backbone, images, lambda done, total: times.append((done, clock())), device=device)
        taken = (clock() - begun) * NSD / n
    tenth = max(1, next(k for k, (done, _) in enumerate(times) if done >= n / 10))
    (first, at), (done, then) = times[0], times[tenth]
    later = (then - at) / (done - first) * NSD
    return {
        "pictures": f"{n:,} of {SIDE} x {SIDE}, {kind}",
        "said before, h": told.seconds / 3600,
        "formula of an unmeasured machine, h": costs.extraction_seconds(net, NSD) / 3600 if net else None,
        "left by the pace of the first tenth, h": later / 3600,
        "measured, extrapolated, h": taken / 3600,
        "said before / measured": told.seconds / taken,
        "first tenth / measured": later / taken,
    }


def several(n, device):
    """Seconds of two networks over the same n JPEG files: one after the other, in one pass; and of each in bfloat16."""
    networks = [ft.load_backbone(name).to(device) for name in ESTIMATED]
    rows = {"one after the other": [], "one pass": [], "one pass, bfloat16": []}
    with tempfile.TemporaryDirectory() as folder:
        images = files(folder, n)
        for i in range(3 + 1):
            calls = (
                lambda: [extract(network, images, device=device) for network in networks],
                lambda: extract_many(networks, images, device=device),
                lambda: extract_many(networks, images, device=device, precision="bfloat16"),
            )
            for row, call in zip(rows.values(), calls, strict=True):
                with own_home():
                    begun = time.perf_counter()
                    call()
                    if i:
                        row.append(time.perf_counter() - begun)
    after = np.array(rows["one after the other"])
    return {"pictures": n, "networks": ", ".join(ESTIMATED)} | {
        f"{name}, {what}": value
        for name, row in rows.items()
        for what, value in (("s", float(np.median(row))), ("ratio", float(np.median(np.array(row) / after))))
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=64, help="of the larger network")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", type=int, default=0, metavar="N",
                        help="measure the memory of extracting N pictures instead (5,000 take 6 GB of disk)")  # fmt: skip
    parser.add_argument(
        "--estimate", type=int, default=0, metavar="N", help="what is said before 73,000 pictures instead"
    )
    parser.add_argument(
        "--busy", action="store_true", help="--estimate in processor time (OMP_NUM_THREADS=1), on a busy machine"
    )
    parser.add_argument(
        "--several", type=int, default=0, metavar="N", help="two networks in one pass over N pictures instead"
    )
    options = parser.parse_args()
    facts = machine(options.device)
    if options.memory:
        found = large(options.memory)
        show("memory", found)
        keep(RESULTS, "memory", {"machine": facts, **found})
        return
    if options.estimate:
        clock = time.process_time if options.busy else time.perf_counter
        found = {name: estimate(name, options.estimate, options.device, clock) for name in ESTIMATED}
        show("73,000 pictures", found)
        keep(RESULTS, "estimate, processor time" if options.busy else "estimate", {"machine": facts, **found})
        return
    if options.several:
        found = several(options.several, options.device)
        show("several networks", found)
        keep(RESULTS, "several", {"machine": facts, **found})
        return
    found = {name: compare(name, options.pictures * more, options.device) for name, more in NETWORKS.items()}
    show(f"extraction on {options.device}", found)
    keep(RESULTS, options.device, {"machine": facts, **found})


if __name__ == "__main__":
    main()
