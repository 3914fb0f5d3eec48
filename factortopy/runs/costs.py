"""What trainings cost, before they start: formulas whose constants were measured on two cores without a GPU.

Sources: benchmarks/results/encoder.json ("full": 3,000 pictures, 12 layers of 768 channels, 37,984 vertices, 180 steps; "linear")
and extraction.json; how well they hold elsewhere is told in docs/cluster.md. A network that was extracted on this machine takes
its own pace (pace.py) in place of the formula's. START: a run of 20 steps took 19 s, 19 s of processor time, its formula says 5 (demo-1
and demo-vit, features on disk); MAKE: 3,000 pictures in 25 and 25 s, 600 in 7 and 7 s.
"""

import contextlib
import shutil
from dataclasses import dataclass
from functools import lru_cache

from factortopy.errors import InputError
from factortopy.features import speed
from factortopy.storage.home import home
from factortopy.subjects.demo import N_PICTURES, on_disk
from factortopy.subjects.names import demo_number
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import duration, rate_text, size_text

GRID_TOKENS = 8 * 8 + 1  # local tokens kept a layer, and the global one
BYTES = 2  # float16
PACE = 72e9  # operations a second of a network's pass, all layers read and written: ViT-S, 7.8 pictures a second
# Networks that are no plain transformer: operations of one picture as published, doubled from multiply-adds.
OPERATIONS = {"inception-v3": 11.4e9, "convnext-b": 30.8e9, "resnet50": 8.2e9, "sd-1.5": 803e9}
# Channels of all layers together, where they differ from layer to layer (Stable Diffusion's: about).
CHANNELS = {"convnext-b": 18_048, "resnet50": 15_104, "inception-v3": 10_704, "sd-1.5": 16_000}
PREPARE = 54.3 / (3000 * 9216)  # seconds a picture and channel: checks, principal components, start
STEP = (0.09, 6.5e-5)  # seconds, and seconds a channel
SOLVE = 41.2 / (3000 * 37984)  # seconds a picture and vertex, the last solve
STEPS = 180
START = 14  # seconds a run beside its fit: start-up, loading subject and network, scoring, saving
MAKE = (0.01, 0.01)  # seconds a picture of a demo subject that is not on disk: rendering, simulating the responses
TEST = 0.1  # of a subject's pictures, which a run with fewer pictures is scored on all the same
RUN = (1.7e6, 560)  # bytes of a run's folder, and bytes a vertex
# Of the time of a fast fit of the factorized encoder: docs/ablations.md.
MODELS = {"factorized": 1.0, "classtoken": 0.2, "patchtoken": 0.4, "gnetvit": 1.25, "ridge": 0.4}
PAPER_STEP, PAPER_STEPS = (
    0.091,
    60_000,
)  # seconds a step, on a demo subject with a demo network alone: docs/ablations.md
PAPER_CHANNELS = 1536
TWO_CORES = "two cores, no GPU"


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
    return pictures * net.operations / PACE


def fit_seconds(channels, pictures, vertices, steps=STEPS):
    """(prepare, steps, last solve) in seconds of the fast recipe."""
    return PREPARE * pictures * channels, steps * (STEP[0] + STEP[1] * channels), SOLVE * pictures * vertices


def run_bytes(vertices, channels):
    """Bytes that a finished run's folder takes: 128 weights a vertex, selectors, scores; alignment maps."""
    return RUN[0] + RUN[1] * vertices + 4 * 2 * 64 * channels


def sizes_of(subject, subject_id=None, trials=None):
    """Sizes of a demo subject or of a data set's folder, whose files are looked at and not read; None where it does not tell."""
    if subject.startswith("demo"):
        return Sizes(**DEMO)
    from factortopy.subjects.layouts import find

    try:
        layout, folder = find(subject, subject_id)
        known = layout.look(folder, trials).summary()
    except InputError:
        return None
    vertices = (known.left or 0) + (known.right or 0)
    return Sizes(known.pictures, known.trials, vertices) if known.pictures and known.trials and vertices else None


def networks():
    """{name: Network} of all that are known by name."""
    from factortopy.backbones.loading import list_backbones

    return {entry.name: network(entry) for entry in list_backbones()}


def network_of(name, known=None):
    """The Network of a name, its random weights or a part of Stable Diffusion; None for one that its library alone knows."""
    known = networks() if known is None else known
    name = name.removesuffix(speed.UNTRAINED)
    if name.startswith("finetuned/"):
        from factortopy.backbones.finetuned import description_of

        name = (description_of(name) or {}).get("base") or name
    return known.get(name.split(":")[0].split("@")[0])


def measured(name, known=None):
    """(pictures a second, whose) as last extracted on this machine, or (None, "").

    A network that was not is judged by the one of those measured that is nearest to it in operations.
    """
    found, name = speed.measured(), name.removesuffix(speed.UNTRAINED)
    if name in found:
        return found[name]["pictures_per_second"], name
    known = networks() if known is None else known
    net = network_of(name, known)
    others = [known[other] for other in found if other in known]
    if net is None or not others:
        return None, ""
    nearest = min(others, key=lambda other: abs(other.operations / net.operations - 1))
    return found[nearest.name]["pictures_per_second"] * nearest.operations / net.operations, nearest.name


def extraction_told(name, pictures):
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
    """Seconds of a run's fit, None where that was never measured."""
    trials = round(size.trials * pictures / size.pictures)
    vertices = min(size.vertices, 2 * N_VERTICES[one["density"] or "164k"])
    steps = one["steps"]
    if one["recipe"] == "fast" or one["model"] == "ridge":
        return MODELS[one["model"]] * sum(fit_seconds(net.channels, trials, vertices, steps or STEPS))
    if net.channels != PAPER_CHANNELS or size != Sizes(**DEMO):
        return None
    return MODELS[one["model"]] * PAPER_STEP * (steps or PAPER_STEPS)


def extraction_key(settings):
    """What features a run or an extraction reads: runs of the same key read the same. The demo subjects share their pictures."""
    from factortopy.runs.settings import EXTRACTION

    subject, *others = (settings.get(name) for name in EXTRACTION)
    return ("demo" if demo_of(subject) else subject, *others)


def demo_of(subject):
    """1, 2 or 3 for a demo subject's name, else None."""
    with contextlib.suppress(InputError):
        return demo_number(subject)
    return None


def extractions(settings):
    """How many different features runs need; those that agree read the same."""
    return len({extraction_key(one) for one in settings})


def making(subjects):
    """Seconds to render and simulate those of the demo subjects that are not on disk."""
    numbers = {demo_of(subject) for subject in subjects} - {None}
    there = [on_disk(number) for number in numbers]
    parts = (not all(pictures for pictures, _ in there), sum(not responses for _, responses in there))
    return DEMO["pictures"] * sum(one * count for one, count in zip(MAKE, parts, strict=True))


def estimate(settings, extracted=frozenset(), sizes=sizes_of):
    """What runs cost, one after the other.

    Parameters
    ----------
    settings : list of dict, as ``sweepfolder.settings_of`` makes them
    extracted : set of str, keys of the features that are on disk (``jobs.job.extracted``)
    sizes : callable(subject, subject_id, trials) -> Sizes or None

    Returns
    -------
    dict
        runs; extractions (different features), kept (those on disk); making (seconds of a demo subject's first use); seconds and bytes
        in all, None where a subject's size, a network or the recipe's pace is
        not known; here: True when the networks' pace was measured on this machine; like: True when a network that is not known by
        name is taken to be of the size of ViT-B.
    """
    known, looked_up = networks(), lru_cache(None)(sizes)
    first = making(one["subject"] for one in settings)
    seen, seconds, size, here, like = set(), first, 0.0, True, False
    for one in settings:
        net, subject = network_of(one["backbone"], known), looked_up(one["subject"], one["subject_id"], one["trials"])
        key = extraction_key(one)
        new = key not in seen and key not in extracted
        seen.add(key)
        like, net = like or net is None, net or VIT_B
        if subject is None:
            seconds = size = None
        if size is None:
            continue
        pictures = min(one["pictures"] or subject.pictures, subject.pictures)
        shown = pictures + TEST * (subject.pictures - pictures)
        rate, _ = measured(one["backbone"], known)
        here = here and rate is not None
        size += new * shown * net.bytes(one["pca"]) + run_bytes(subject.vertices, net.channels)
        fit = _fit(one, net, pictures, subject)
        if seconds is None or fit is None:
            seconds = None
            continue
        seconds += new * (shown / rate if rate else extraction_seconds(net, shown)) + START + fit
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


def told(found):
    """An estimate in a sentence: time, disk, and what is free of it."""
    free = f"{size_text(shutil.disk_usage(home()).free)} are free"
    if found["bytes"] is None:
        return f"Time and disk are not known before the subject is looked at; {free}."
    like = ", taking networks not in the table for one like ViT-B" if found["like"] else ""
    disk = f"{size_text(found['bytes'])} of disk at most{like}; {free}"
    if found["seconds"] is None:
        return f"{disk}. How long the fit takes was not measured for this recipe and size; it is told while it runs."
    source = f"pictures at this machine's pace, the fit as on {TWO_CORES}" if found["here"] else f"on {TWO_CORES}"
    kept = "Features" if found["kept"] == found["extractions"] else "Less where features"
    made = f" The demo subject is made first, once: about {duration(found['making'])} of it." if found["making"] else ""
    return f"About {duration(found['seconds'])} ({source}) and {disk}. {kept} are on disk already.{made}"
