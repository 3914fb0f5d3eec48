"""The last solve by itself, at the size of an NSD subject: seconds, and the share of the machine's speed that it reaches (synthetic).

    python -m benchmarks.solve                      # 1,100 of 10,000 pictures, all 37,984 vertices: half a minute
    python -m benchmarks.solve --vertices 327684 --pictures 300 --repeats 1 --whole 3000
    python -m benchmarks.solve --device cuda

Measured are the products of rows over some pictures, for all vertices, and then mixing and solving of some of the vertices; what
10,000 pictures and all vertices take is extrapolated from the two, each linear. The machine's speed is that of ``torch.mm`` of
2,048², taken before, between and after. The plain reference makes the designs of a few vertices trial by trial, as the solve did
before; it is extrapolated from its own.
"""

import argparse
import time

import numpy as np
import torch

from benchmarks.encoder_step import settle
from benchmarks.measuring import ROOT, keep, machine, median_time, memory, show, watched
from factortopy.encoder import shared
from factortopy.encoder.model import Factorized
from factortopy.encoder.problem import Problem
from factortopy.encoder.solve import PENALTIES, on_all_cores, penalised, weights
from factortopy.features.components import Basis

LAYERS, DIM, GRID = 12, 64, 8


def speed(device, rounds=5):
    """10⁹ multiply-adds and additions a second of ``torch.mm`` of 2,048²."""
    a, b = (torch.randn(2048, 2048, device=device) for _ in range(2))
    out, times = torch.empty_like(a), []
    for _ in range(rounds):
        begun = time.perf_counter()
        torch.mm(a, b, out=out)
        settle(device)()
        times.append(time.perf_counter() - begun)
    return 2 * 2048**3 / min(times) / 1e9


def problem_of(pictures, vertices, components, repeats, device):
    """Random scores and responses; all layers have the same scores in memory, which costs as much to read as others."""
    rng = np.random.default_rng(0)
    local = rng.standard_normal((pictures, GRID**2, components), np.float32).astype(np.float16)
    heads = rng.standard_normal((pictures, components), np.float32).astype(np.float16)
    basis = Basis(*(torch.ones(components, device=device),) * 3)
    image = rng.permutation(np.repeat(np.arange(pictures), repeats))
    learnt = pictures * 9 // 10
    return Problem(
        [local] * LAYERS, [heads] * LAYERS, [basis] * LAYERS, [basis] * LAYERS,
        rng.standard_normal((len(image), vertices), np.float32), image, np.flatnonzero(image < learnt),
        np.flatnonzero(image >= learnt), np.arange(0), rng.uniform(0, 100, (vertices, 3)).astype(np.float32),
        np.ones(vertices, bool), GRID, torch.device(device),
    )  # fmt: skip


def scattered(problem):
    """A model whose vertices look everywhere and at all layers."""
    model = Factorized(problem, DIM, 0)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for factor in model.selectors.factors.values():
            torch.nn.init.normal_(factor[-1].weight)
    return model


@torch.no_grad()
def plain(problem, model, vertices):
    """Weights of some vertices from designs of single trials, made once for training and twice for validation trials."""
    cortex = model.cortex(torch.from_numpy(vertices).to(problem.device))

    def designs(trials):
        for i in range(0, len(trials), 384):
            block = trials[i : i + 384]
            x = model.design(model.pictures(problem.tokens(block)), cortex)
            yield x, problem.answers(block, vertices).T

    def added(trials, gram, moment):
        for x, y in designs(trials):
            gram, moment = gram + x.mT @ x, moment + (x.mT @ y[..., None])[..., 0]
        return gram, moment

    sums = added(problem.train, 0, 0)
    candidates = torch.stack([penalised(*sums, p) for p in PENALTIES], -1)
    error = sum(((x @ candidates - y[..., None]) ** 2).sum(1) for x, y in designs(problem.val))
    chosen = torch.tensor(PENALTIES, device=problem.device)[error.argmin(1)]
    return penalised(*added(problem.val, *sums), chosen[:, None, None])


def work(pairs, components, pictures, vertices):
    """10⁹ operations of the solve by part, a multiply-add counted as two."""
    width, half = LAYERS * DIM, DIM * (DIM + 1) // 2
    return {
        "alignment": 2 * pictures * LAYERS * (GRID**2 + 1) * components * DIM / 1e9,
        "products of rows": 2 * pictures * pairs * width**2 / 1e9,
        "products with responses": 2 * pictures * vertices * 5 * width / 1e9,
        "mixing": 2 * vertices * 2 * 15 * LAYERS**2 * half / 1e9,
        "solving": vertices * (len(PENALTIES) + 1) * DIM**3 / 3 / 1e9,
    }


def solve_alone(pictures=1100, vertices=37984, components=714, repeats=3, device="cpu", whole=10000, few=4096):
    problem, wait = problem_of(pictures, vertices, components, repeats, device), settle(device)
    model, all_of_it = scattered(problem), np.arange(vertices)
    with torch.no_grad():
        cortex = model.cortex(torch.from_numpy(all_of_it).to(device))
        places = model.places(cortex, vertices)
        places = places.of(places.cells[:, 0].argsort())
    means = problem.train_pictures.answers(np.arange(32)).mean(0)
    problem.val_pictures.answers(np.arange(1))  # both parts are averaged by now
    speeds, shared.SLOWER = [speed(device)], float("inf")  # of so few pictures designs might be less work
    with watched() as peaks:
        (before,) = memory("VmRSS")
        begun, worked = time.perf_counter(), time.process_time()
        each = shared.by_products(problem, model, all_of_it, cortex, means)
        parts = next(each)
        wait()
        read = time.perf_counter() - begun
        free = (time.process_time() - worked) / read
        speeds.append(speed(device))
        parts = parts[:: max(1, vertices // few)]
        begun = time.perf_counter()
        for _ in on_all_cores(lambda both: weights(*both()), parts, problem.device):
            pass
        wait()
        solved = (time.perf_counter() - begun) / sum(len(k) for k, _ in parts)
    speeds.append(speed(device))
    begun = time.perf_counter()
    sample = all_of_it[:: vertices // 128][:128]
    plain(problem, model, sample)
    wait()
    slow = (time.perf_counter() - begun) / len(sample)
    pairs = {pair for _, cells in places.groups() for pair in shared.pairs_of(cells)}
    parts, fastest = work(len(pairs), components, pictures, vertices), max(speeds)
    reading = sum(list(parts.values())[:3])
    solving = sum(list(parts.values())[3:]) / vertices
    product = torch.randn(LAYERS * DIM, LAYERS * DIM, device=device)
    (once,) = median_time([lambda: shared.packed(product, DIM)], 5, settle=wait)
    once *= 2 * len(pairs)  # does not grow with the pictures
    seconds = (read - once) * whole / pictures + once + solved * vertices
    total = sum(work(len(pairs), components, whole, vertices).values())
    return {
        "size": f"{pictures:,} of {whole:,} pictures, {repeats} trials each, {vertices:,} vertices, {LAYERS} layers of "
        f"{components} components, D = {DIM} (synthetic)",
        "torch.mm of 2,048², GFLOP/s": fastest,
        "the same before, between and after": ", ".join(f"{s:.0f}" for s in speeds),
        "cores that were free meanwhile": free,
        "products, s": read,
        "products, share of torch.mm": reading / read / fastest,
        "mixing and solving of a vertex, ms": 1e3 * solved,
        "mixing and solving, share of torch.mm": solving / solved / fastest,
        f"whole solve, {whole:,} pictures, s (extrapolated)": seconds,
        "whole solve, TFLOP": total / 1e3,
        "whole solve, share of torch.mm (extrapolated)": total / seconds / fastest,
        "peak memory above the data, MB": peaks["all told"] - before,
        "plain reference, of a vertex, ms": 1e3 * slow,
        f"plain reference, whole solve, {whole:,} pictures, s (extrapolated)": slow * vertices * whole / pictures,
        "times faster (extrapolated)": slow * vertices * whole / pictures / seconds,
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1100)
    parser.add_argument("--vertices", type=int, default=37984)
    parser.add_argument("--components", type=int, default=714, help="of a layer")
    parser.add_argument("--repeats", type=int, default=3, help="trials of a picture")
    parser.add_argument("--whole", type=int, default=10000, help="pictures that are extrapolated to")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", default=str(ROOT / "benchmarks" / "results" / "encoder.json"))
    chosen = parser.parse_args(arguments)
    sizes = chosen.pictures, chosen.vertices, chosen.components, chosen.repeats
    values = solve_alone(*sizes, chosen.device, chosen.whole)
    label = f"last solve, {chosen.vertices:,} vertices" + ("" if chosen.device == "cpu" else f", {chosen.device}")
    show(label, values)
    keep(chosen.results, label, values | {"machine": machine(chosen.device)})


if __name__ == "__main__":
    main()
