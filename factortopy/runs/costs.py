"""What trainings cost, before they start: formulas whose numbers were measured, as costs.json says (machine, date, of what, by what).

How well they hold elsewhere is told in docs/cluster.md. A network that was extracted on this machine takes its own speed
(``features.speed``) in place of the formula's. A cost whose number is not in the table is not known yet, and said to be so.
"""

import contextlib
import json
import shutil
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from factortopy.errors import InputError
from factortopy.features import speed
from factortopy.storage.home import home
from factortopy.subjects.demo import N_PICTURES, on_disk
from factortopy.subjects.names import demo_number
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import duration, rate_text, size_text

GRID_TOKENS = 8 * 8 + 1  # local tokens kept a layer, and the global one
BYTES = 2  # float16
# Networks that are no plain transformer: operations of one picture as published, doubled from multiply-adds.
OPERATIONS = {"inception-v3": 11.4e9, "convnext-b": 30.8e9, "resnet50": 8.2e9, "sd-1.5": 803e9}
# Channels of all layers together, where they differ from layer to layer (Stable Diffusion's: about).
CHANNELS = {"convnext-b": 18_048, "resnet50": 15_104, "inception-v3": 10_704, "sd-1.5": 16_000}
STEPS = 180  # of the fast recipe
RELEASED = 11_250  # of paper-released
TEST = 0.1  # of a subject's pictures, which a run with fewer pictures is scored on all the same


class NotMeasured(LookupError):
    """A cost is not known yet: its number is not in costs.json."""


@cache
def table():
    """What costs.json holds."""
    return json.loads(Path(__file__).with_name("costs.json").read_text(encoding="utf-8"))


def number(row, name):
    """A number of the table; NotMeasured where it is not there."""
    try:
        return table()["measured"][row][name]
    except KeyError:
        raise NotMeasured(f"{row}, {name}") from None


@dataclass(frozen=True)
class Sizes:
    """A subject's pictures, trials and vertices."""

    pictures: int
    trials: int
    vertices: int


DEMO = {"pictures": N_PICTURES, "trials": N_PICTURES, "vertices": 2154}


@dataclass(frozen=True)
class Network:
    """What a network costs: operations of one picture, layers, channels of all layers together."""

    name: str
    operations: float
    layers: int
    channels: int

    def bytes(self, pca=None):
        """Of one picture's features on disk, with ``pca`` principal components a layer where that is asked for."""
        return GRID_TOKENS * BYTES * min(self.channels, self.layers * (pca or self.channels))


VIT_B = Network("", 35.1e9, 12, 12 * 768)


def network(entry):
    """Network of an entry of ``list_backbones``.

    A transformer's pass takes two operations a parameter and token, and its attention 4 T² a channel and layer for T tokens;
    SAM's looks within windows of 14 × 14 in all but four layers. Within 5 % of torch's own count for seven networks (2 % but for SAM).
    """
    channels = CHANNELS.get(entry.name, entry.layers * entry.width)
    if entry.name in OPERATIONS:
        return Network(entry.name, OPERATIONS[entry.name], entry.layers, channels)
    tokens = (entry.input_size // entry.patch) ** 2
    windows = (entry.layers - 4) / entry.layers if entry.name.startswith("sam-") else 0.0
    seen = windows * 14**2 + (1 - windows) * tokens
    operations = 2 * entry.parameters * tokens + 4 * tokens * seen * entry.width * entry.layers
    return Network(entry.name, float(operations), entry.layers, channels)


def extraction_seconds(net, pictures):
    """Seconds to show pictures to a network and write what its layers say."""
    return pictures * net.operations / number("network pass", "operations_a_second")


def fit_terms(channels, pictures, vertices, steps=STEPS, aligned=None):
    """What the parts of a fast fit grow with, {row of the table: {name of its number: what that is multiplied by}}.

    channels : of all layers; pictures : of the whole subject, a tenth of them for testing; how often one was seen costs nothing;
    aligned : channels that the network's are made into, each read by the vertices; the recipe's own number when None
    """
    aligned = aligned or min(max(round((0.8 * pictures) ** 0.5), 16), 64)
    return {
        "prepare": {
            "seconds_a_channel": channels,
            "seconds_a_channel_and_picture": channels * pictures,
            "seconds_a_vertex": vertices,
        },
        "step": {
            "seconds": steps,
            "seconds_an_aligned": steps * aligned,
            "seconds_an_aligned_and_channel": steps * aligned * channels,
        },
        "solve": {
            "seconds_an_aligned_and_channel": aligned * pictures * channels,
            "seconds_an_aligned_and_vertex": aligned * pictures * vertices,
        },
    }


def fit_seconds(*sizes, **named):
    """(prepare, steps, last solve) in seconds of the fast recipe, from the arguments of ``fit_terms``."""
    terms = fit_terms(*sizes, **named)
    return tuple(sum(number(row, name) * count for name, count in own.items()) for row, own in terms.items())


def model_share(model):
    """Of the time of a fast fit of the factorized encoder, what another model takes."""
    return number("model", model)


def run_bytes(vertices, channels):
    """Bytes that a finished run's folder takes: 128 weights a vertex, selectors, scores; alignment maps."""
    own = number("run folder", "bytes") + number("run folder", "bytes_a_vertex") * vertices
    return own + 4 * 2 * 64 * channels


def sizes_of(subject, subject_id=None, trials=None):
    """Sizes of a demo subject or of a data set's folder, whose files are looked at and not read; None where it does not tell."""
    if subject.startswith("demo"):
        return Sizes(**DEMO)
    from factortopy.subjects.layouts import find

    try:
        layout, folder = find(subject, subject_id)
        summary = layout.look(folder, trials).summary()
    except InputError:
        return None
    vertices = (summary.left or 0) + (summary.right or 0)
    return (
        Sizes(summary.pictures, summary.trials, vertices) if summary.pictures and summary.trials and vertices else None
    )


def networks():
    """{name: Network} of all that are known by name."""
    from factortopy.backbones.loading import list_backbones

    return {entry.name: network(entry) for entry in list_backbones()}


def network_of(name, by_name=None):
    """The Network of a name, its random weights or a part of Stable Diffusion; None for one that its library alone knows."""
    by_name = networks() if by_name is None else by_name
    name = name.removesuffix(speed.UNTRAINED)
    if name.startswith("finetuned/"):
        from factortopy.backbones.finetuned import description_of

        name = (description_of(name) or {}).get("base") or name
    return by_name.get(name.split(":")[0].split("@")[0])


def measured(name, by_name=None):
    """(pictures a second, whose) as last extracted on this machine, or (None, "").

    A network that was not is judged by the one of those measured that is nearest to it in operations.
    """
    speeds, name = speed.measured(), name.removesuffix(speed.UNTRAINED)
    if name in speeds:
        return speeds[name]["pictures_per_second"], name
    by_name = networks() if by_name is None else by_name
    net = network_of(name, by_name)
    others = [by_name[other] for other in speeds if other in by_name]
    if net is None or not others:
        return None, ""
    nearest = min(others, key=lambda other: abs(other.operations / net.operations - 1))
    return speeds[nearest.name]["pictures_per_second"] * nearest.operations / net.operations, nearest.name


def extraction_sentence(name, pictures):
    """How long showing pictures to a network takes here, in words, from what was measured on this machine."""
    rate, whose = measured(name)
    if rate is None:
        return "how long it takes here is unknown until the first batch; from then on the time that is left is told"
    own = whose == name.removesuffix(speed.UNTRAINED)
    judged = f"as measured here on {speed.measured()[whose].get('date', 'an earlier day')}" if own else (
        f"judging by {whose}, which was measured here"
    )  # fmt: skip
    return f"about {duration(pictures / rate)} at {rate_text(rate)} pictures a second, {judged}"


def _fit(one, net, pictures, size):
    """Seconds of a run's fit; NotMeasured where that was not."""
    vertices = min(size.vertices, 2 * N_VERTICES[one["density"] or "164k"])
    steps = one["steps"]
    if one["recipe"] == "fast" or one["model"] == "ridge":
        return model_share(one["model"]) * sum(fit_seconds(net.channels, pictures, vertices, steps or STEPS))
    if net.channels != number("paper step", "channels") or size != Sizes(**DEMO):
        raise NotMeasured("the paper's recipe on anything but a demo subject with a demo network")
    own = RELEASED if one["recipe"] == "paper-released" else number("paper step", "steps")
    return model_share(one["model"]) * number("paper step", "seconds") * (steps or own)


def extraction_key(settings):
    """What features a run or an extraction reads: runs of the same key read the same. The demo subjects share their pictures."""
    from factortopy.runs.settings import EXTRACTION, antialiased

    subject, *others = (settings.get(name) for name in EXTRACTION)
    return ("demo" if demo_of(subject) else subject, *others, *(() if antialiased(settings) else ("aliased",)))


def demo_of(subject):
    """1, 2 or 3 for a demo subject's name, else None."""
    with contextlib.suppress(InputError):
        return demo_number(subject)
    return None


def extractions(settings):
    """How many different features runs need; those that agree read the same."""
    return len({extraction_key(one) for one in settings})


def making(subjects):
    """Seconds to render and simulate those of the demo subjects that are not on disk; None where that was not measured."""
    numbers = {demo_of(subject) for subject in subjects} - {None}
    there = [on_disk(number) for number in numbers]
    parts = (not all(pictures for pictures, _ in there), sum(not responses for _, responses in there))
    with contextlib.suppress(NotMeasured):
        each = (number("demo subject", f"seconds_a_picture_{part}") for part in ("rendered", "simulated"))
        return DEMO["pictures"] * sum(seconds * count for seconds, count in zip(each, parts, strict=True))
    return None


def estimate(settings, extracted=frozenset(), sizes=sizes_of):
    """What runs cost, one after the other.

    Parameters
    ----------
    settings : list of dict, as ``sweeps.settings_of`` makes them
    extracted : set of tuple, keys of the features that are on disk (``jobs.job.extracted``)
    sizes : callable(subject, subject_id, trials) -> Sizes or None

    Returns
    -------
    dict
        runs; extractions (different features), kept (those on disk); making (seconds of a demo subject's first use); seconds and bytes
        in all, None where a subject's size is not known or a cost was not measured; here: True when the networks' speed was
        measured on this machine; like: True when a network that is not in the table is taken to be of the size of ViT-B.
    """
    by_name, looked_up = networks(), lru_cache(None)(sizes)
    first = making(one["subject"] for one in settings)
    seen, seconds, size, here, like = set(), first, 0.0, True, False
    for one in settings:
        net, subject = network_of(one["backbone"], by_name), looked_up(one["subject"], one["subject_id"], one["trials"])
        key = extraction_key(one)
        new = key not in seen and key not in extracted
        seen.add(key)
        like, net = like or net is None, net or VIT_B
        if subject is None:
            seconds = size = None
            continue
        learnt = (1 - TEST) * subject.pictures
        learnt = min(one["pictures"] or learnt, learnt)
        shown, pictures = (
            learnt + TEST * subject.pictures,
            learnt / (1 - TEST),
        )  # and the whole subject of which that would be 8:1:1
        rate, _ = measured(one["backbone"], by_name)
        here = here and rate is not None
        try:
            own = new * shown * net.bytes(one["pca"]) + run_bytes(subject.vertices, net.channels)
            size = None if size is None else size + own
        except NotMeasured:
            size = None
        try:
            own = new * (shown / rate if rate else extraction_seconds(net, shown))
            own += number("start", "seconds") + _fit(one, net, pictures, subject)
            seconds = None if seconds is None else seconds + own
        except NotMeasured:
            seconds = None
    return {
        "runs": len(settings),
        "extractions": len(seen),
        "kept": len(seen & extracted),
        "making": first,
        "seconds": seconds,
        "bytes": size,
        "here": here,
        "like": like,
    }


def sentence(estimate):
    """An estimate in a sentence: time, disk, and what is free of it."""
    free = f"{size_text(shutil.disk_usage(home()).free)} are free"
    if estimate["bytes"] is None:
        return f"Time and disk are not known before the subject is looked at; {free}."
    like = ", taking networks not in the table for one like ViT-B" if estimate["like"] else ""
    disk = f"{size_text(estimate['bytes'])} of disk at most{like}; {free}"
    if estimate["seconds"] is None:
        return f"{disk}. How long the fit takes is not known yet: it was not measured for this recipe and size; it is told while it runs."
    machine = table()["machine"]
    source = f"pictures at this machine's pace, the fit as on {machine}" if estimate["here"] else f"on {machine}"
    kept = "Features" if estimate["kept"] == estimate["extractions"] else "Less where features"
    making = (
        f" The demo subject is made first, once: about {duration(estimate['making'])} of it."
        if estimate["making"]
        else ""
    )
    return f"About {duration(estimate['seconds'])} ({source}) and {disk}. {kept} are on disk already.{making}"
