"""Activation maximization: pictures that drive chosen vertices, beside what noise and other pictures do to them."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from factortopy.errors import InputError, unexpected
from factortopy.experiments.checks import number, whole
from factortopy.experiments.responses import respond, tell
from factortopy.experiments.result import Result
from factortopy.experiments.targets import checked, target_of

DEFAULTS = {
    "target": {"roi": "FFA"},
    "steps": 160,
    "seeds": 3,  # how many, or a list of them
    "size": None,  # pixels a side; None: what the network sees
    "rate": 0.2,  # of Adam at its highest
    "smoothness": 50.0,  # weight of the mean squared difference of neighbouring pixels
    "transforms": True,
    "noise": 24,  # pictures
    "rendered": 12,  # pictures a category
}
ALSO = {"seeds": (list,), "size": (int,)}  # other types that a setting may have
MOST = {"steps": 5000, "seeds": 16, "noise": 200, "rendered": 100}
SIZES = (32, 512)
WARM = 0.2  # share of the steps over which the rate rises
LOOKS = 20  # how often on_image is called
GROWTH = 6  # snapshots that the result keeps
AFTER = 0.15  # share of the progress that belongs to the baselines

ADVERSARIAL = (
    "These pictures were made by climbing the encoder's own gradient, outside of the pictures that it was fitted to. "
    "They exploit the network too: a response several times that of a real picture (about 4 times a real face in "
    "published encoders of vision transformers) says what the encoder extrapolates to, not what a brain would do."
)


@dataclass(frozen=True)
class Maximized:
    """What ``maximize`` gives.

    images : (S, H, W, 3) uint8; history : (S, steps) target's response at each step, to the transformed picture
    response : (S, N) predicted response to ``images`` as they are; result : Result, with the baselines
    """

    images: np.ndarray
    history: np.ndarray
    response: np.ndarray
    result: Result


def maximize(
    encoder, target, steps=DEFAULTS["steps"], seeds=DEFAULTS["seeds"], on_progress=None, on_image=None, **settings
):
    """Pictures that drive the target's predicted response (voxel-weighted activation maximization).

    The picture is written in Fourier space with decorrelated colours (Lucid), seen through random shifts, scalings and
    rotations, and kept smooth by a small penalty ∝ f². All seeds climb in one batch.

    Parameters
    ----------
    encoder : Encoder
    target : (N,) weights, or a description for ``target_of``
        Positive drives, negative suppresses. The objective is the mean response with these weights, their absolute
        values summing to 1.
    steps : int
    seeds : int or list of int
        How many pictures, from seeds 0, 1, …, or the seeds themselves.
    on_progress : callable, optional
        Gets (done, total); returning False raises ``Stopped``.
    on_image : callable, optional
        Gets (step, (S, H, W, 3) uint8) some twenty times while the pictures grow.
    **settings
        Others of ``DEFAULTS``.

    Returns
    -------
    Maximized

    Raises
    ------
    InputError
        Names the setting that is wrong.
    Stopped
    """
    unknown = sorted(set(settings) - set(DEFAULTS) | {"target"} & set(settings))
    if unknown:
        raise InputError(f"maximize: expected settings {', '.join(DEFAULTS)}, found {', '.join(unknown)}; leave it out")
    if not isinstance(target, dict):
        target = {"weights": checked(encoder, target).tolist()}
    settings = DEFAULTS | settings | {"target": target, "steps": steps, "seeds": seeds}
    return _maximize(encoder, settings, on_progress, on_image)


def run(encoder, settings, on_progress=None, on_image=None):
    """The experiment of complete ``settings`` (see ``DEFAULTS`` and ``maximize``) -> Result."""
    return _maximize(encoder, settings, on_progress, on_image).result


def _maximize(encoder, settings, on_progress, on_image):
    seeds = _checked_settings(settings)
    weights = target_of(encoder, settings["target"])
    weights = weights / np.abs(weights).sum()
    size = settings["size"] or min(max(encoder.backbone().input_size, SIZES[0]), SIZES[1])
    steps, total = settings["steps"], round(settings["steps"] * (1 + AFTER)) + 1
    growth = {}
    kept_at = set(np.unique(np.geomspace(1, steps, GROWTH).round().astype(int)).tolist())

    def look(step, images):
        """Called after every step with a function that gives the pictures."""
        if step in kept_at:
            growth[step] = images()
        if on_image is not None and (step % max(1, steps // LOOKS) == 0 or step == steps):
            on_image(step, images())
        tell(on_progress, step, total)

    images, history = _climb(encoder, weights, settings, size, seeds, look)
    response = encoder.predict(images)
    after = partial(_rest, on_progress, steps, total)
    result = _result(encoder, settings, weights, seeds, images, history, response, growth, after)
    tell(on_progress, total, total)
    return Maximized(images, history, response, result)


def _rest(on_progress, steps, total, done, pictures):
    """Progress of the baselines, as steps beyond the last."""
    return on_progress is None or on_progress(min(steps + (total - steps) * done // pictures, total - 1), total)


def _climb(encoder, weights, settings, size, seeds, look):
    """Gradient ascent -> images (S, size, size, 3) uint8, history (S, steps)."""
    import torch

    from factortopy.experiments import fourier

    network, steps, rows = encoder.backbone(), settings["steps"], np.flatnonzero(weights)
    weight = torch.from_numpy(weights[rows].astype(np.float32))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    history = np.empty((len(seeds), steps), np.float32)
    with torch.enable_grad():
        parameters = fourier.first_parameters(size, generators).requires_grad_()
        optimiser = torch.optim.Adam([parameters], lr=settings["rate"])
        rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share_of_rate(step / steps))
        for step in range(steps):
            pixels = fourier.picture(parameters)
            seen = fourier.transformed(pixels, generators) if settings["transforms"] else pixels
            objective = encoder.read(*network.pixel_tokens(seen), vertices=rows) @ weight
            history[:, step] = objective.detach().numpy()
            if not np.isfinite(history[:, step]).all():
                expected = f"finite responses of {network.name}"
                remedy = f"lower the rate (now {settings['rate']}), or fetch the network's weights again"
                raise unexpected("maximize", expected, f"NaN or infinity at step {step + 1}", remedy)
            optimiser.zero_grad()
            (settings["smoothness"] * fourier.roughness(pixels) - objective).sum().backward()
            optimiser.step()
            rate.step()
            look(step + 1, lambda: fourier.as_bytes(fourier.picture(parameters.detach())))
    return fourier.as_bytes(fourier.picture(parameters.detach())), history


def _share_of_rate(t):
    """Share of the full rate at the time ``t`` in 0 … 1: up over a fifth of it, as Adam's first steps know no direction
    and would fill the picture with noise, then down to a thirtieth."""
    return min(1.0, 0.02 + t / WARM) * (1 / 30 + 29 / 30 * 0.5 * (1 + np.cos(np.pi * max(0.0, t - WARM) / (1 - WARM))))


# ---------------------------------------------------------------- what keeps it honest


def _result(encoder, settings, weights, seeds, images, history, response, growth, after):
    by_seed = response @ weights
    best = int(by_seed.argmax())
    rendered, categories = _rendered(settings["rendered"], images.shape[1])
    shown = respond(encoder, rendered, after)
    noise = _noise(images, settings["noise"])
    of_noise = respond(encoder, noise, keep=False) @ weights
    grey = encoder.predict(np.full((1, *images.shape[1:]), 128, np.uint8))[0]
    of_rendered = shown @ weights
    mean, sd = shown.mean(0), shown.std(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, (response[best] - mean) / sd, np.nan)
    rois = {
        name: _against(response[best][mask].mean(), shown[:, mask].mean(1)) | {"in_target": float(np.mean(weights[mask] != 0))}
        for name, mask in ((name, np.asarray(mask, bool)) for name, mask in encoder.rois.items())
        if mask.any()
    }  # fmt: skip
    numbers = {
        "objective": {"best": float(by_seed[best]), "best_seed": seeds[best], "seeds": seeds, "by_seed": by_seed.tolist()},
        "baselines": {
            "grey": float(grey @ weights),
            "noise": {"mean": float(of_noise.mean()), "best": float(of_noise.max())},
            "rendered": {
                "mean": float(of_rendered.mean()), "best": float(of_rendered.max()),
                "category": categories[int(of_rendered.argmax())],
            },
        },
        "target": _against(by_seed[best], of_rendered),
        "rois": rois,
        "others": _others(rois),
        "growth_steps": sorted(growth),
    }  # fmt: skip
    return Result(
        "maximize",
        settings,
        maps={"response": response[best], "above rendered (z)": z.astype(np.float32), "target": weights.astype(np.float32)},
        numbers=numbers,
        arrays={"history": history, "responses": response, "noise": of_noise, "rendered": of_rendered},
        pictures={
            "maximized": images,
            "growth": np.stack([growth[step][best] for step in sorted(growth)]),
            "noise": noise[:3],
            "best rendered": rendered[[int(of_rendered.argmax())]],
        },
        notes=_notes(encoder, numbers),
    )  # fmt: skip


def _rendered(n, size):
    """Pictures of the localizer, (5n, size, size, 3), and the category of each."""
    from factortopy.stimuli.localizer import localizer

    sets = localizer(n, size)
    return np.concatenate(list(sets.values())), [name for name, images in sets.items() for _ in images]


def _noise(images, n):
    """(n, H, W, 3) uint8 noise with the spectra of the images, in turn."""
    import torch

    from factortopy.experiments import fourier

    pixels = torch.from_numpy(images[np.arange(n) % len(images)]).permute(0, 3, 1, 2).float() / 255
    return fourier.as_bytes(fourier.same_spectrum(pixels, torch.Generator().manual_seed(0)))


def _against(response, rendered):
    """A response beside those to the rendered pictures: its z among them; None where they do not differ."""
    sd = float(rendered.std(ddof=1))
    z = float((response - rendered.mean()) / sd) if sd > 0 else None
    return {"response": float(response), "rendered_mean": float(rendered.mean()), "rendered_sd": sd, "z": z}


def _others(rois):
    """The area outside the target that the picture drives most: a selective picture leaves it far below the target."""
    apart = {name: row["z"] for name, row in rois.items() if not row["in_target"] and row["z"] is not None}
    if not apart:
        return None
    name = max(apart, key=apart.get)
    return {"most_driven": name, "z": apart[name], "areas": len(apart)}


def _notes(encoder, numbers):
    notes, network = [ADVERSARIAL], encoder.backbone()
    notes.append(
        "Baselines: noise with the same spectrum and colours as the pictures, rendered pictures of the localizer, and the "
        "other areas of the same picture. z is counted in standard deviations over the rendered pictures."
    )
    target, other = numbers["target"], numbers["others"]
    if other and target["z"] is not None and other["z"] >= target["z"]:
        notes.append(
            f"Not selective: {other['most_driven']}, outside the target, rises as much (z {other['z']:.1f}) "
            f"as the target (z {target['z']:.1f})."
        )
    if numbers["objective"]["best"] <= numbers["baselines"]["noise"]["best"]:
        notes.append("No success: noise with the same spectrum drives the target as much as the best picture does.")
    if not network.trained:
        notes.append("The network is untrained: its weights are random.")
    return notes


def _checked_settings(settings):
    """The seeds, list of int; InputError names the setting that is wrong."""
    label = "maximize, setting {!r}".format
    for name in ("steps", "noise", "rendered"):
        whole(label(name), settings[name], 1, MOST[name])
    if settings["size"] is not None:
        whole(label("size"), settings["size"], *SIZES)
    number(label("rate"), settings["rate"], 1e-4, 10)
    number(label("smoothness"), settings["smoothness"], 0, 1e4)
    if not isinstance(settings["transforms"], bool):
        raise unexpected(label("transforms"), "true or false", f"{settings['transforms']!r:.60}", "change it")
    seeds, most = settings["seeds"], MOST["seeds"]
    if not isinstance(seeds, list | tuple):
        return list(range(whole(label("seeds"), seeds, 1, most)))
    whole(f"{label('seeds')}, how many", len(seeds), 1, most)
    return [whole(label("seeds"), seed) for seed in seeds]
