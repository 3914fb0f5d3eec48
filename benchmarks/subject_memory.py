"""How much memory a full NSD subject takes: 27,750 trials × 37,984 vertices, mapped from a file of 4.2 GB (synthetic).

    python -m benchmarks.subject_memory [--share 0.1] [--steps 20]

Synthetic responses of that size are written as the NSD loader keeps them (float32, trials × vertices) and mapped; 10,000
solid-colour pictures are made when asked for and seen up to three times. In a process of its own: the subject is loaded
(all checks), features of a demo network extracted, the fit posed, and with --steps a fast fit made. The peak counts everything:
libraries and pages of mapped files as well. ``--share`` takes that share of trials, pictures and vertices each. Needs about
7 GB of disk at full size, below the home folder.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.measuring import HONEST_MEMORY, in_child, keep, machine, memory, own_home, show, watched

TRIALS, VERTICES, PICTURES, SIDE = 27_750, 37_984, 10_000, 425
LIMIT = 6000  # MB that it has to stay within
RESULTS = Path(__file__).resolve().parent / "results" / "subject_memory.json"


class SolidColours:
    """Pictures of one colour each, made when asked for: a sequence of (425, 425, 3) uint8."""

    def __init__(self, colours):
        self.colours = np.asarray(colours, dtype=np.uint8)

    def __len__(self):
        return len(self.colours)

    def __getitem__(self, i):
        if isinstance(i, slice) or np.ndim(i):
            return SolidColours(self.colours[i])
        return np.broadcast_to(self.colours[i], (SIDE, SIDE, 3))


def write_responses(path, image, colours, n_vertices, seed=0):
    """A .npy of responses to colours with noise, written block by block; the noise is one block, rolled (cheap)."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(3, n_vertices)).astype(np.float32)
    noise = rng.standard_normal((64, n_vertices), dtype=np.float32)
    signal = (colours / 127.5 - 1).astype(np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (len(image), n_vertices))
    offset = out.offset
    del out
    with open(path, "r+b") as file:
        file.seek(offset)
        for start in range(0, len(image), 64):
            rows = image[start : start + 64]
            block = signal[rows] @ mix + np.roll(noise, start // 64 * 37, axis=1)[: len(rows)]
            block.tofile(file)


def build(folder, share):
    """Write the responses; what the measured process needs to know."""
    rng = np.random.default_rng(1)
    n_pictures, n_trials = int(PICTURES * share), int(TRIALS * share)
    n_vertices = 2 * (int(VERTICES * share) // 2)
    colours = rng.integers(0, 256, (n_pictures, 3), dtype=np.uint8)
    image = np.concatenate([rng.permutation(n_pictures), rng.permutation(np.repeat(np.arange(n_pictures), 2))])[
        :n_trials
    ]
    np.save(folder / "colours.npy", colours)
    np.save(folder / "image.npy", image)
    write_responses(folder / "responses.npy", image, colours, n_vertices)
    return n_trials, n_vertices, n_pictures


def measure(folder, steps):
    """Load, extract, pose, fit: peak memory and seconds of each, in MB (10⁶ bytes)."""
    import factortopy as ft
    from factortopy.encoder.problem import pose
    from factortopy.formats.npy import safe_npy
    from factortopy.subjects.subject import Subject

    folder, out = Path(folder), {}

    def stage(name, call):
        begun = time.perf_counter()
        with watched() as peaks:
            result = call()
        out[name] = {"seconds": time.perf_counter() - begun, "peak MB": peaks["all told"], "own MB": peaks["anonymous"]}
        return result

    def load():
        responses = safe_npy(folder / "responses.npy", kinds="f")
        n = responses.shape[1] // 2
        rng = np.random.default_rng(2)
        coords = rng.normal(size=(2 * n, 3))
        coords *= 50 / np.linalg.norm(coords, axis=1, keepdims=True)
        coords[n:, 0] += 110
        return Subject(
            responses, SolidColours(np.load(folder / "colours.npy")), np.repeat([0, 1], n), np.tile(np.arange(n), 2),
            coords=coords, image_index=np.load(folder / "image.npy"), name="synthetic", simulated=True, density="164k",
        )  # fmt: skip

    out["libraries"] = {"seconds": 0.0, "peak MB": memory("VmRSS")[0], "own MB": memory("RssAnon")[0]}
    subject = stage("load", load)
    features = stage("extract", lambda: ft.extract(ft.load_backbone("demo-vit"), subject.images))
    stage("pose", lambda: pose(subject, features, 8, "cpu"))
    if steps:
        stage(f"fit, {steps} steps", lambda: ft.fit(subject, features, steps=steps))
    assert isinstance(subject.responses, np.memmap)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of trials, pictures and vertices (default 1: all)")
    parser.add_argument("--steps", type=int, default=0, help="also fit this many steps (default 0: none)")
    options = parser.parse_args()
    about = machine("cpu")
    with own_home() as home:
        folder = Path(home)
        sizes = build(folder, options.share)
        environment = HONEST_MEMORY | {"FACTORTOPY_HOME": home}
        found = in_child(
            "benchmarks.subject_memory", "measure", {"folder": str(folder), "steps": options.steps}, **environment
        )
        size = (folder / "responses.npy").stat().st_size / 1e6
    peak = max(each["peak MB"] for each in found.values())
    words = "{:,} trials × {:,} vertices, {:,} pictures".format(*sizes)
    columns = {
        column: {name: each[column] for name, each in found.items()} for column in ("seconds", "peak MB", "own MB")
    }
    show(f"{words}: a mapped file of {size:,.0f} MB (synthetic)", columns)
    print(f"peak {peak:,.0f} MB; limit {LIMIT:,} MB: {'kept' if peak <= LIMIT else 'broken'}")
    if options.share == 1:
        keep(RESULTS, "full size", {"machine": about, "stages": found, "file MB": size, "peak MB": peak})


if __name__ == "__main__":
    main()
