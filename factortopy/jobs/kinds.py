"""The kinds of work that the queue does, beside trainings."""

from factortopy.errors import InputError
from factortopy.jobs.extract import Extract
from factortopy.jobs.finetune import FineTune
from factortopy.jobs.report import WriteReport
from factortopy.jobs.simulate import Simulate
from factortopy.jobs.slope import RefitSlopes

KINDS = {kind.name: kind for kind in (Extract(), Simulate(), FineTune(), WriteReport(), RefitSlopes())}


def kind_of(name):
    """The ``Kind`` of a name; InputError when there is none."""
    if name not in KINDS:
        raise InputError(f"job: expected one of {', '.join(KINDS)}, found {name!r}; update FactorTopy to do it")
    return KINDS[name]
