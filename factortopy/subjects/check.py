"""What is in a data set, and everything that is wrong with it: the checks that loading makes, all at once."""

from dataclasses import dataclass, field

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.problems import STOPS, WARNING, DataError, Problem
from factortopy.storage.machine import free_memory
from factortopy.subjects.algonauts.rois import UNIONS
from factortopy.subjects.examination import Examination
from factortopy.subjects.layouts import Layout, find
from factortopy.subjects.loading import load_subject
from factortopy.subjects.names import DENSITY, demo_number
from factortopy.subjects.subject import Subject
from factortopy.subjects.trial_times import too_short
from factortopy.wording import count, shown_path

__all__ = ["Area", "Findings", "Look", "Problem", "check", "look_through", "memory_needed"]

_LAYERS, _WIDTH, _GRID = 12, 128, 8  # of the demo networks: what the memory figure is for
_FIXED = 1_000_000_000  # bytes of Python, PyTorch and the meshes: what a training of a few pictures takes
FEW = 100  # training pictures below which scores say little
_WHOLE = {part: whole for whole, parts in UNIONS.items() for part in parts}


@dataclass(frozen=True)
class Area:
    """One area: its name, vertices, mean noise ceiling (NaN unknown), and the area that it is a part of ("" none)."""

    name: str
    vertices: int
    ceiling: float
    part_of: str = ""


@dataclass
class Findings:
    """What ``check`` tells of a data set.

    layout, subject : str
    facts : {label: text}, in the order to show them
    areas : list of Area
    sizes : {"trial", "picture", "vertex": number or None}
    problems : list of Problem
    sampled : True when a sample of the pictures was decoded and the others were not
    simulated : True of simulated data
    """

    layout: str = ""
    subject: str = ""
    facts: dict = field(default_factory=dict)
    areas: list = field(default_factory=list)
    sizes: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    sampled: bool = False
    simulated: bool = False

    @property
    def stops(self):
        """True when training is impossible before something is mended."""
        return any(problem.severity == STOPS for problem in self.problems)

    def sentence(self):
        """The data set in one line, as far as it is known."""
        sizes = [count(n, noun) for noun, n in self.sizes.items() if n]
        return " · ".join(part for part in (self.subject, self.layout, *sizes) if part)

    def lines(self):
        """What the command line prints: facts, then problems, stops first, one line each."""
        width = max((len(label) for label in self.facts), default=0)
        out = [f"{label:<{width}}  {text}" for label, text in self.facts.items()]
        ordered = sorted(self.problems, key=lambda problem: problem.severity != STOPS)
        out += [f"{'STOPS' if p.severity == STOPS else 'warning'}: {p.line()}" for p in ordered]
        if self.sampled:
            out.append("Some pictures were decoded; --all decodes every one, which finds damage in the others too.")
        n_stops = sum(problem.severity == STOPS for problem in self.problems)
        n_warnings = len(self.problems) - n_stops
        if n_stops:
            out.append(f"Cannot be trained on: {count(n_stops, 'problem')} to mend, {count(n_warnings, 'warning')}.")
        else:
            out.append(f"Can be trained on; {count(n_warnings, 'warning')}.")
        return out


@dataclass
class Look:
    """All that came of looking through a data set: what ``check`` tells, and what a page goes on with.

    findings : Findings
    layout : layouts.Layout; examination : what its ``examine`` returned; None of a demo subject and of no data set
    subject : Subject, of a layout with ``outline`` without its responses; None when it cannot be trained on
    """

    findings: Findings
    layout: Layout | None = None
    examination: Examination | None = None
    subject: Subject | None = None


def check(path, subject=None, density=DENSITY, trials=None, thorough=False):
    """Look at a data set without training.

    Parameters
    ----------
    path, subject, density, trials : as in ``load_subject``
    thorough : bool
        Decode every picture and every frame, not some: of 10,000 pictures it takes minutes.

    Returns
    -------
    Findings
        Never raises for what the user can mend: it is in ``.problems``. Progress: ``progress.listening``.
    """
    return look_through(path, subject, density, trials, thorough).findings


def look_through(path, subject=None, density=DENSITY, trials=None, thorough=False):
    """``check``, with all that was read on the way -> Look."""
    if isinstance(path, str) and path.startswith("demo"):
        try:
            if demo_number(path) is not None:
                loaded = load_subject(path, trials=trials)
                return Look(_of_subject(Findings("simulated (demo)"), loaded), subject=loaded)
        except InputError as error:
            return Look(Findings(problems=[_problem(path, error)]))
    try:
        layout, folder = find(path, subject)
        examination = layout.look(folder, trials, thorough)
    except InputError as error:
        return Look(Findings(problems=[_problem(path, error)]))
    findings = Findings(layout.name, examination.name, sampled=examination.sampled)
    findings.facts = {"layout": layout.name, "subject": examination.name, "folder": shown_path(folder)}
    loaded = None
    if examination.first_stop():
        findings.problems = list(examination.problems)
        _partly(findings, examination.summary())
    else:
        try:
            loaded = (layout.outline or layout.to_subject)(examination, density)
            _of_subject(findings, loaded)
        except InputError as error:
            findings.problems = [*examination.problems, _problem(path, error)]
            _partly(findings, examination.summary())
    if examination.looked_at:
        findings.facts["looked at"] = "; ".join(examination.looked_at)
    return Look(findings, layout, examination, loaded)


def _partly(findings, summary):
    """What could be read of a data set that cannot be trained on."""
    facts = {"trials": summary.trials, "pictures": summary.pictures}
    findings.facts |= {label: f"{n:,}" for label, n in facts.items() if n}
    sides = [f"{n:,} {side}" for n, side in ((summary.left, "left"), (summary.right, "right")) if n is not None]
    if sides:
        findings.facts["vertices"] = ", ".join(sides)
    n = (summary.left or 0) + (summary.right or 0)
    findings.sizes = {"trial": summary.trials, "picture": summary.pictures, "vertex": n}
    findings.areas = _areas(summary.rois, summary.ceiling)
    if findings.areas:
        findings.facts["ROIs"] = _sizes(findings.areas)
    if summary.ceiling is not None:
        findings.facts["noise ceiling"] = ceiling_by_roi(summary.rois, summary.ceiling)
    return findings


def _areas(rois, ceiling):
    usable = None if ceiling is None else np.isfinite(ceiling)
    areas = []
    for name, mask in rois.items():
        inside, whole = None if usable is None else usable & mask, _WHOLE.get(name)
        mean = float(ceiling[inside].mean()) if inside is not None and inside.any() else float("nan")
        if mask.any():
            areas.append(Area(name, int(mask.sum()), mean, whole if whole in rois else ""))
    return areas


def _sizes(areas):
    return ", ".join(f"{area.name} {area.vertices:,}" for area in areas) or "none"


def _of_subject(findings, subject):
    findings.subject, findings.simulated = subject.name, bool(subject.simulated)
    findings.facts |= subject_facts(findings.layout, subject)
    findings.areas = _areas(subject.rois, subject.noise_ceiling)
    findings.sizes = {"trial": subject.n_trials, "picture": subject.n_images, "vertex": subject.n_vertices}
    findings.problems = list(subject.warnings)
    training = len(np.unique(subject.image_index[subject.split.train]))
    if training < FEW and subject.film is None:
        expected, remedy = (
            f"{FEW} training pictures or more",
            "it can be trained, but expect scores below 0: add pictures",
        )
        findings.problems.append(Problem(WARNING, "pictures", expected, f"{training}", remedy))
    if subject.film is not None and (why := too_short(subject)):
        expected, remedy = (
            "test trials that tell a prediction from chance",
            "maps stay grey: add runs, or give more of them to the test",
        )
        findings.problems.append(Problem(WARNING, "test trials", expected, why, remedy))
    needed, free = memory_needed(subject), free_memory()
    if free is not None and needed > free:
        actual = f"{free / 1e9:.1f} GB free"
        remedy = "close other programs, or take a machine with more memory"
        findings.problems.append(Problem(WARNING, "memory", f"{needed / 1e9:.1f} GB to train", actual, remedy))
    return findings


def subject_facts(layout, subject):
    """{label: text} of a loaded subject."""
    repeats = subject.repeats()
    shown = ", ".join(f"{n:,} shown {_times(k)}" for k, n in repeats.items())
    left = int((subject.hemi == 0).sum())
    split, film = subject.split, subject.film
    left_out = film.left_out(split) if film is not None else ""
    facts = {
        "layout": layout,
        "subject": subject.name + (" (simulated)" if subject.simulated else ""),
        "trials": f"{subject.n_trials:,}",
        "pictures": f"{subject.n_images:,} ({shown}), {subject.image_degrees:g}° wide",
        "split": f"{len(split.train):,} training, {len(split.val):,} validation, {len(split.test):,} test trials"
        + (f"; {left_out}" if left_out else ""),
        **({"film": film.describe()} if film is not None else {}),
        "vertices": f"{left:,} left, {subject.n_vertices - left:,} right, on the {subject.density} mesh",
        "ROIs": _sizes(_areas(subject.rois, None)),
        "noise ceiling": ceiling_by_roi(subject.rois, subject.noise_ceiling),
        "memory": f"{memory_needed(subject) / 1e9:.2f} GB to train a demo network ({_LAYERS} × {_WIDTH} channels), "
        f"{_FIXED / 1e9:.1f} of it for Python and PyTorch alone",
    }
    if subject.remarks:
        facts["notes"] = "; ".join(subject.remarks)
    return facts


def ceiling_by_roi(rois, ceiling):
    """Mean over vertices and by ROI as text, or that there is none."""
    if ceiling is None or not np.isfinite(ceiling).any():
        return "none: only raw R² can be shown"
    parts = [f"{area.name} {area.ceiling:.2f}" for area in _areas(rois, ceiling) if np.isfinite(area.ceiling)]
    return f"mean {ceiling[np.isfinite(ceiling)].mean():.2f}" + (f" ({', '.join(parts)})" if parts else "")


def memory_needed(subject):
    """Bytes that training holds: Python and PyTorch, responses, tokens of every picture (float16), and as much again to work with.

    Responses that stay on disk (NSD's) count as the rows of 2,000 trials, which is what training looks at in one go.
    """
    on_disk = isinstance(subject.responses, np.memmap) or 0 in subject.responses.strides  # or stand for such
    trials = min(subject.n_trials, 2000) if on_disk else subject.n_trials
    tokens = 2 * subject.n_images * _LAYERS * (_GRID * _GRID + 1) * _WIDTH
    return _FIXED + 2 * (4 * trials * subject.n_vertices + tokens)


def _problem(path, error):
    if isinstance(error, DataError):
        return error.problem
    return Problem(STOPS, shown_path(path), "", str(error), "")


def _times(k):
    return {1: "once", 2: "twice"}.get(k, f"{k} times")
