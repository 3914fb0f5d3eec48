"""Make the fitted demo runs in assets/runs, and docs/demo.md with what was measured on them.

python benchmarks/make_demo_runs.py [--only-table | --only-lessons]
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
NETWORKS = {"demo-vit": None, "demo-mae": None, "demo-vit untrained": "untrained"}
LESSONS = {
    "demo-vit no-topology": {"topology": False},
    "demo-vit 300-pictures": {"pictures": 300},
}  # for the page Learn
KEPT = (
    "run.json", "encoder.safetensors", "selectors.safetensors", "scores.safetensors", "gallery.safetensors", "gallery.jpg",
    "history.csv", "maps.safetensors",
)  # fmt: skip


def make(name, weights=None, **settings):
    """Train one run as a user would, and keep what the app shows."""
    from factortopy.runs.training import train_run

    folder = ROOT / "assets" / "runs" / f"{name.replace(' ', '-')}_demo-1"
    shutil.rmtree(folder, ignore_errors=True)
    train_run(folder, "demo-1", name.split()[0], weights=weights, say=print, **settings)
    for path in folder.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def measured(folder):
    """Rows by ROI, slope and pRF errors of one run; all on the simulated subject."""
    from factortopy import analysis, load_subject
    from factortopy.encoder import Encoder

    encoder, subject = Encoder.load(folder), load_subject("demo-1")
    slope = analysis.hierarchy(encoder.selectors(), encoder.rois)
    degrees = encoder.selectors().space * subject.image_degrees / 2
    angle, ecc = np.deg2rad(subject.maps["polar_angle"]), subject.maps["eccentricity"]
    planted = np.stack([ecc * np.cos(angle), -ecc * np.sin(angle)], 1)
    prf = {}
    for name in ("V1", "V2", "V3", "hV4"):
        v = encoder.rois[name] & (np.abs(planted).max(1) < 0.95 * subject.image_degrees / 2)
        error = np.linalg.norm(degrees[v] - planted[v], axis=1)
        r = [np.corrcoef(degrees[v, k], planted[v, k])[0, 1] for k in (0, 1)]
        prf[name] = {"median error": float(np.median(error)), "r of x": float(r[0]), "r of y": float(r[1])}
    return encoder, analysis.by_roi(encoder), slope, prf


def table():
    """docs/demo.md."""
    lines = [
        "# What the demo networks look like on demo subject 1",
        "",
        "**Everything here is simulated**: rendered pictures, a simulated subject, networks trained on other pictures of the same",
        "renderer. Nothing here may be compared with figures on human data. The supervised network was trained on the categories",
        "that the subject's high-level areas answer to, so its lead there is by construction.",
        "",
        "Made by `python benchmarks/make_demo_runs.py` (recipe fast, seed 0, 2,400 training, 300 validation, 300 test pictures, one",
        "trial each). Mean over the area's vertices: brain score R² on test trials, mean layer (1 first, 12 last), scale (0 local,",
        "1 global). The ceiling is known by construction.",
        "",
    ]
    runs = {name: measured(ROOT / "assets" / "runs" / f"{name.replace(' ', '-')}_demo-1") for name in NETWORKS}
    first = next(iter(runs.values()))
    lines.append("| area (vertices) | ceiling | " + " | ".join(f"{n}: R² · layer · scale" for n in runs) + " |")
    lines.append("|---|---|" + "---|" * len(runs))
    for k, row in enumerate(first[1]):
        cells = [
            f"{rows[k]['score']:.2f} · {rows[k]['layer']:.1f} · {rows[k]['scale']:.2f}"
            for _, rows, _, _ in runs.values()
        ]
        lines.append(f"| {row['roi']} ({row['vertices']}) | {row['ceiling']:.2f} | " + " | ".join(cells) + " |")
    lines += ["", "| | " + " | ".join(runs) + " |", "|---|" + "---|" * len(runs)]

    def line(title, values):
        lines.append(f"| {title} | " + " | ".join(values) + " |")

    line("vertices predicted above chance", [f"{rows[-1]['share']:.0%}" for _, rows, _, _ in runs.values()])
    line("mean layer confidence", [f"{rows[-1]['confidence']:.2f}" for _, rows, _, _ in runs.values()])
    line(
        "hierarchy slope (b0 → b1); one fit each, no interval",
        [f"{s.slope:.2f} ({s.b0:.2f} → {s.b1:.2f})" for _, _, s, _ in runs.values()],
    )
    for area in ("V1", "V2", "V3", "hV4"):
        line(
            f"{area}: where it looks, median error; r of x, y",
            [
                f"{p[area]['median error']:.2f}°; {p[area]['r of x']:.2f}, {p[area]['r of y']:.2f}"
                for *_, p in runs.values()
            ],
        )
    line(
        "seconds in all, on a shared machine (the first also rendered and simulated the subject)",
        [f"{e.info.get('seconds', float('nan')):.0f}" for e, *_ in runs.values()],
    )
    (ROOT / "docs" / "demo.md").write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))
    print(json.dumps({n: p for n, (*_, p) in runs.items()}, indent=1))


if __name__ == "__main__":
    if not {"--only-table", "--only-lessons"} & set(sys.argv):
        for network, given in NETWORKS.items():
            make(network, given)
    if "--only-table" not in sys.argv:
        for name, settings in LESSONS.items():
            make(name, **settings)
    table()
