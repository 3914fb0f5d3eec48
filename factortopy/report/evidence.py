"""What a report measured, for the checklist: each section fills the fields that it has numbers for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.analysis.estimates import Estimate
from factortopy.report.missing import Missing

if TYPE_CHECKING:
    from factortopy.analysis.resampled import Answers
    from factortopy.analysis.slope import Hierarchy

Rows = list[dict]  # of a table
FITS = 3  # seeds from which on a spread is taken


@dataclass(frozen=True)
class FittedNetwork:
    """What findings need to know of one network of the report (``Entry.network``): networks are not their fits.

    name : the same for all fits of one network
    objective : the same for networks that were trained alike; "" where nothing is known, and the name counts
    fit : the same for all networks that were fitted in one way
    """

    name: str
    objective: str = ""
    fit: str = ""
    trained: bool = True


@dataclass
class Evidence:
    """Numbers of a report; a field that is empty was not measured. Keys that are names are entries' names."""

    networks: dict[str, FittedNetwork] = field(default_factory=dict)
    answers: Answers | None = None  # of the networks, on the test pictures that their runs keep
    fits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # {name: ``fits.numbers`` of each seed}
    turned: dict[str, dict[str, float]] = field(default_factory=dict)  # {name: ``turned.of_seeds``}
    levels: dict[str, float] | None = None  # of the areas; the paper's when None
    slopes: dict[str, Hierarchy] = field(default_factory=dict)
    tuning: Rows = field(
        default_factory=list
    )  # network, base, family, slope, share lost, accuracy after, moved (one a seed)
    accuracy: Rows = field(default_factory=list)  # of score_against
    accuracies: dict[str, float] = field(default_factory=dict)  # {name: accuracy that these rows go with}
    subjects: dict[str, list[dict[str, float]]] = field(default_factory=dict)  # {name: {area: mean R²} of each subject}
    steps: dict[str, dict[int, str]] = field(default_factory=dict)  # {part of a diffusion network: {time step: name}}
    over_time: list[str] = field(default_factory=list)  # names whose layers are time steps
    # Of new fits (``studies.STUDIES``):
    studied: str = ""  # name of the network that was fitted again
    seeds: dict[tuple, float] = field(default_factory=dict)  # {pair of seeds: correlation of the mean layer}
    topology: dict[str, Any] = field(default_factory=dict)  # smooth (each seed's), without (one fit's), answers
    ablation: Answers | None = None  # its names are those of plan.ABLATIONS
    decay: Rows = field(default_factory=list)  # of curves.curve, the shortest first, with collapsed and recipe
    data: Answers | None = None  # its names are numbers of pictures, the fewest first
    single: Rows | None = (
        None  # of single_layer.against_learnt, by area; empty where a subject has none of ``fits.AREAS``
    )
    # {study: why it is not here}; not asked for where nothing is said
    unfitted: dict[str, Missing] = field(default_factory=dict)

    def trained(self, names):
        """Those of the names that are trained networks."""
        return [name for name in names if self.networks[name].trained]

    def alike(self, names):
        """Trained networks that can be set against each other: each once, all fitted in one way (the way that most of ``names`` have)."""
        ways = {}
        for name in self.trained(names):
            network = self.networks[name]
            ways.setdefault(network.fit, {}).setdefault(network.name, name)
        return list(max(ways.values(), key=len, default={}).values())

    def objective(self, name):
        """What networks trained alike share."""
        return self.networks[name].objective or self.networks[name].name

    def differ(self, names):
        """Whether there are networks of different training among these."""
        return len({self.objective(name) for name in names}) > 1

    def of_family(self, names, *families):
        """Those of the names whose network is of one of the families ("clip" of clip-l)."""
        return [name for name in names if self.networks[name].name.split("-")[0] in families]

    def several(self, names):
        """Those of the names with fits of enough seeds."""
        return [name for name in names if len(self.fits.get(name, ())) >= FITS]

    def scored(self, weights, answers=None):
        """``Estimate`` of a weighted sum of scores {(name, area): weight}: test pictures vary, and seeds where fits of several are here.

        A seed's variance is the mean over all networks that have ``FITS`` or more of them; it counts for each fit in the sum.
        """
        estimate, names = (answers or self.answers).estimate(weights), {}
        for (name, area), weight in weights.items():
            names.setdefault(name, {})[area] = weight
        variance, free = 0.0, 0
        for own in names.values():
            drawn = [
                sum(w * np.array([fit["score"][area] for fit in self.fits[n]]) for area, w in own.items())
                for n in self.several(self.fits)
                if all(area in fit["score"] for area in own for fit in self.fits[n])
            ]
            if drawn:
                variance += float(np.mean([np.var(x, ddof=1) for x in drawn]))
                free = sum(len(x) - 1 for x in drawn)
        return estimate + Estimate(0.0, variance**0.5, free) if free else estimate
