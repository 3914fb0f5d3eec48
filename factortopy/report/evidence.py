"""What a report measured, for the checklist: each section fills the fields that it has numbers for."""

from __future__ import annotations

from dataclasses import dataclass, field

from factortopy.report.missing import Missing

Rows = list[dict]  # of a table


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
    """Numbers of a report; a field that is empty was not measured. Keys that are names, and columns of networks, are entries' names."""

    networks: dict[str, FittedNetwork] = field(default_factory=dict)
    scores: Rows = field(default_factory=list)  # of scores_by_roi
    distance: Rows = field(default_factory=list)  # of distance_to_best
    slopes: Rows = field(default_factory=list)  # network, slope, slope from, slope to
    scale: dict[str, tuple[float, float]] = field(default_factory=dict)  # {name: mean scale of early, of late areas}
    # {name: share of local vertices that look at the other side}
    contralateral: dict[str, float] = field(default_factory=dict)
    hemispheres: dict[str, Rows] = field(default_factory=dict)  # {name: rows of hemispheres_alike}
    diversity: dict[str, Rows] = field(default_factory=dict)  # {name: rows of channel_diversity}
    tuning: tuple[Rows, float] = ((), float("nan"))  # of lost: rows, rank correlation of slope and share lost
    accuracy: Rows = field(default_factory=list)  # of score_against
    # {words: diffusion step of early, of late areas}
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)
    # Of new fits (``studies.STUDIES``):
    seeds: dict[str, float] = field(default_factory=dict)  # layer_r, layer_near: means over pairs of seeds
    topology: dict[str, list[float]] = field(default_factory=dict)  # smooth, score: each with topology, without
    ablation: Rows = field(default_factory=list)  # of curves.ablation
    decay: Rows = field(default_factory=list)  # of curves.curve, the shortest first, with collapsed and recipe
    data: Rows = field(default_factory=list)  # of curves.curve, the fewest pictures first
    single: dict[str, float] = field(default_factory=dict)  # of single_layer.against_learnt
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
