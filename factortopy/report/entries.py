"""The networks of a report: run folders read, seeds put together, subjects with the same vertices averaged."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from factortopy.analysis.averaging import average
from factortopy.analysis.comparison import same_vertices
from factortopy.analysis.gallery import read_gallery
from factortopy.analysis.scores import normalised, pearson
from factortopy.backbones.finetuned import label
from factortopy.encoder.encoder import Encoder
from factortopy.errors import InputError, unexpected
from factortopy.report.evidence import Evidence, FittedNetwork
from factortopy.runs.names import in_word, network_of
from factortopy.storage.files import read_json


@dataclass
class Entry:
    """One network with one way of fitting it.

    name : unique in the report
    runs : list of Run, one a subject, of the lowest seed
    encoders : list of Encoder, theirs
    others : {seed: Encoder}, the same with other seeds, averaged over subjects
    """

    name: str
    runs: list
    encoders: list
    others: dict = field(default_factory=dict)

    @cached_property
    def encoder(self):
        """The only one, or the mean over subjects (maps and scores, no channels)."""
        return average(self.encoders)

    @property
    def first(self):
        """The encoder of the first subject, whose channels are shown."""
        return self.encoders[0]

    @property
    def info(self):
        return self.encoder.info

    @property
    def simulated(self):
        return self.encoder.simulated

    @property
    def trained(self):
        return bool(self.info.get("trained", True))

    @property
    def network(self):
        """What the checklist needs to know of it."""
        own, network = network_of(self.info), label(self.info)
        fit = {key: value for key, value in own.items() if key not in ("backbone", "weights")}
        same = None if self.info.get("finetuned") or own["weights"] else objective(network)
        return FittedNetwork(network, same or network, repr(fit), self.trained)

    @property
    def settings(self):
        """What the first run was asked for."""
        return self.runs[0].settings

    @cached_property
    def gallery(self):
        """Held-out pictures of the first run, or None."""
        return read_gallery(self.runs[0].path)

    @cached_property
    def pearson(self):
        """((N,) correlation on test pictures, what it was taken on); all NaN when that is not known."""
        if "pearson" in self.encoder.scores:
            return np.asarray(self.encoder.scores["pearson"], float), "all test trials"
        if self.gallery is None or len(self.encoders) > 1:
            return np.full(self.encoder.n_vertices, np.nan), "nothing: the run was scored before it was kept"
        g = self.gallery
        words = f"the {len(g.image)} test pictures that the run keeps (it was scored before r was kept)"
        return pearson(g.measured.astype(np.float32), g.predicted.astype(np.float32)), words

    @property
    def pearson_of_trials(self):
        """(N,) r of the rows that the noise ceiling is of; NaN where only that of a picture's mean over repeats is known."""
        r, _ = self.pearson
        if "pearson" in self.encoder.scores or not self.repeated:
            return r
        return np.full(len(r), np.nan)

    @property
    def repeated(self):
        """True where the test pictures of the run, or of a run that does not say, were shown more than once."""
        try:
            tests = len(read_json(self.runs[0].path / "split.json")["test"])
        except InputError:  # shipped runs have none; the demo shows every picture once
            return not (self.encoder.simulated and str(self.encoder.info.get("subject")).startswith("demo-"))
        return tests != ((self.runs[0].info.get("pictures") or {}).get("test"))

    @property
    def normalised(self):
        """(N,) R² over noise ceiling."""
        return normalised(self.encoder.scores["score"], self.encoder.noise_ceiling)


def read_entries(runs):
    """``Entry`` of each network, in the order given.

    Parameters
    ----------
    runs : list of Run, finished

    Raises
    ------
    InputError
        When a run has no scores, is given twice, or the runs' vertices differ.
    """
    groups, keys = {}, {}
    for run in runs:
        encoder = Encoder.load(run.path)
        if "score" not in encoder.scores or "predicted" not in encoder.scores:
            raise InputError(f"{run.path}: expected a scored run, found none; run score on it first")
        what = network_of(encoder.info)
        keys[repr(what)] = what
        subject, seed = str(encoder.info.get("subject")), int(encoder.info.get("seed") or 0)
        of_seed = groups.setdefault(repr(what), {}).setdefault(seed, {})
        if subject in of_seed:
            expected = f"another subject, network or seed than {of_seed[subject][0].path} has"
            raise unexpected(run.path, expected, "the same", "give one of them")
        of_seed[subject] = run, encoder
    names, out = _names(keys), []
    for key, seeds in groups.items():
        lowest, *rest = sorted(seeds)
        first, encoders = zip(*seeds[lowest].values(), strict=True)
        others = {seed: average([e for _, e in seeds[seed].values()]) for seed in rest}
        out.append(Entry(names[key], list(first), list(encoders), others))
    same_vertices({str(run.path): e for entry in out for run, e in zip(entry.runs, entry.encoders, strict=True)})
    return out


def alike(entries):
    """Trained entries that can be set against each other: each network once, all fitted in one way (``Evidence.alike``)."""
    networks = {e.name: e.network for e in entries}
    names = Evidence(networks).alike(networks)
    return [e for e in entries if e.name in names]


def objective(name):
    """What a network of the registry was trained to do and on what; None where that is not known."""
    from factortopy.backbones.loading import list_backbones

    name = name.split(":")[0].split("@")[0]
    return next((f"{b.objective}, {b.training_data}" for b in list_backbones() if b.name == name), None)


def _names(keys):
    """{key: the network's name}, with what differs where several have the same network."""
    out = {}
    for key, what in keys.items():
        alike = [other for other in keys.values() if other["backbone"] == what["backbone"]]
        differs = [k for k in what if len({repr(other[k]) for other in alike}) > 1]
        words = [word for k in differs if (word := in_word(k, what[k]))]
        out[key] = what["backbone"] + (f" ({', '.join(words)})" if words else "")
    return out


def pairs(entries):
    """{name: (Entry before, Entry after)} of networks that were fine-tuned, where the same network as it was is here too."""
    out = {}
    for after in entries:
        tuned = after.info.get("finetuned")
        if not tuned:
            continue
        base = {"backbone": str(tuned.get("began_as") or tuned.get("base")), "weights": None}
        wanted = network_of(after.info) | base
        others = (e for e in entries if e is not after)
        before = next((e for e in others if network_of(e.info) | {"weights": None} == wanted), None)
        if before is not None:
            out[after.name] = before, after
    return out
