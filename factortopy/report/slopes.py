"""New fits behind the hierarchy slope's interval: halves of the pictures, other seeds; made once, kept with the run."""

import hashlib
import json

import numpy as np

from factortopy.analysis import slope
from factortopy.analysis.slope import FEWEST_REFITS, REFITS
from factortopy.errors import InputError, unexpected
from factortopy.report.missing import RUNS, SUBJECT
from factortopy.storage.files import read_tensors, write_tensors
from factortopy.storage.home import assets_dir

# Seeds of refits, the same whatever seed the run has: runs that differ in their seed alone share them.
SEED_OF_HALVES, SEED_OF_WHOLE = 10_000, 20_000
FILE = "slope_refits.safetensors"  # in the run's folder: mean layers, "halves" (2 k, N) and "seeds" (r, N)
BY_REFITS = (
    "For an interval over pictures and seeds the network was fitted again, to random halves of the pictures and with other seeds. It is "
    "made to hold, in 95 of 100 such studies, the slope that fits have on average with other pictures of the same kind (in simulated ones "
    "190 of 200 did). It says nothing of other people."
)
BY_SUBJECTS = "An interval over subjects is made to hold the mean slope of people like these in 95 of 100 such studies."
ONE_FIT = (
    "One fit has no interval: how far another fit would differ is not known, so two such slopes cannot be told apart."
)


def check_count(refits, control="--refits"):
    """The number of refits; InputError where it is too small to tell how fits vary. 0 and None stay."""
    if refits and refits < FEWEST_REFITS:
        raise unexpected(control, f"0, or {FEWEST_REFITS} or more", str(refits), f"leave it out for {REFITS}")
    return refits


def planned(count=REFITS, recipe="fast"):
    """{words: changes} of so many refits; a slope needs their selectors alone, which the last solve does not change."""
    halves, seeds = slope.allotted(count)
    alone = {"channel": False} if recipe == "fast" else {}
    out = {f"half {k} of the pictures": {"half": k, "seed": SEED_OF_HALVES + k} | alone for k in range(1, halves + 1)}
    return out | {f"seed {k}": {"seed": k} | alone for k in range(SEED_OF_WHOLE + 1, SEED_OF_WHOLE + seeds + 1)}


def refittable(entries):
    """Those entries whose slope can have an interval by refits: one subject with pictures, two layers or more."""
    return [e for e in entries if why_not(e) is None]


def why_not(entry):
    """Why an entry's slope cannot have an interval by refits, in words; None where it can."""
    if not entry.encoder.has_selectors or entry.first.selectors().layer.shape[1] < 2:
        return "no slope"
    if len(entry.encoders) > 1:
        return "its interval is over subjects"
    run = entry.runs[0]
    if run.info.get("pictures") is None and "pictures" in run.info:
        return "a film's parts cannot be drawn anew"
    return "it learnt from half of the pictures" if run.settings.get("half") else None


# ---------------------------------------------------------------- made and kept


def make(runs, count=REFITS, on_progress=None, say=None, others=()):
    """Make the refits of some runs, where they are not here, and keep with each run what its slope needs.

    Parameters
    ----------
    runs : list of Run, finished
    count : int
    on_progress, say : callables, as for ``Refits``; progress counts the fits of all runs
    others : (Refits, {words: changes}) of other new fits, made first and counted with them

    Returns
    -------
    list of str
        Sentences: which run could not be fitted again, and why.

    Raises
    ------
    RunBusy, KeyboardInterrupt
        As ``Refits.make``; the next call goes on.
    """
    check_count(count)
    from factortopy.report.refits import Refits, make_all, shared_folder  # brings torch, which no other line here needs

    tasks = [
        (Refits(shared_folder(), run, None, None, say), planned(count, run.settings["recipe"]))
        for run in lacking(runs, count)
    ]
    make_all([*others, *tasks], on_progress)
    failed = []
    for refits, wanted in tasks:
        try:
            means = np.stack([refits.fitted(changes).selectors().layer_mean for changes in wanted.values()])
        except InputError as error:
            failed.append(f"{refits.run.name}: {error}")
            continue
        halves, _ = slope.allotted(count)
        write_tensors(_file(refits.run), {"halves": means[:halves], "seeds": means[halves:]})
    return failed


def lacking(runs, count=REFITS):
    """Those of the runs that have fewer refits."""
    have = [(run, kept(run)) for run in runs]
    return [run for run, refits in have if refits is None or len(refits) < count]


def kept(run):
    """``analysis.slope.Refits`` of a run; None where none were made, or the file is not of this run."""
    file = _file(run)
    if not file.is_file():
        return None
    tensors = read_tensors(file, "refits")
    halves, seeds = tensors.get("halves"), tensors.get("seeds")
    good = all(t is not None and t.ndim == 2 and np.isfinite(t).all() for t in (halves, seeds))
    if not good or halves.shape[1] != seeds.shape[1] or len(halves) % 2 or len(halves) < 4 or len(seeds) < 3:
        raise unexpected(file, "mean layers of refits", "something else", "delete it, and fit again")
    return slope.Refits(halves, seeds)


def _file(run):
    """With the run; of a run that comes with FactorTopy, among the app's own files."""
    if not run.shipped and assets_dir().resolve() not in run.path.resolve().parents:
        return run.path / FILE
    own = json.dumps({"name": run.name, **run.settings}, sort_keys=True)
    from factortopy.report.refits import shared_folder

    return shared_folder() / f"{run.name}-{hashlib.blake2b(own.encode(), digest_size=4).hexdigest()}-{FILE}"


# ---------------------------------------------------------------- read


def of_run(encoder, run, levels=None):
    """``Hierarchy`` of a run: with intervals where its refits are kept. InputError where it has no slope."""
    refits = kept(run)
    if refits is not None and refits.seeds.shape[1] != encoder.n_vertices:
        refits = None  # shown at the vertices that several subjects share
    return slope.hierarchy(encoder.selectors(), encoder.rois, levels, refits)


def of_entry(entry, levels=None):
    """``Hierarchy`` of a report's network: over subjects where it has several, else by refits where they are kept."""
    if len(entry.encoders) > 1:
        return slope.of_subjects([slope.hierarchy(e.selectors(), entry.encoder.rois, levels) for e in entry.encoders])
    return of_run(entry.encoder, entry.runs[0], levels)


def of_entries(entries, levels=None):
    """({name: ``Hierarchy``} of a report's networks, (sentence, reason) of those that have none)."""
    out, without = {}, []
    for entry in entries:
        if not entry.encoder.has_selectors:
            without.append((f"{entry.name}: a baseline, without layer weights", RUNS))
            continue
        try:
            out[entry.name] = of_entry(entry, levels)
        except InputError as error:
            without.append((f"{entry.name}: {error}", SUBJECT))
    return out, without


def row(name, fitted):
    """Row of a table: network, b0, b1, slope, its interval's ends (None of one fit alone), what they are over, fits."""
    out = {"network": name, "b0": fitted.b0, "b1": fitted.b1, "slope": fitted.slope}
    low, high = (fitted.intervals or {}).get("slope", (None, None))
    return out | {"slope from": low, "slope to": high, "interval over": fitted.over, "fits": fitted.fits}


def in_words(row):
    """ "0.54 (95 % interval 0.41 to 0.67 over pictures and seeds, 21 fits)" or "0.54 (one fit: no interval)"."""
    words = "one fit: no interval"
    if row["slope from"] is not None:
        ends = f"{row['slope from']:.2f} to {row['slope to']:.2f}"
        words = f"95 % interval {ends} over {row['interval over']}, {row['fits']} fits"
    return f"{row['slope']:.2f} ({words})".replace("-", "−")


def about(rows):
    """What the intervals of rows say, and what no interval means."""
    over = {row["interval over"] for row in rows}
    return " ".join(words for what, words in _ABOUT.items() if what in over)


_ABOUT = {slope.PICTURES_AND_SEEDS: BY_REFITS, slope.SUBJECTS: BY_SUBJECTS, None: ONE_FIT}
