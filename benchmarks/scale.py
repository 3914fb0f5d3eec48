"""What a large sweep takes, computed: 8 subjects × 20 networks at the size of NSD, on one machine, one GPU, a cluster.

    python -m benchmarks.scale                       the table of docs/cluster.md
    python -m benchmarks.scale --vertices 327684     both hemispheres of fsaverage, every vertex
    python -m benchmarks.scale --gpus 16 --extraction-speed 150 --fit-speed 20 --price 2.5
    python -m benchmarks.scale --check               how far the formulas are from the runs that they were fitted to
    python -m benchmarks.scale --write               the numbers of a fit anew, from benchmarks/results/encoder.json

Nothing is trained here. Costs are factortopy/runs/costs.py's formulas, whose numbers were measured on two cores without a GPU
(factortopy/runs/costs.json says when, of what and by which benchmark); those of a fit are fitted to what
``benchmarks.encoder --nsd --linear`` measured, by ``--write``; a GPU is those seconds
divided by a speed that you state (the defaults are assumptions, not measurements), and never quicker than the disk. Price per
hour: yours.
"""

import argparse
import heapq
import json

import numpy as np
from scipy.optimize import nnls

from benchmarks.measuring import ROOT, kept, show
from benchmarks.nsd_size import PARTS
from factortopy.backbones.loading import list_backbones
from factortopy.runs.costs import STEPS, extraction_seconds, fit_seconds, fit_terms, network, run_bytes

RESULTS, COSTS = ROOT / "benchmarks" / "results" / "encoder.json", ROOT / "factortopy" / "runs" / "costs.json"
OF = "{} fits of planted problems, 250 pictures × 5,000 vertices to those of NSD's size, 180 steps of the fast recipe"
BY = "python -m benchmarks.encoder --nsd --linear, then python -m benchmarks.scale --write (benchmarks/results/encoder.json)"

# The paper's and those after it: supervised, contrastive, masked, distilled; small to giant.
NETWORKS = (
    "clip-xl", "clip-l", "clip-m", "clip-s", "sam-b", "imagenet-b", "imagenet-l", "dinov2-s", "dinov2-b", "dinov2-l", "dinov2-g",
    "mae-b", "mae-l", "mae-h", "mocov3-s", "mocov3-b", "sd-1.5", "dinov3-b", "siglip2-b", "convnext-b",
)  # fmt: skip
TRIALS = 27_750  # of a subject with 37 public sessions of 750; four of the eight have fewer
PIXELS = 39.6e9  # bytes of NSD's file of pictures, once for all subjects
BASE_MEMORY = 2.1e9  # libraries, model and batches of the fit that was measured (docs/benchmarks.md: 2.6 GB with 0.46 of responses)


def tasks(networks, subjects, pictures, vertices, seeds, extraction_speed, fit_speed, disk_rate, steps=STEPS):
    """[(wave, seconds)] of every run: wave 0 extracts and fits, wave 1 (further seeds) fits only."""
    found = []
    for net in networks:
        read = pictures * net.bytes() / disk_rate
        extract = max(extraction_seconds(net, pictures) / extraction_speed, read)
        fit = max(sum(fit_seconds(net.channels, pictures, vertices, steps)) / fit_speed, read)
        found += [(0, extract + fit)] * subjects + [(1, fit)] * subjects * (seeds - 1)
    return found


def span(found, workers):
    """Seconds until the last one is done: longest first on whoever is free; wave 1 begins when wave 0 has ended."""
    total = 0.0
    for wave in (0, 1):
        ends = [0.0] * workers
        for seconds in sorted((s for w, s in found if w == wave), reverse=True):
            heapq.heapreplace(ends, ends[0] + seconds)
        total += max(ends)
    return total


def disk(networks, subjects, pictures, vertices, trials, seeds):
    """GB by kind, all kept and at the least."""
    features = [pictures * net.bytes() / 1e9 for net in networks]
    return {
        "NSD: pictures, once": PIXELS / 1e9,
        "NSD: betas of whole fsaverage, all subjects": subjects * trials * 327_684 * 4 / 1e9,
        "responses kept by FactorTopy, all subjects": subjects * trials * vertices * 4 / 1e9,
        "features, all kept": subjects * sum(features),
        "features, the largest network of one subject": max(features),
        "finished runs": subjects * seeds * sum(run_bytes(vertices, net.channels) for net in networks) / 1e9,
    }


def memory(pictures, vertices):
    """GB of main memory of one fit: its own, and mapped responses while they are read (the system takes those back)."""
    return {
        "own": (BASE_MEMORY + pictures * vertices * 4) / 1e9,
        "least, responses mapped": (BASE_MEMORY + 400 * vertices * 4) / 1e9,
    }


def table(options):
    """The figures for the options, by section."""
    known = {entry.name: network(entry) for entry in list_backbones()}
    networks = [known[name] for name in NETWORKS[: options.networks]]
    size = (networks, options.subjects, options.pictures, options.vertices)
    cores = tasks(*size, options.seeds, 1.0, 1.0, options.disk_rate)
    gpu = tasks(*size, options.seeds, options.extraction_speed, options.fit_speed, options.disk_rate)
    hours = {}
    for label, found, workers in (
        ("this machine's two cores", cores, 1),
        ("one GPU (assumed speed)", gpu, 1),
        (f"{options.gpus} GPUs (assumed speed)", gpu, options.gpus),
    ):
        hours[label] = {
            "machine hours, all runs": sum(seconds for _, seconds in found) / 3600,
            "hours until the last is done": span(found, workers) / 3600,
        }
        if options.price is not None and "GPU" in label:
            hours[label]["price, busy hours only"] = options.price * hours[label]["machine hours, all runs"]
    parts = {}
    for net in networks:
        prepare, stepping, solve = fit_seconds(net.channels, options.pictures, options.vertices)
        parts[net.name] = {
            "GFLOP a picture": net.operations / 1e9,
            "MB a picture": net.bytes() / 1e6,
            "extraction, h on two cores": extraction_seconds(net, options.pictures) / 3600,
            "fit, min on two cores": (prepare + stepping + solve) / 60,
            "of it steps, min": stepping / 60,
        }
    return {
        "hours": hours,
        "disk, GB": disk(*size, options.trials, options.seeds),
        "memory of one fit, GB": memory(options.pictures, options.vertices),
        "networks": parts,
    }


def measured_fits():
    """[(label, arguments of ``fit_seconds``, its three seconds as measured, date)] of benchmarks/results/encoder.json."""
    results, found = kept(RESULTS), []
    for label, section in results.items():
        if label.startswith("nsd ") and "fit" in section and "decay" not in label and "cuda" not in label:
            fit = section["fit"]
            posed, begun, *took = (fit[f"{part}, s"] for part in PARTS.values())
            sizes = (*sides(section["problem"]), fit["steps"], fit["aligned channels"])
            found.append((label, sizes, (posed + begun, *took), fit["machine"]["date"]))
    linear = results.get("linear", {"problems": {}})
    for label, problem in linear["problems"].items():
        posed, begun, step, solve = (linear[row][label] for row in ("checks and PCA", "start", "step", "last solve"))
        found.append(
            (
                label,
                (*sides(problem), STEPS, problem["aligned"]),
                (posed + begun, STEPS * step, solve),
                linear["machine"]["date"],
            )
        )
    return found


def sides(problem):
    """Channels of all layers, pictures and vertices of a planted problem's size."""
    return problem["layers"] * problem["channels"], problem["images"], problem["vertices"]


def fitted(problems):
    """Rows of costs.json for a fit: numbers, none below 0, whose formulas miss the problems by the least squared share; a
    whole problem of NSD's size counts as three, since minutes are waited for and seconds are not."""
    rows, count = {}, np.array([3.0 if label.endswith("whole") else 1.0 for label, *_ in problems])
    for i, row in enumerate(fit_terms(1, 1, 1)):
        own = [fit_terms(*arguments)[row] for _, arguments, _, _ in problems]
        took = np.array([seconds[i] for _, _, seconds, _ in problems])
        terms = np.array([list(each.values()) for each in own])
        numbers, _ = nnls(terms * (count / took)[:, None], count)
        rows[row] = {name: float(f"{value:.4g}") for name, value in zip(own[0], numbers, strict=True)}
    return rows


def write(target):
    """Put the fitted rows into costs.json."""
    problems, table = measured_fits(), json.loads(target.read_text(encoding="utf-8"))
    about = {"date": max(date for *_, date in problems).split()[0], "of": OF.format(len(problems)), "by": BY}
    for row, numbers in fitted(problems).items():
        table["measured"][row] = numbers | about
    target.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def check():
    """Formula against measurement, {column: {row: seconds}}; the last row of a problem is its whole fit."""
    columns = {"formula": {}, "measured": {}, "formula / measured": {}}
    for label, arguments, took, _ in measured_fits():
        for part, *pair in zip(("prepare", "steps", "last solve"), fit_seconds(*arguments), took, strict=True):
            columns["formula"][f"{label}, {part}"], columns["measured"][f"{label}, {part}"] = pair
        columns["formula"][label], columns["measured"][label] = sum(fit_seconds(*arguments)), sum(took)
    for row, seconds in columns["formula"].items():
        columns["formula / measured"][row] = float(seconds / columns["measured"][row])
    return columns


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, help in (
        ("subjects", 8, "subjects"), ("networks", len(NETWORKS), "the first so many of the list"), ("seeds", 1, "runs of each pair"),
        ("pictures", 10_000, "pictures of a subject"), ("vertices", 37_984, "vertices: 37,984 (Algonauts) or 327,684 (fsaverage)"),
        ("trials", TRIALS, "trials of a subject"), ("gpus", 8, "GPUs of the cluster"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{help} (default {default:,})")
    parser.add_argument(
        "--extraction-speed",
        type=float,
        default=100.0,
        help="of a GPU, times the two cores (assumed: 100, 7.2 TFLOP/s)",
    )
    parser.add_argument("--fit-speed", type=float, default=10.0, help="of a GPU, times the two cores (assumed: 10)")
    parser.add_argument(
        "--disk-rate", type=float, default=1e9, help="bytes a second that features are written and read at"
    )
    parser.add_argument("--price", type=float, help="of an hour of one GPU, in your currency")
    parser.add_argument("--check", action="store_true", help="formulas against what they were fitted to")
    parser.add_argument("--write", action="store_true", help="fit the formulas anew and write costs.json")
    options = parser.parse_args(arguments)
    if options.write:
        write(COSTS)
    if options.check or options.write:
        show("formula and measurement, seconds on two cores", check())
        return
    found = table(options)
    show(f"{options.subjects} subjects × {options.networks} networks × {options.seeds} seeds", found["hours"])
    for name in ("disk, GB", "memory of one fit, GB"):
        show(name, found[name])
    print(f"\n{'network':<14}" + "".join(f"{name:>28}" for name in next(iter(found["networks"].values()))))
    for name, row in found["networks"].items():
        print(f"{name:<14}" + "".join(f"{value:>28,.2f}" for value in row.values()))


if __name__ == "__main__":
    main()
