"""What is in a data set, and everything that is wrong with it: the checks that loading makes, all at once."""

from dataclasses import dataclass, field

import numpy as np

from factortopy.errors import InputError
from factortopy.subjects import DENSITY, demo_number, load_subject
from factortopy.subjects.findings import STOPS, WARNING, DataError, Problem, shown_path
from factortopy.subjects.layouts import find

__all__ = ["Findings", "Problem", "check", "memory_needed"]

_LAYERS, _WIDTH, _GRID = 12, 128, 8  # of the demo networks: what the memory figure is for


@dataclass
class Findings:
    """What ``check`` found.

    layout, subject : str
    facts : {label: text}, in the order to show them
    problems : list of Problem
    """

    layout: str = ""
    subject: str = ""
    facts: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)

    @property
    def stops(self):
        """True when training is impossible before something is mended."""
        return any(problem.severity == STOPS for problem in self.problems)

    def lines(self):
        """What the command line prints: facts, then problems, stops first, one line each."""
        width = max((len(label) for label in self.facts), default=0)
        out = [f"{label:<{width}}  {text}" for label, text in self.facts.items()]
        ordered = sorted(self.problems, key=lambda problem: problem.severity != STOPS)
        out += [f"{'STOPS' if p.severity == STOPS else 'warning'}: {p.line()}" for p in ordered]
        n_stops = sum(problem.severity == STOPS for problem in self.problems)
        n_warnings = len(self.problems) - n_stops
        if n_stops:
            out.append(f"Cannot be trained on: {_count(n_stops, 'problem')} to mend, {_count(n_warnings, 'warning')}.")
        else:
            out.append(f"Can be trained on; {_count(n_warnings, 'warning')}.")
        return out


def check(path, subject=None, density=DENSITY):
    """Look at a data set without training.

    Parameters
    ----------
    path, subject, density : as in ``load_subject``

    Returns
    -------
    Findings
        Never raises for what the user can mend: it is in ``.problems``.
    """
    if isinstance(path, str) and path.startswith("demo"):
        try:
            if demo_number(path) is not None:
                return _of_subject(Findings("simulated (demo)"), load_subject(path))
        except InputError as error:
            return _one_problem(path, error)
    try:
        layout, folder = find(path, subject)
    except InputError as error:
        return _one_problem(path, error)
    examination = layout.examine(folder)
    findings = Findings(layout.name, examination.name)
    findings.facts = {"layout": layout.name, "subject": examination.name, "folder": shown_path(folder)}
    if examination.first_stop():
        findings.problems = list(examination.problems)
        return findings
    try:
        return _of_subject(findings, (layout.outline or layout.to_subject)(examination, density))
    except InputError as error:
        findings.problems = [*examination.problems, _problem(path, error)]
        return findings


def _of_subject(findings, subject):
    findings.subject = subject.name
    findings.facts |= subject_facts(findings.layout, subject)
    findings.problems = list(subject.warnings)
    needed, free = memory_needed(subject), free_memory()
    if free is not None and needed > free:
        found = f"{free / 1e9:.1f} GB free"
        remedy = "close other programs, or take a machine with more memory"
        findings.problems.append(Problem(WARNING, "memory", f"{needed / 1e9:.1f} GB to train", found, remedy))
    return findings


def subject_facts(layout, subject):
    """{label: text} of a loaded subject."""
    repeats = subject.repeats()
    shown = ", ".join(f"{n:,} shown {_times(k)}" for k, n in repeats.items())
    left = int((subject.hemi == 0).sum())
    sizes = [f"{name} {int(subject.rois[name].sum()):,}" for name in subject.roi_names()]
    split = subject.split
    facts = {
        "layout": layout,
        "subject": subject.name + (" (simulated)" if subject.simulated else ""),
        "trials": f"{subject.n_trials:,}",
        "pictures": f"{subject.n_images:,} ({shown}), {subject.image_degrees:g}° wide",
        "split": f"{len(split.train):,} training, {len(split.val):,} validation, {len(split.test):,} test trials",
        **({"film": subject.film.describe()} if subject.film is not None else {}),
        "vertices": f"{left:,} left, {subject.n_vertices - left:,} right, on the {subject.density} mesh",
        "ROIs": ", ".join(sizes) or "none",
        "noise ceiling": ceiling_by_roi(subject),
        "memory": f"{memory_needed(subject) / 1e9:.2f} GB to train a demo network ({_LAYERS} × {_WIDTH} channels)",
    }
    if subject.remarks:
        facts["notes"] = "; ".join(subject.remarks)
    return facts


def ceiling_by_roi(subject):
    """Mean over vertices and by ROI as text, or that there is none."""
    ceiling = subject.noise_ceiling
    if ceiling is None:
        return "none: only raw R² can be shown"
    usable = np.isfinite(ceiling)
    parts = []
    for name in subject.roi_names():
        inside = usable & subject.rois[name]
        if inside.any():
            parts.append(f"{name} {ceiling[inside].mean():.2f}")
    return f"mean {ceiling[usable].mean():.2f}" + (f" ({', '.join(parts)})" if parts else "")


def memory_needed(subject, layers=_LAYERS, width=_WIDTH, grid=_GRID):
    """Bytes that training holds: responses, tokens of every picture (float16), and as much again to work with.

    Responses that stay on disk (NSD's) count as the rows of 2,000 trials, which is what training looks at in one go.
    """
    on_disk = isinstance(subject.responses, np.memmap) or 0 in subject.responses.strides  # or stand for such
    trials = min(subject.n_trials, 2000) if on_disk else subject.n_trials
    tokens = 2 * subject.n_images * layers * (grid * grid + 1) * width
    return 2 * (4 * trials * subject.n_vertices + tokens)


def free_memory():
    """Bytes that a program could still get, or None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # no Linux: nothing is claimed
    return None


def _one_problem(path, error):
    return Findings(facts={}, problems=[_problem(path, error)])


def _problem(path, error):
    if isinstance(error, DataError):
        return error.problem
    return Problem(STOPS, shown_path(path), "", str(error), "")


def _count(n, noun):
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _times(k):
    return {1: "once", 2: "twice"}.get(k, f"{k} times")
