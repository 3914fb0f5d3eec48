"""The verbs that read a finished run: score, maps, export."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from factortopy.cli import options
from factortopy.errors import InputError
from factortopy.runs.settings import REQUIRED
from factortopy.storage.machine import explain_os_error


def add(verbs):
    """The verbs' options."""
    verb = verbs.add_parser("score", help="print a run's brain score by region")
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("--csv", metavar="FILE", help="write the table to FILE as well")
    verb.set_defaults(function=score)

    verb = verbs.add_parser("maps", help="write a run's maps as PNG and GIFTI")
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("--out", required=True, metavar="DIR", help="folder for the files")
    verb.set_defaults(function=maps)

    verb = verbs.add_parser(
        "export",
        help="write a run to take away: pictures, drawings, a film, the viewer as a page, GIFTI, the run as one file",
        description="Write a finished run in the forms asked for: png (flat maps, and the surface in six views), svg (flat "
        "maps and charts), gif and mp4 (the layers turning), html (the viewer as one page that needs neither Python nor "
        "network), gifti (for other programs), mgh (FreeSurfer's annot and mgz), cifti (one dscalar file), bids (GIFTI by BIDS "
        "names), csv (tables), run (one file to send).",
    )
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("--out", required=True, metavar="DIR", help="folder for the files")
    verb.add_argument(
        "--what", metavar="W,W", default="png,svg,gif,html,gifti,csv,run",
        help="some of png, svg, gif, mp4, html, gifti, mgh, cifti, bids, csv, run (default: png,svg,gif,html,gifti,csv,run)",
    )  # fmt: skip
    verb.add_argument(
        "--width",
        type=options.size_between(5.0, 60.0),
        default=17.8,
        metavar="CM",
        help="width of pictures (default 17.8 cm)",
    )
    verb.add_argument(
        "--dpi", type=options.size_between(50, 1200), default=300, metavar="N", help="dots an inch (default 300)"
    )
    verb.set_defaults(function=export)


def score(args):
    """Print the score table of a finished run; scores it first when that was not done."""
    run, info = finished_run(args.run)
    rows = info.get("scores") or _score_now(run, info)
    if info.get("simulated"):
        print(f"{info['subject']} is simulated: these figures do not compare with those of measured brains")
    print(f"{info['backbone']} on {info['subject']}, recipe {info['recipe']}, seed {info['seed']}; test pictures")
    width = max(len(row["roi"]) for row in rows)
    metric = any(row.get("algonauts_2023") is not None for row in rows)
    words = "  r²/ceiling  Algonauts 2023" if metric else ""
    print(f"{'region'.ljust(width)}  vertices  mean R²  ceiling  predicted{words}")
    for row in rows:
        share = "–" if row["share"] is None else f"{row['share']:.0%}"
        print(
            f"{row['roi'].ljust(width)}  {row['vertices']:8d}  {_figure(row['score'])}  {_figure(row['ceiling'])}  "
            f"{share:>9}"
            + (
                f"  {_figure(row.get('pearson_normalised')):>10}  {_figure(row.get('algonauts_2023')):>14}"
                if metric
                else ""
            )
        )
    if metric:
        print("r²/ceiling: mean of Pearson r² / noise ceiling, where that is 0.1 or more (r below 0 counts 0)")
        print("Algonauts 2023: that challenge's metric as published, the median of r² / noise ceiling, at most 1")
        print(
            "                (r below 0 counts 0, a ceiling of 0 counts 1e-14); both are high by chance with few test pictures"
        )
    if info.get("ceiling_note"):
        print(f"note: {info['ceiling_note']}")
    if rows[0]["score"] is not None and rows[0]["score"] < -1:
        print("R² far below 0: worse than telling the mean; too few pictures or steps")
    if args.csv:
        write_score_table(args.csv, [{"simulated": bool(info.get("simulated")), **row} for row in rows])
        print(f"written: {args.csv}")
    return 0


def _figure(value):
    return "      –" if value is None else f"{value:7.3f}"


def _score_now(run, info):
    """Score a run that was saved without scores; they are kept in it."""
    from factortopy.encoder.encoder import Encoder
    from factortopy.runs import training
    from factortopy.runs.extraction import extract_features
    from factortopy.storage.records import without_nan

    settings = {key: info.get(key) for key in REQUIRED} | (info.get("settings") or {})
    for key in REQUIRED:
        if not settings.get(key):
            raise InputError(f"{run.path}: expected run.json to name the {key}, found none; this run cannot be scored")
    subject, _, features = extract_features(settings)
    with run.lock():
        encoder = Encoder.load(run.path)
        rows = training.score(encoder, subject, features)
        encoder.save(run.path)
        run.update(scores=rows)
    return without_nan(rows)


def maps(args):
    """Write the maps of a finished run."""
    from factortopy.encoder.encoder import Encoder
    from factortopy.export.maps import export_maps

    run, info = finished_run(args.run)
    encoder = Encoder.load(run.path)
    scores = run.scores()
    if not scores:
        raise InputError(f"{run.path}: expected scores.safetensors, found none; train it again or copy it")
    title = f"{info['backbone']} on {info['subject']}" + (" (simulated)" if info.get("simulated") else "")
    paths = export_maps(
        args.out,
        encoder.selectors(),
        scores["score"],
        scores["predicted"].astype(bool),
        encoder.vertices,
        encoder.simulated,
        title,
        rois=encoder.rois,
    )
    for path in paths:
        print(path)
    return 0


def export(args):
    """Write a finished run to take away."""
    from factortopy.export.run import export_run

    run, _ = finished_run(args.run)
    what = [one.strip() for one in args.what.split(",") if one.strip()]
    export_run(run, args.out, what, width=args.width / 2.54, dpi=args.dpi, say=print)
    return 0


def finished_run(name):
    """The finished run of a path or a name, and its run.json."""
    from factortopy.runs.folder import ACTIVE, NAME_PATTERN
    from factortopy.runs.run import Run, find_run

    run = find_run(name) if NAME_PATTERN.fullmatch(name) and not os.path.isdir(name) else Run(name)
    if not os.path.isdir(run.path):
        raise InputError(f"{name}: expected a run folder, found none; give the folder that train --out made")
    info = run.info
    if not info.get("finished"):
        status = run.status
        remedy = "wait until it ends" if status in ACTIVE else f"go on with train --out {run.path} --resume"
        raise InputError(f"{run.path}: expected a finished run, found one that is {status}; {remedy}")
    return run, info


def write_score_table(path, rows):
    """Write the rows of run.json's ``scores`` as CSV."""
    path = Path(path)
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise explain_os_error(error, path) from None
