"""Which new fits a full report asks for, and what they cost before they start."""

from dataclasses import dataclass

import numpy as np

from factortopy.errors import InputError
from factortopy.report import slopes
from factortopy.report.refits import Refits, shared_folder
from factortopy.runs import costs
from factortopy.runs.run import Run, list_runs
from factortopy.wording import duration

AMOUNTS = (100, 300, 1000, 3000, 10_000)
MOST_LAYERS = 12  # of a grid search; more are thinned evenly
ABLATIONS = {
    "full model": {},
    "without layer": {"select": ["space", "scale"]},
    "without space": {"select": ["layer", "scale"]},
    "without scale": {"select": ["space", "layer"]},
    "without topology": {"topology": False},
    "three space samples": {"space_samples": 3},
    "class token": {"model": "classtoken"},
    "patch token": {"model": "patchtoken"},
    "GNet": {"model": "gnetvit"},
    "pooled ridge": {"model": "ridge"},
}
LOAD = 6.0  # seconds of a fit that are none: subject and network are loaded, maps written


# ---------------------------------------------------------------- what is fitted


def seeds(base):
    """Three seeds, the run's own first."""
    return tuple(base["seed"] + k for k in range(3))


def decays(usual):
    """Steps after which the regulariser is gone, around the usual number."""
    return sorted({max(1, usual // k) for k in (usual, 4, 2)} | {usual, usual * 3 // 2})


def amounts(total):
    """Numbers of pictures below all of them."""
    return [n for n in AMOUNTS if n < total]


def alone(base, steps, depth):
    """{layer from 0: changes} of the fits of single layers, with a third of the steps."""
    if depth < 2:
        return {}
    layers = np.unique(np.linspace(0, depth - 1, min(depth, MOST_LAYERS)).round().astype(int)).tolist()
    own = base["layers"] or list(range(depth))
    one = {"select": ["space", "scale"], "steps": max(30, steps // 3)}
    return {k: one | {"layers": [own[k]]} for k in layers}


def plan(refits, depth, pictures):
    """{words: changes} of all new fits, each once; what equals the run itself is not among them.

    Parameters
    ----------
    refits : Refits
    depth : int, layers of the network
    pictures : int, that the subject has to learn from
    """
    base, usual = refits.base, refits.decay
    wanted = {"with the same settings": {}}
    wanted |= {f"seed {seed}": {"seed": seed} for seed in seeds(base)}
    wanted |= ABLATIONS
    wanted |= {f"decay step {k}": {"decay": k} for k in decays(usual) if k != usual}
    wanted |= {f"{n:,} pictures": {"pictures": n} for n in amounts(min(base["pictures"] or pictures, pictures))}
    wanted |= {f"layer {k + 1} alone": changes for k, changes in alone(base, refits.steps, depth).items()}
    out, seen = {}, [refits.base] if refits.itself else []
    for words, changes in wanted.items():
        try:
            full = refits.full(changes)
        except InputError:  # settings that cannot be combined; said where it would be drawn
            continue
        if full not in seen:
            seen.append(full)
            out[words] = changes
    return out


def refitted(entries):
    """The entry that is fitted again: the first trained factorized network; None without."""
    return next((e for e in entries if e.encoder.has_selectors and e.trained), None)


# ---------------------------------------------------------------- what it costs


@dataclass(frozen=True)
class Cost:
    """Of new fits.

    name : the networks that are fitted again; fits : how many; kept : how many of them are here already
    seconds : of the others, None where nothing tells; measured : True when fits on this machine told
    """

    name: str
    fits: int
    kept: int
    seconds: float | None
    measured: bool

    def sentence(self):
        """How many fits and how long, plain text."""
        todo = self.fits - self.kept
        kept = f" ({self.kept} of {self.fits} are kept from before)" if self.kept else ""
        if not todo:
            return f"All {self.fits} fits of {self.name} are kept from before."
        if self.seconds is None:
            return f"{todo} new fits of {self.name}{kept}. How long they take is told while they run."
        source = "as fits on this machine took" if self.measured else "on two cores, no GPU"
        return f"{todo} new fits of {self.name}{kept}, about {duration(self.seconds)} {source}."


def cost(entries, steps=None, refits=0):
    """Cost of the new fits of a full report in the app; None when no network here can be fitted again.

    ``refits`` : of each network, for its slope's interval (``slope_cost``)

    Past fits of the same network and subject on this machine tell the pace; without any, the formulas of
    ``factortopy.runs.costs`` for two cores without a GPU. Extracting features for the first time comes on top.
    """
    entry, further = refitted(entries), slope_cost(entries, refits)
    if entry is None:
        return further
    again, depth = Refits(shared_folder(), entry.runs[0], steps), entry.first.selectors().layer.shape[1]
    one = _cost(entry, again, plan(again, depth, _pictures(again.base)[0]))
    return one if further is None else _sum([one, further])


def slope_cost(entries, refits):
    """Cost of so many refits of each network for its slope's interval; None where none is asked for or can be had."""
    parts = []
    for entry in slopes.refittable(entries) if refits else ():
        again, have = Refits(shared_folder(), entry.runs[0]), slopes.kept(entry.runs[0])
        planned = slopes.planned(refits, entry.runs[0].settings["recipe"])
        if have is not None and len(have) >= refits:
            parts.append(Cost(entry.name, refits, refits, 0.0, True))
        else:
            parts.append(_cost(entry, again, planned))
    return _sum(parts) if parts else None


def _sum(parts):
    names, seconds = ", ".join(dict.fromkeys(one.name for one in parts)), [one.seconds for one in parts]
    total = None if None in seconds else sum(seconds)
    counted = (sum(getattr(one, key) for one in parts) for key in ("fits", "kept"))
    return Cost(names, *counted, total, all(one.measured for one in parts))


def _pictures(base):
    """(how many pictures, what is known of the subject's size)."""
    size = costs.sizes_of(base["subject"], base["subject_id"], base["trials"])
    return (round((1 - costs.TEST) * size.pictures) if size else max(AMOUNTS) + 1), size


def _cost(entry, refits, planned):
    """Cost of one network's new fits."""
    base, encoder = refits.base, entry.first
    depth, (pictures, size) = encoder.selectors().layer.shape[1], _pictures(base)
    missing = [refits.full(changes) for changes in planned.values() if not refits.kept(changes)]
    net = costs.network_of(base["backbone"])

    def guess(full):
        channels = (net.channels if net else 768 * depth) * (len(full["layers"] or ()) / depth or 1.0)
        n = min(full["pictures"] or pictures, pictures) / (1 - costs.TEST) / (2 if full["half"] else 1)
        fit = sum(costs.fit_seconds(channels, n, encoder.n_vertices, refits.steps_of(full)))
        return LOAD + costs.model_share(full["model"]) * fit

    same = {key: base[key] for key in ("subject", "subject_id", "backbone", "weights", "recipe")}
    try:
        past = [
            run.info["seconds"] / guess(run.settings)
            for run in [*_kept_runs(), *list_runs(shipped=False)]
            if run.status == "finished" and run.info.get("seconds") and _of(run, same)
        ]
        seconds = (float(np.median(past)) if past else 1.0) * sum(map(guess, missing), 0.0)
    except costs.NotMeasured:
        past, seconds = [], None
    if not past and not (size and net and base["recipe"] == "fast"):  # the formulas are the fast recipe's
        seconds = None
    return Cost(entry.name, len(planned), len(planned) - len(missing), seconds, bool(past))


def _kept_runs():
    return [Run(path) for path in sorted(shared_folder().iterdir()) if (path / "run.json").is_file()]


def _of(run, same):
    settings = run.settings
    return {key: settings[key] for key in same} == same
