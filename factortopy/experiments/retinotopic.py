"""Retinotopy of a fitted encoder: bars, wedges and rings shown to it, analysed as measured responses are.

Bars give population receptive fields, wedges and rings phase-encoded polar angle and eccentricity; both are compared with
measured maps, an atlas and the encoder's own space selector. Conventions: ``prf``, ``phase``, ``fieldsign``, ``agreement``.
"""

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from factortopy.analysis import spatial_nulls
from factortopy.errors import InputError, unexpected
from factortopy.experiments import agreement, evidence, fieldsign, phase, prf
from factortopy.experiments.checks import number, whole
from factortopy.experiments.responses import respond, tell
from factortopy.experiments.result import Result
from factortopy.stimuli import apertures
from factortopy.storage.allowed_folders import typed
from factortopy.surfaces import atlases, meshes
from factortopy.surfaces.areas import EARLY

DEFAULTS = {
    "protocol": "bars",  # bars, wedges, rings, wedges and rings
    "carrier": "checkerboard",  # or "picture"
    "pictures": None,  # of the carrier "picture": a folder or a list of files; None: rendered scenes
    "radius": None,  # of the aperture in degrees; None: half the picture's width
    "bar_width": None,  # in degrees; None: a quarter of the radius
    "wedge_angle": 45.0,  # in degrees of rotation
    "ring_width": None,  # in degrees; None: a quarter of the radius
    "check_degrees": None,  # side of a square of the checkerboard; None: an eighth of the radius
    "steps": 24,  # a sweep
    "repetitions": 2,
    "noise": 0.0,  # added to each repetition, in standard deviations of the vertex's response
    "smoothing": 2,  # steps along edges, of the visual field sign
    "seed": 0,
}
# Other types that a setting may have.
ALSO = {"pictures": (str, list)} | dict.fromkeys(("radius", "bar_width", "ring_width", "check_degrees"), (float,))
SCENES, EXAMPLES = 32, 16
LARGEST = 3000  # frames in all
FINEST = 448  # side of a frame in pixels: a larger network enlarges them, and they stay within memory
NOTES = (
    "Each frame gives one response: the network sees single frames, and no haemodynamic response is added.",
    "A field shows what the network's tokens carry; a transformer's mix the whole picture: sizes are not the cortex's alone.",
    "Such maps show where the tokens lie that predict a vertex, which the fit has learnt: an untrained network gives them too.",
    "Where the encoder reads the global token (scale 0.6 or more), it has no place of its own and no fit.",
    "A fit says that responses depend on where a thing is shown. A field in the very middle looks like an answer to how much is shown.",
    "A vertex may answer less to what is shown in its field: its sign is −1, and its place is as good.",
    "Group atlases agree only in part with each other (Dice 0.7 to 0.9 for V1, 0.6 to 0.7 for V3): that bounds any score.",
    "Grey frames with a strip of a carrier are unlike the pictures that the encoder was fitted to.",
)  # fmt: skip


@dataclass(frozen=True)
class Retinotopy:
    """Maps of N vertices; NaN where no place was established (``run`` says when).

    space : (N, 2) as in Selectors: x right, y down, [−1, 1] the picture; a centre beyond it counts at its edge
    size : (N,) σ in degrees (NaN for wedges and rings)
    r2 : (N,) share of variance that the field, or the stimulus' frequency, explains
    polar_angle : (N,) degrees counter-clockwise from the right horizontal, 0 … 360 (NaN for rings alone)
    eccentricity : (N,) degrees (NaN for wedges alone)
    field_sign, border : (N,) −1 … 1; 1 where the sign reverses
    agreement, numbers : dicts, see ``run``
    result : Result
    """

    space: np.ndarray
    size: np.ndarray
    r2: np.ndarray
    polar_angle: np.ndarray
    eccentricity: np.ndarray
    field_sign: np.ndarray
    border: np.ndarray
    agreement: dict
    numbers: dict
    result: Result


def retinotopy(encoder, protocol="bars", on_progress=None, **settings):
    """Map the visual field on a fitted encoder.

    Parameters
    ----------
    encoder : Encoder
    protocol : {"bars", "wedges", "rings", "wedges and rings"}
    on_progress : callable, optional
        Gets (done, total); returning False raises ``Stopped``.
    settings
        See ``DEFAULTS``.

    Returns
    -------
    Retinotopy

    Raises
    ------
    InputError
        Naming a setting that does not exist or has a wrong value.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise unexpected("retinotopy", f"settings among {', '.join(DEFAULTS)}", f"{unknown[0]!r}", "leave it out")
    result = run(encoder, DEFAULTS | settings | {"protocol": protocol}, on_progress)
    maps = {k: result.maps[k] for k in ("size", "r2", "polar_angle", "eccentricity", "field_sign", "border")}
    numbers = result.numbers
    return Retinotopy(result.arrays["space"], **maps, agreement=numbers["agreement"], numbers=numbers, result=result)


def run(encoder, settings, on_progress=None):
    """Run the experiment.

    Parameters
    ----------
    encoder : Encoder
    settings : dict
        Complete, as ``DEFAULTS``.
    on_progress : callable, optional
        Gets (done, total): frames shown, then the analysis.

    Returns
    -------
    Result
        maps: polar_angle, eccentricity, size, r2, sign (1 answers more to what is shown in its field, −1 less), q, field_sign,
        border. A vertex has a fit where q < ``level`` (false discovery rate over the vertices below scale 0.6; of ``evidence``),
        R² is at least ``floor``, one sign clearly explains more than the other, and the centre is within 1.3 radii.
        numbers: frames, seconds, mapped (vertices with a fit), level, floor (the R² that a fit has at least), suppressed (fits
        of sign −1), global (vertices that read the global token, scale 0.6 or more: none has a fit), lacking {reason: vertices}, agreement
        {against: scores of ``agreement.agreement``}, atlas (its name), areas (rows of a table), signs, borders.
        arrays: space (N, 2); responses (T, N) averaged over repetitions and masks (T, S, S), both float16; for bars, gain
        and offset (N,). ``fitted`` gives a vertex's fitted course from them.
        pictures: examples of the frames.
    """
    start = time.perf_counter()
    settings = settings | {"pictures": _as_text(settings["pictures"])}  # JSON values alone
    degrees = float(encoder.info.get("image_degrees") or 8.4)
    s = _checked(settings, degrees)
    shown = _stimulus(s, degrees, min(encoder.backbone().input_size, FINEST))
    frames = len(shown.frames)
    total = frames + max(frames // 8, 2)  # the analysis counts as so many frames
    responses = respond(encoder, shown.frames, lambda done, _: tell(on_progress, done, total))
    responses = _noisy(responses, s, len(shown.masks))
    courses = shown.averaged(responses)

    def on_analysis(done, of):
        tell(on_progress, frames + (total - frames) * done // (2 * max(of, 1)), total)

    fit = (_bars if s.protocol == "bars" else _cycles)(shown, responses, courses, s, on_analysis)
    fit.x, fit.y = agreement.position(fit.polar_angle, fit.eccentricity)
    has, fit.q, lacking = _established(fit, _scale(encoder), s.radius)
    for name in ("x", "y", "polar_angle", "eccentricity", "size", "sign"):
        getattr(fit, name)[~has] = np.nan
    on_analysis(1, 1)

    maps = {name: getattr(fit, name) for name in ("polar_angle", "eccentricity", "size", "r2", "sign", "q")}
    numbers = {
        "protocol": s.protocol, "frames": frames, "vertices": encoder.n_vertices, "mapped": int(has.sum()),
        "level": evidence.LEVEL, "floor": evidence.LEAST_R2, "suppressed": int((fit.sign < 0).sum()),
        "global": int((_scale(encoder) >= agreement.LOCAL).sum()), "lacking": lacking, "radius": s.radius, "image_degrees": degrees,
    }  # fmt: skip
    notes = [*NOTES, *_unasked(s)]
    compared, signs = _compared(encoder, fit, s, notes)
    result = Result("retinotopy", dict(settings), maps | signs, numbers | compared, notes=notes)
    result.arrays = {
        "space": np.clip(np.stack([fit.x, -fit.y], 1).astype(np.float32) / (degrees / 2), -1, 1),
        "responses": courses.astype(np.float16), "masks": shown.masks.astype(np.float16),
    }  # fmt: skip
    if s.protocol == "bars":
        result.arrays |= {"gain": fit.gain, "offset": fit.offset}
    result.maps = {name: np.asarray(values, np.float32) for name, values in result.maps.items()}
    examples = np.linspace(0, len(shown.masks) - 1, EXAMPLES).round().astype(int)
    result.pictures = {"frames": shown.frames[examples]}
    result.numbers["areas"] = agreement.by_area(encoder, result.maps, result.numbers["signs"])
    result.numbers["seconds"] = time.perf_counter() - start
    tell(on_progress, total, total)
    return result


def fitted(result, vertex):
    """(T,) course of the fitted field of a vertex, beside ``result.arrays["responses"][:, vertex]``; None without one."""
    if "gain" not in result.arrays or not np.isfinite(result.maps["size"][vertex]):
        return None
    x, y = agreement.position(result.maps["polar_angle"][vertex], result.maps["eccentricity"][vertex])
    one = SimpleNamespace(
        x=x, y=y, size=result.maps["size"][vertex],
        gain=result.arrays["gain"][vertex], offset=result.arrays["offset"][vertex],
    )  # fmt: skip
    masks = np.asarray(result.arrays["masks"], np.float32)
    return prf.course(one, masks, result.numbers["image_degrees"])[:, 0]


# ---------------------------------------------------------------- stimulus and analysis


def _stimulus(s, degrees, size):
    geometry = apertures.Geometry(degrees, s.radius, s.bar_width, s.wedge_angle, s.ring_width, s.steps)
    carriers = None if s.carrier == "checkerboard" else _carriers(s, size)
    return apertures.stimulus(s.protocol, size, geometry, s.repetitions, s.check_degrees, carriers, s.seed)


def _carriers(s, size):
    """Rendered scenes, or the pictures that were given."""
    if s.pictures is None:
        return apertures.scene_carriers(SCENES, size, s.seed)
    from factortopy.pictures.reading import read_pictures

    files = s.pictures
    for one in [files] if isinstance(files, str) else files:
        typed(one, "setting pictures:")
    if isinstance(files, str):
        if not Path(files).is_dir():
            raise InputError(f"setting pictures: expected a folder or a list of files, found {files!r}; check the path")
        files = sorted(str(path) for path in Path(files).iterdir() if path.is_file())
    read = read_pictures(files)
    if not read.good:
        why = f" ({read.bad[0][0]}: {read.bad[0][1]})" if read.bad else ""
        raise InputError(f"setting pictures: expected at least one readable picture, found none{why}; choose others")
    return [picture.pixels for picture in read.good]


def _noisy(responses, s, frames):
    """Responses with seeded noise on every frame of every repetition."""
    if not s.noise:
        return responses
    rng = np.random.default_rng([s.seed, 1])
    spread = responses.reshape(s.repetitions, frames, -1).mean(0).std(0)
    return responses + s.noise * spread * rng.standard_normal(responses.shape, dtype=np.float32)


def _bars(shown, responses, courses, s, on_progress):
    """Fitted fields, and whether responses depend on the side that a bar is on."""
    degrees = shown.geometry.image_degrees
    fields = prf.fit(courses, shown.masks, degrees, on_progress)
    p, share = evidence.bars(responses.reshape(s.repetitions, *courses.shape), shown.masks, degrees, s.seed)
    return SimpleNamespace(
        polar_angle=np.rad2deg(np.arctan2(fields.y, fields.x)) % 360, eccentricity=np.hypot(fields.x, fields.y),
        size=fields.size.copy(), r2=fields.r2, gain=fields.gain, offset=fields.offset, sign=np.sign(fields.gain),
        other=fields.other / np.maximum(fields.r2, 1e-12), p=p, weak=share < evidence.LEAST_SIDE,
    )  # fmt: skip


def _cycles(shown, responses, courses, s, on_progress):
    """Polar angle, eccentricity or both from their lags, and whether these come back in every repetition."""
    n = responses.shape[1]
    fit = SimpleNamespace(**{name: np.full(n, np.nan) for name in ("polar_angle", "eccentricity", "size")})
    sign, fit.other = prf.signs(courses, shown.masks, shown.geometry.image_degrees)
    fit.sign, fit.p, fit.weak = np.where(sign == 0, np.nan, sign), np.zeros(n), np.zeros(n, bool)
    series, shares = {w: shown.cycles(responses, w) for w in shown.sweeps}, []
    angle = partial(phase.polar_angle, cycles=s.repetitions)
    distance = partial(phase.eccentricity, cycles=s.repetitions, geometry=shown.geometry)
    areas = shown.masks.sum((1, 2))
    for name, kind, analyse, least in (
        ("polar_angle", "wedge", angle, 0),
        ("eccentricity", "ring", distance, evidence.LEAST_RING),
    ):
        if f"{kind}s" not in s.protocol:
            continue
        # A vertex that answers less in its field answers most half a cycle away from it.
        value, share = analyse(*(np.where(sign < 0, -1, 1) * series[sweep] for sweep in apertures.SWEEPS[f"{kind}s"]))
        setattr(fit, name, value)
        shares.append(share)
        p, back = evidence.cycles(responses.reshape(s.repetitions, *courses.shape), shown.sweeps, kind, areas)
        # Where both are asked for, a vertex has to follow wedges and rings: the weaker of the two counts.
        fit.p, fit.weak = np.maximum(fit.p, p), fit.weak | (back < least)
    fit.r2 = np.min(shares, 0)
    on_progress(1, 1)
    return fit


def _established(fit, scale, radius):
    """Which vertices have a fit, their q, and {reason: vertices that lack one by it}, each by the first that holds."""
    local = scale < agreement.LOCAL
    q = evidence.q_values(fit.p, local)
    far = np.nan_to_num(np.hypot(fit.x, fit.y)) > prf.REACH * radius
    reasons = {
        "reads the global token": ~local, "not above chance": ~(q < evidence.LEVEL),
        "explains too little": ~(fit.r2 >= evidence.LEAST_R2) | fit.weak, "sign unclear": fit.other > evidence.CLEAR,
        "outside what was shown": far,
    }  # fmt: skip
    has, lacking = np.ones(len(q), bool), {}
    for name, lacks in reasons.items():
        lacking[name] = int((has & lacks).sum())
        has &= ~lacks
    return has, q, lacking


def _scale(encoder):
    """(N,) 0 reads local tokens … 1 the global token; 0 for baselines, which have no such factor."""
    return np.asarray(encoder.selectors().scale) if encoder.has_selectors else np.zeros(encoder.n_vertices)


def _unasked(s):
    if s.protocol != "bars":
        yield "Wedges and rings: noise that repeats at the pace of the sweeps cannot be told from a place."
    if s.protocol != "bars" and s.repetitions < 2:
        yield "Wedges and rings shown once cannot be told from chance: no place has a fit. Show them at least twice."


# ---------------------------------------------------------------- comparison


def _compared(encoder, fit, s, notes):
    """Numbers (agreement, atlas, signs, borders) and maps (field_sign, border) of a fit."""
    n, both = encoder.n_vertices, np.isfinite(fit.x).any()
    rows = encoder.vertices.rows
    try:
        mesh = meshes.load_mesh(encoder.density)
    except InputError:
        mesh = None
        notes.append(
            f"No mesh of density {encoder.density} is on this machine: no visual field sign, no borders and no floor of the agreement."
        )
    atlas = None if mesh is None else atlases.atlas_retinotopy(encoder.density)

    def with_sign(maps, x, y):
        if mesh is not None and both and np.isfinite(x).any():
            maps["field_sign"] = fieldsign.field_sign(x, y, rows, mesh, s.smoothing)
        return maps

    fitted_maps = {"polar_angle": fit.polar_angle, "eccentricity": fit.eccentricity, "size": fit.size}
    fitted_maps = with_sign({k: v for k, v in fitted_maps.items() if np.isfinite(v).any()}, fit.x, fit.y)
    truths = agreement.truths(encoder, atlas, rows, s.image_degrees)
    truths = {name: with_sign(maps, x, y) for name, (maps, x, y) in truths.items()}
    sphere = None if mesh is None else mesh.coords["sphere"]
    numbers = {"agreement": {}, "atlas": None if atlas is None else atlas.source, "signs": {}, "borders": {}}
    for name, truth in truths.items():
        seen = agreement.within(truth, s.radius)
        scores = agreement.agreement(fitted_maps, seen, encoder.vertices, sphere, seed=s.seed)
        numbers["agreement"][name] = scores
    sign = fitted_maps.get("field_sign", np.full(n, np.nan))
    if "field_sign" not in fitted_maps:
        return numbers, {"field_sign": sign, "border": sign.copy()}
    border = fieldsign.reversals(sign, rows, mesh)
    early = {name: atlas.area == k for k, name in enumerate(EARLY, start=1)}
    areas = {name: mask[rows] for name, mask in early.items()} | encoder.rois
    turned = spatial_nulls.turns(encoder.vertices, np.isfinite(sign), mesh.coords["sphere"], seed=s.seed)
    numbers["signs"] = fieldsign.right_shares(sign, areas, truths.get("atlas", {}).get("field_sign"), turned)
    numbers["borders"] = fieldsign.border_distances(border, rows, early, mesh)
    return numbers, {"field_sign": sign, "border": border}


# ---------------------------------------------------------------- settings


def _checked(settings, degrees):
    """The settings as a namespace, None filled in; InputError names the one that is wrong."""
    s = SimpleNamespace(**settings)
    for name, choices in {"protocol": apertures.SWEEPS, "carrier": ("checkerboard", "picture")}.items():
        if getattr(s, name) not in tuple(choices):
            expected = f"one of {', '.join(choices)}"
            raise unexpected(f"setting {name}", expected, f"{getattr(s, name)!r}", "choose one of these")
    given = s.pictures if isinstance(s.pictures, list) else [s.pictures or ""]
    if not all(isinstance(path, str) for path in given):
        raise unexpected("setting pictures", "a folder, a list of files or none", "something else", "give paths")
    if s.pictures is not None and s.carrier != "picture":
        raise unexpected("setting pictures", 'carrier "picture" beside it', '"checkerboard"', "change one of them")
    half = degrees / 2
    s.image_degrees = degrees
    s.radius = number("setting radius", half if s.radius is None else s.radius, 0.1 * half, half, " degrees")
    for name, share in (("bar_width", 4), ("ring_width", 4), ("check_degrees", 8)):
        value = getattr(s, name)
        value = s.radius / share if value is None else value
        setattr(s, name, number(f"setting {name}", value, 0.02 * s.radius, s.radius, " degrees"))
    s.wedge_angle = number("setting wedge_angle", s.wedge_angle, 5, 180, " degrees")
    s.noise = number("setting noise", s.noise, 0, 100, " standard deviations")
    for name, least, most in (("steps", 8, 200), ("repetitions", 1, 100), ("smoothing", 0, 20), ("seed", 0, 2**31)):
        setattr(s, name, whole(f"setting {name}", getattr(s, name), least, most))
    frames = len(apertures.SWEEPS[s.protocol]) * s.steps * s.repetitions
    if frames > LARGEST:
        expected = f"at most {LARGEST} frames in all"
        raise unexpected("settings steps and repetitions", expected, frames, "lower one of them")
    return s


def _as_text(pictures):
    """Paths as str, whatever kind they came as."""
    if isinstance(pictures, list | tuple):
        return [_as_text(path) for path in pictures]
    return os.fspath(pictures) if isinstance(pictures, os.PathLike) else pictures
