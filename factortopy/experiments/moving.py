"""Motion: drifting gratings and optic flow; what a network that sees single frames can tell of them, and what it cannot."""

from dataclasses import dataclass, field

import numpy as np

from factortopy.errors import InputError
from factortopy.experiments.checks import number, whole
from factortopy.experiments.localizer import compare, profile
from factortopy.experiments.responses import respond, tell
from factortopy.experiments.result import Result
from factortopy.stimuli.movement import FLOWS, dots, grating

TYPES = ("grating", *FLOWS)
COHERENT = ("translation", "expansion", "contraction", "rotation")
DEFAULTS = {
    "types": list(TYPES), "clips": 8, "frames": 12, "fps": 12.0, "speed": 4.0, "dots": 150, "dot_size": 0.3,
    "spatial_frequency": 1.0, "temporal_frequency": 3.0, "contrast": 1.0, "size": 112, "seed": 0,
}  # fmt: skip
ALSO = {"types": (str,)}  # other types that a setting may have
# Of a response's spread over frames: beyond half-precision rounding of tokens, frames of another order differ.
SAME = 1e-3
FRAMES = (
    "The network sees single frames: a clip's response is the mean over its frames, and the same frames in any order give "
    "the same response (largest difference found: {0:.1e} of the spread over frames). Nothing here is an answer to motion."
)
VIDEO = (
    "The same frames in another order give other responses (largest difference: {0:.1e} of the spread over frames): the "
    "network takes time into account."
)
CAN = (
    "What it can show: form that differs between types, such as stripes against dots. Coherent and random dots look alike "
    "in any one frame: their contrast shows how far chance placement of dots goes, not motion areas. In people, coherent "
    "flow drives V6 and scene areas more than random dots (Pitzalis 2010, Sulpizio 2020): that needs a video network."
)
STIMULI = "Simulated subject: it was made from still pictures and has no motion areas."


@dataclass
class Motion:
    """Responses to moving pictures.

    response : {type: (clips, N) float32}, means over frames
    t, dprime, q : (N,) or None: coherent flow against random dots, over clips; None without both
    shuffled : largest difference that another order of frames makes, as a share of the standard deviation over frames
    identical : bool, ``shuffled`` within rounding
    profile : {roi: {type: {"mean", "se"}}}
    clips : {type: (frames, size, size, 3) uint8}, the first clip of each
    """

    response: dict
    t: np.ndarray | None = None
    dprime: np.ndarray | None = None
    q: np.ndarray | None = None
    shuffled: float = 0.0
    identical: bool = True
    profile: dict = field(default_factory=dict)
    clips: dict = field(default_factory=dict)


def motion(encoder, on_progress=None, **settings):
    """Responses to drifting gratings and optic flow.

    Parameters
    ----------
    encoder : Encoder
    on_progress : callable, optional
        Gets (done, total) frames; returning False raises ``Stopped``.
    settings
        Those of ``DEFAULTS``: types (of ``TYPES``), clips (of each type), frames (of each clip), fps, speed (degrees a
        second), dots (inside the picture), dot_size (degrees), spatial_frequency (cycles a degree), temporal_frequency
        (Hz), contrast (of gratings), size (pixels), seed.

    Returns
    -------
    Motion

    Raises
    ------
    InputError
        A setting that cannot be shown.
    """
    unknown = ", ".join(sorted(set(settings) - set(DEFAULTS)))
    if unknown:
        raise InputError(f"motion: expected settings among {', '.join(DEFAULTS)}, found {unknown}; check the spelling")
    s = DEFAULTS | settings
    types = [s["types"]] if isinstance(s["types"], str) else list(s["types"])
    strange = [name for name in types if name not in TYPES]
    if strange or not types:
        raise InputError(f"types: expected some of {', '.join(TYPES)}, found {strange or 'none'}; choose among these")
    for name, least in (("clips", 2), ("frames", 2), ("dots", 1), ("size", 16), ("seed", 0)):
        whole(name, s[name], least)
    for name in ("fps", "speed", "dot_size", "spatial_frequency", "temporal_frequency", "contrast"):
        number(name, s[name])
    degrees = float(encoder.info.get("image_degrees") or 8.4)
    return _measure(encoder, types, s, degrees, on_progress)


def clip(kind, number, s, degrees):
    """Clip ``number`` of a type, (frames, size, size, 3) uint8; directions are spread evenly over the clips."""
    direction = 360.0 * number / s["clips"]
    shape = {name: s[name] for name in ("frames", "fps", "size")} | {"degrees": degrees}
    if kind == "grating":
        phase = 2 * np.pi * np.random.default_rng((s["seed"], number)).random()
        waves = s["spatial_frequency"], s["temporal_frequency"]
        return grating(direction, *waves, contrast=s["contrast"], phase=phase, **shape)
    seed = (s["seed"], TYPES.index(kind), number)
    like = COHERENT[number % len(COHERENT)]
    flow = {"speed": s["speed"], "count": s["dots"], "dot": s["dot_size"]}
    return dots(kind, like=like, direction=direction, seed=seed, **flow, **shape)


def _measure(encoder, types, s, degrees, on_progress):
    total, done, length = len(types) * (s["clips"] + 1) * s["frames"], 0, s["frames"]
    step = None if on_progress is None else lambda part, _: on_progress(done + part, total)
    response, first, largest = {}, {}, 0.0
    for kind in types:
        means = []
        for index in range(s["clips"]):
            frames = clip(kind, index, s, degrees)
            answers = respond(encoder, frames, step)
            means.append(answers.mean(0, dtype=np.float64))
            done += length
            if index == 0:
                first[kind], whole_clip = frames, answers
        order = np.random.default_rng((s["seed"], 7)).permutation(length)
        again = respond(encoder, first[kind][order], step, keep=False)  # looked at anew: nothing is taken for granted
        done += length
        apart = np.abs(again.mean(0, dtype=np.float64) - means[0])
        largest = max(largest, float((apart / _spread(whole_clip)).max()))
        response[kind] = np.stack(means).astype(np.float32)
    tell(on_progress, total, total)
    out = Motion(response, shuffled=largest, identical=largest < SAME, clips=first)
    coherent = [kind for kind in COHERENT if kind in response]
    if coherent and "random" in response:
        sides = {"coherent": np.concatenate([response[kind] for kind in coherent]), "random": response["random"]}
        contrast = compare(sides, "coherent", ("random",))
        out.t, out.dprime, out.q = contrast.t, contrast.dprime, contrast.q
    out.profile = profile(response, encoder.rois)
    return out


def _spread(frames):
    """(N,) standard deviation over frames, not below a thousandth of the response: frames of a still clip are alike."""
    return np.maximum(frames.std(0, dtype=np.float64), 1e-3 * np.abs(frames).max() + 1e-9)


def run(encoder, settings, on_progress=None):
    """All types of motion -> Result; settings as for ``motion``."""
    measurement = motion(encoder, on_progress, **settings)
    maps = {f"response {kind}": x.mean(0) for kind, x in measurement.response.items()}
    numbers = {
        "profile": measurement.profile, "shuffled frames": measurement.shuffled, "identical": measurement.identical,
        "degrees": float(encoder.info.get("image_degrees") or 8.4),
    }  # fmt: skip
    if measurement.dprime is not None:
        maps |= {"dprime coherent": measurement.dprime, "t coherent": measurement.t, "q coherent": measurement.q}
        rois = {roi: float(measurement.dprime[mask].mean()) for roi, mask in encoder.rois.items() if mask.any()}
        numbers["coherent"] = {"significant": float((measurement.q <= 0.05).mean()), "dprime": rois}
    notes = [(FRAMES if measurement.identical else VIDEO).format(measurement.shuffled)]
    notes += [CAN] if measurement.identical else []
    pictures = {kind: frames[:: max(1, len(frames) // 4)][:4] for kind, frames in measurement.clips.items()}
    notes += [STIMULI] if encoder.simulated else []
    return Result("motion", dict(settings), maps, numbers, {}, pictures, notes)
