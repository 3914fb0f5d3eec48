"""Where the time of one step of the `fast` recipe goes, at the shape that users have (synthetic numbers, nothing is learnt).

    python -m benchmarks.fast_step            # 512 vertices × 256 pictures, 12 layers of 768 channels, 702 components, 49 aligned channels
    python -m benchmarks.fast_step --tiny

Each part is timed in turns with a product of two 2,048² matrices, so that a busy machine is slow for both: the last column says how
many such products a part takes, which is what to compare across days.
"""

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.measuring import show
from factortopy.encoder.fast import FastFit, FastSettings, quick
from factortopy.encoder.model import Factorized
from factortopy.encoder.problem import Problem
from factortopy.encoder.solve import ridge
from factortopy.features.components import Basis
from factortopy.storage.home import home

SIZE = SimpleNamespace(
    pictures=600, layers=12, channels=768, components=702, vertices=4000, dim=49, side=2048, rounds=5
)
TINY = SimpleNamespace(pictures=40, layers=2, channels=192, components=160, vertices=64, dim=8, side=64, rounds=1)


def problem_of(size, folder):
    """A ``Problem`` of random tokens on disk, as large as those of a network, and of random responses."""
    rng, tokens = np.random.default_rng(0), []
    for l in range(size.layers):
        shape = (size.pictures, 8, 8, size.channels)
        file = np.lib.format.open_memmap(folder / f"{l}.npy", "w+", np.float16, shape)
        for i in range(size.pictures):
            file[i] = rng.standard_normal(shape[1:], np.float32)
        file.flush()
        tokens.append(np.load(file.filename, mmap_mode="r"))
    heads = [t[:, 0, 0] for t in tokens]
    turn = torch.eye(size.channels)[:, : size.components].contiguous()
    one, mean = torch.ones(size.components), torch.zeros(size.channels)
    bases = [Basis(turn, torch.zeros_like(one), one, mean)] * size.layers
    rows, n = np.arange(size.pictures), size.pictures * 9 // 10
    coords = rng.uniform(0, 100, (size.vertices, 3)).astype(np.float32)
    responses = rng.standard_normal((size.pictures, size.vertices), np.float32)
    return Problem(
        tokens, heads, bases, bases, responses, rows, rows[:n], rows[n:], rows[n:], coords,
        np.ones(size.vertices, bool), 8, torch.device("cpu"), raw=True,
    )  # fmt: skip


def scattered_fit(problem, size):
    """A fit ready to step, its selectors scattered over the picture as fitted ones are."""
    model = Factorized(problem, size.dim, 0)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for network in model.selectors.factors.values():
            torch.nn.init.normal_(network[-1].weight)
    return FastFit(problem, FastSettings(dim=size.dim), model, 0, begin=False)


def parts(fit):
    """{name: call} of the parts of a step; forward and backward together where there are both."""
    problem, model = fit.problem, fit.model
    vertices, pictures = fit.parts(1)
    shown, which, n = problem.train_pictures, torch.from_numpy(vertices), 2 * len(pictures) // 3
    tokens, response = shown.tokens(pictures, dtype=fit._dtype), shown.answers(pictures, vertices).T
    with torch.no_grad():
        rows = model.pictures(tokens).requires_grad_()
        design = model.design(rows, model.cortex(which)).requires_grad_()

    def backward(make):
        value = make()
        value.backward(torch.ones_like(value))

    def solved():
        weight, x, y = ridge(design[:, :n], response[:, :n], fit.readout())
        return F.mse_loss(((design[:, n:] - x) @ weight[..., None])[..., 0] + y, response[:, n:])

    return {
        "tokens and responses read": lambda: (
            shown.tokens(pictures, dtype=fit._dtype),
            shown.answers(pictures, vertices),
        ),
        "tokens aligned": lambda: backward(lambda: model.pictures(tokens)),
        "selectors and shared taps": lambda: backward(lambda: model.design(rows, model.cortex(which))),
        "ridge": lambda: backward(solved),
        "whole step": lambda: fit.loss(1, vertices, pictures).backward(),
    }


def table(size, folder):
    """{number format of the alignments: {part: text}}."""
    fit, square, out = scattered_fit(problem_of(size, folder), size), torch.randn(size.side, size.side), {}
    for dtype in dict.fromkeys((torch.float32, quick(fit.problem.device))):
        fit._dtype = dtype
        for name, call in parts(fit).items():
            seconds, products = [], []
            for k in range(size.rounds + 1):
                for timed, each in ((lambda: square @ square, products), (call, seconds)):
                    begun = time.perf_counter()
                    timed()
                    if k:  # the first is to warm up
                        each.append(time.perf_counter() - begun)
            own, product = np.median(seconds), np.median(products)
            speed = 2 * size.side**3 / product / 1e9
            row = out.setdefault(f"aligned in {str(dtype).removeprefix('torch.')}", {})
            row[name] = f"{own:.3f} s = {own / product:.1f} at {speed:.0f} GF/s"
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="to try the benchmark itself")
    size = TINY if parser.parse_args().tiny else SIZE
    with tempfile.TemporaryDirectory(dir=home()) as folder:
        show(f"a step: seconds = products of {size.side}² matrices, at their speed", table(size, Path(folder)))


if __name__ == "__main__":
    main()
