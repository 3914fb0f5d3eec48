"""Before the first step: seconds of each part, from an empty cache and from a full one, beside the plain way (synthetic).

python -m benchmarks.begin            a tenth of the pictures of ``benchmarks.encoder --nsd --size a``, and of its vertices
python -m benchmarks.begin --whole    all of them
python -m benchmarks.begin --data DIR the problems of ``benchmarks.encoder --nsd`` are there

The plain way, measured on one layer and counted for all: its tokens as float32, standardised, covariance of all of them, eigenvectors,
scores on the components that hold 99 %.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch

from benchmarks.measuring import show, watched
from benchmarks.nsd_size import SIZES, product_rate, settings_for, tenth
from benchmarks.planted_size import planted_size
from factortopy.encoder import problem as laying_out
from factortopy.encoder import reduce, start
from factortopy.encoder.model import Factorized

PARTS = {
    "moments": (reduce, "moments"),
    "eigenvectors": (reduce, "principal"),
    "scores on the first components, check of all": (reduce, "_project"),
    "cache written": (reduce, "_finish"),
    "cache read": (reduce, "_read"),
    "start: single layers and places": (start.Screen, "__init__"),
    "start: selectors": (start, "fit_selectors"),
    "start: alignments": (start, "_start_alignments"),
}


@contextmanager
def timed():
    """Yields {part: seconds}, summed over calls."""
    seconds = dict.fromkeys(PARTS, 0.0)

    def wrap(name, call):
        def timing(*positional, **named):
            begun = time.perf_counter()
            try:
                return call(*positional, **named)
            finally:
                seconds[name] += time.perf_counter() - begun

        return timing

    with ExitStack() as stack:
        for name, (owner, function) in PARTS.items():
            stack.enter_context(patch.object(owner, function, wrap(name, getattr(owner, function))))
        yield seconds


def begin(planted, size, seed):
    """Seconds of each part, those of threads side by side added up, and of what comes before the first step in all."""
    settings = settings_for(size)
    with timed() as seconds:
        begun = time.perf_counter()
        problem = laying_out.pose(planted.subject, planted.features, size.grid, "cpu")
        posed = time.perf_counter()
        start.start(problem, Factorized(problem, settings.dim, seed), seed)
        done = time.perf_counter()
    return seconds | {"checks and components": posed - begun, "start": done - posed, "in all": done - begun}


def plain(layer, keep=reduce.KEEP):
    """Seconds of the plain way with one layer."""
    begun = time.perf_counter()
    tokens = torch.from_numpy(layer.astype("float32")).flatten(0, 2)
    tokens = (tokens - tokens.mean(0)) / tokens.std(0)
    variance, axes = torch.linalg.eigh(tokens.T @ tokens / len(tokens))
    k = int((variance.flip(0).cumsum(0) < keep * variance.sum()).sum()) + 1
    (tokens @ axes.flip(1)[:, :k]).half()
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--size", choices=SIZES, default="a")
    parser.add_argument("--data")
    arguments = parser.parse_args()
    size = SIZES[arguments.size] if arguments.whole else tenth(SIZES[arguments.size])
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import factortopy.encoder.fitting"], check=True)
    imports = time.perf_counter() - begun
    planted = planted_size(size, folder=arguments.data)
    rate = product_rate()
    columns = {}
    with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, FACTORTOPY_HOME=cache):
        for name, seed in (("empty cache", 0), ("another seed", 1)):
            with watched() as peaks:
                columns[name] = begin(planted, size, seed)
            print(f"{name}: {columns[name]['in all']:.1f} s", flush=True)
            columns[name]["peak, GB (of its own)"] = peaks["anonymous"] / 1e3
    reference = plain(planted.features.local[0]) * size.layers
    rate = (rate + product_rate()) / 2
    cold, n, c = columns["empty cache"], size.images, size.channels
    sampled = min(n, -(-16 * c // size.grid**2)) * size.grid**2 + min(n, 16 * c)
    flops = {
        "moments": 2 * size.layers * c * c * sampled,
        "scores on the first components, check of all": 2 * size.layers * c * reduce.FEW * n * (size.grid**2 + 1),
    }
    columns["share of torch.mm, empty cache"] = {
        part: torch.get_num_threads() * flops[part] / cold[part] / 1e9 / rate for part in flops
    }
    show(f"before the first step: {size}", {
        "import of the library, s": imports, "torch.mm of 2,048², GFLOP/s": rate,
        "reading and components in the plain way, s": reference, "that / ours": reference / cold["checks and components"], **columns,
    })  # fmt: skip


if __name__ == "__main__":
    main()
