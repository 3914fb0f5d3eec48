"""The kinds of work that the queue does, beside trainings."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from factortopy.errors import InputError
from factortopy.experiments.protocol import NAMES


@dataclass(frozen=True)
class Kind:
    """What the queue knows of a kind of work.

    place : "module:function"; the module's ``check_settings`` completes settings or raises InputError
    words : what pages call it
    title : what one is about, from its settings
    folder : what its folder is called, from its settings, where that is not the title
    again : True when the result lies elsewhere: a finished one may be done again, and its folder go
    """

    place: str
    words: str
    title: Callable
    again: bool = True
    folder: Callable | None = None

    def module(self):
        """The module that does it, imported here so that listing jobs stays quick."""
        return import_module(self.place.partition(":")[0])

    def function(self):
        return getattr(self.module(), self.place.partition(":")[2])


KINDS = {
    "extract": Kind(
        "factortopy.jobs.extract:extract_job", "Features", lambda s: f"{s['backbone']} on the pictures of {subject_of(s)}"
    ),
    "simulate": Kind(
        "factortopy.jobs.simulate:simulate_job", "Experiment", lambda s: f"{NAMES[s['protocol']['experiment']]} on {s['run']}",
        folder=lambda s: f"{s['protocol']['experiment']} on {s['run']}",
    ),
    "finetune": Kind(
        "factortopy.jobs.finetune:finetune_job", "Fine-tuning",
        lambda s: f"{s['backbone']} on {s.get('name') or last_part(s['images'])}", again=False,
    ),
    "report": Kind("factortopy.jobs.report:report_job", "Report", lambda s: runs_of(s), again=False),
}  # fmt: skip


def kind_of(name):
    """The Kind of a name; InputError when there is none."""
    if name not in KINDS:
        raise InputError(f"job: expected one of {', '.join(KINDS)}, found {name!r}; update FactorTopy to do it")
    return KINDS[name]


def subject_of(settings):
    """A subject in a word."""
    return settings.get("subject_id") or last_part(settings["subject"])


def runs_of(settings):
    """What a report is about: its first runs and how it is made."""
    names = settings["runs"]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    kind = ", quick" if settings["quick"] else f", {settings['steps']} steps" if settings["steps"] else ""
    return f"{', '.join(names[:3])}{more}{kind}"


def last_part(path):
    return str(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
