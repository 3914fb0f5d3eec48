"""What trainings cost, before they start: formulas whose constants were measured on two cores without a GPU.

Sources: benchmarks/results/encoder.json ("full": 3,000 pictures, 12 layers of 768 channels, 37,984 vertices, 180 steps; "linear")
and extraction.json; how well they hold elsewhere is told in docs/cluster.md.
"""

from dataclasses import dataclass

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
RUN = (1.7e6, 560)  # bytes of a run's folder, and bytes a vertex
DEMO = {"pictures": 3000, "vertices": 2154}


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


def estimate(settings):
    """What a sweep costs on this kind of machine, one run after the other.

    Parameters
    ----------
    settings : list of dict, as ``sweepfolder.settings_of`` makes them

    Returns
    -------
    dict
        runs, extractions (different features), seconds and bytes; the last two None where a subject's size or a network
        is not known before it is opened.
    """
    from factortopy.backbones import list_backbones
    from factortopy.sweepfolder import EXTRACTION

    known = {entry.name: network(entry) for entry in list_backbones()}
    seen, seconds, size = set(), 0.0, 0.0
    for one in settings:
        net = known.get(one["backbone"].removesuffix(" untrained"))
        demo = one["subject"].startswith("demo-")
        pictures = one["pictures"] and (min(one["pictures"], DEMO["pictures"]) if demo else one["pictures"])
        pictures = pictures or (DEMO["pictures"] if demo else None)
        key = tuple(one[name] for name in EXTRACTION)
        new, vertices = key not in seen, DEMO["vertices"] if demo else None
        seen.add(key)
        if net is None or pictures is None or size is None:
            seconds = size = None
            continue
        size += new * pictures * net.bytes(one["pca"])
        if (
            vertices is None
            or seconds is None
            or one["recipe"] != "fast"
            or one["model"] not in ("factorized", "ridge")
        ):
            seconds = None
            continue
        seconds += new * extraction_seconds(net, pictures) + sum(
            fit_seconds(net.channels, pictures, vertices, one["steps"] or STEPS)
        )
        size += run_bytes(vertices, net.channels)
    return {"runs": len(settings), "extractions": len(seen), "seconds": seconds, "bytes": size}
