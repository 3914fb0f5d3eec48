"""Lesions: what the predicted brain loses when parts of its network are silenced, scaled or made noisy."""

import numpy as np

from factortopy.encoder.encoder import Encoder
from factortopy.errors import InputError, unexpected
from factortopy.experiments import damage as parts
from factortopy.experiments import localizer
from factortopy.experiments.checks import number, whole
from factortopy.experiments.responses import Stopped, respond, tell
from factortopy.experiments.result import Result
from factortopy.experiments.used_channels import most_used, random_like
from factortopy.features.extraction import compute, extract
from factortopy.features.reader import as_pixels

DEFAULTS = {
    "layers": None, "channels": {"roi": "FFA", "share": 0.1}, "heads": None, "region": None, "gain": 0.0, "noise": 0.0,
    "around": "mean", "propagate": False, "pictures": localizer.RENDERED, "n": 24, "contrast": "faces",
    "doses": [1.0, 0.75, 0.5, 0.25, 0.0], "seed": 0,
}  # fmt: skip
# Other types that a setting may have.
ALSO = {
    "layers": (int, str, list),
    "channels": (list, None),
    "heads": (list, dict),
    "region": (list,),
    "doses": (None,),
}
CONTROLS = 3  # sets of equally many random channels
ZERO = (
    "Silenced to zero: a value that the network never sees in these channels, so that some of the change comes from an "
    "unnatural input. Around the mean is milder."
)
READ_ONLY = (
    "Without propagation only what the encoder reads of these layers changes; the network stays whole, and a "
    "factorized encoder's response follows the gain in a straight line."
)
INSIDE = "Inside the network: later layers see the damage too. The encoder was fitted to the intact network."
RANDOM = (
    f"Beside the lesion: the mean of {CONTROLS} sets of equally many random channels in the same layers. "
    "What both lose is the loss of channels as such."
)
NO_RANDOM = "No channels were chosen, so that there is no random control."


def lesion(
    encoder, layers=None, channels=None, gain=0.0, propagate=False, *, heads=None, region=None, noise=0.0, around="zero",
    reference=None, seed=0,
):  # fmt: skip
    """An encoder over a damaged network: x becomes m + gain · (x − m) + noise · sd · ε in the parts that are named.

    Parameters
    ----------
    encoder : Encoder
    layers : int, str or list of these, optional
        Numbers (0 the first, −1 the last) or names of ``encoder.layer_names``; None takes all.
    channels : list of int or {layer: list of int}, optional
        None takes all.
    gain : float
        0 silences, 1 leaves alone, more than 1 strengthens.
    propagate : bool
        False: what the encoder reads of those layers changes, local and global tokens, the network stays whole.
        True: the layers' outputs change inside the network, so that later layers change too. A global token that is
        the mean of the local ones follows from them.
    heads : list of int or {layer: list of int}, optional
        Attention heads instead of channels, changed before their outputs are mixed; only with ``propagate``.
    region : (x0, y0, x1, y1), optional
        Only local tokens whose centres lie inside; −1 … 1, x right, y down. On the encoder's grid, with ``propagate``
        on the network's.
    noise : float
        Of Gaussian noise, in standard deviations of each channel over ``reference``; drawn by ``seed`` and picture.
    around : {"zero", "mean"}
        m: 0, or each channel's mean over ``reference``.
    reference : sequence of pictures, optional
        None takes 64 rendered scenes.
    seed : int
        Of the noise.

    Returns
    -------
    LesionedEncoder

    Raises
    ------
    InputError
        For parts that the network does not have.
    """
    names, sites = encoder.layer_names, encoder.backbone().sites() if propagate else None
    if propagate and sites is None:
        expected = "one that can be reached inside"
        actual = "none of its layers' places told"
        raise unexpected(f"network {encoder.backbone().name}", expected, actual, "use propagate=False")
    if around not in parts.AROUND:
        raise InputError(f'around: expected "zero" or "mean", found {around!r}; choose one of these')
    whole("seed", seed)
    chosen = parts.layer_numbers(layers, names)
    if heads is None:
        where = parts.by_layer("channels", channels, chosen, encoder.channels, names)
    elif channels is not None or not propagate:
        expected = "them without channels and with propagate=True"
        actual = "channels too" if channels is not None else "propagate=False"
        raise unexpected("heads", expected, actual, "heads act inside the network only")
    else:
        where = _columns(heads, chosen, sites, names, layers is None)
    damage = parts.Damage(
        encoder, where, number("gain", gain), number("noise", noise, 0), around, parts.checked_region(region),
        reference, seed, sites, heads is not None,
    )  # fmt: skip
    return LesionedEncoder(encoder, damage)


def _columns(heads, chosen, sites, names, all_layers):
    """{layer: columns of the mixer's input} of attention heads; layers without attention are left out of "all"."""
    counts = [site.heads if site.mixer is not None else 0 for site in sites]
    if all_layers:
        chosen = [l for l in chosen if counts[l]] or chosen
    which = parts.by_layer("heads", heads, chosen, counts, names)
    size = {l: sites[l].mixer.in_features // sites[l].heads for l in which}
    return {l: (hs[:, None] * size[l] + np.arange(size[l])).ravel() for l, hs in which.items()}


class LesionedEncoder:
    """What ``lesion`` returns: an encoder whose ``predict`` sees the damage; the rest is the intact one's.

    Attributes
    ----------
    intact : Encoder
    damage : Damage
    """

    def __init__(self, intact, damage):
        self.intact, self.damage = intact, damage
        self._network = None if damage.sites is None else parts.DamagedBackbone(intact.backbone(), damage)

    def __getattr__(self, name):
        if name.startswith("__") or name == "intact":  # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.intact, name)

    @property
    def fingerprint(self):
        """The intact encoder's where nothing changes, another one for every other damage."""
        return self.intact.fingerprint + ("" if self.damage.none else f"-{self.damage.key}")

    def backbone(self):
        """The network that it reads; with ``propagate`` the damaged one."""
        return self._network or self.intact.backbone()

    def predict(self, images):
        """Predicted responses to pictures: arrays, PIL images or paths -> (n_images, N) float32."""
        features = compute(self.backbone(), images, grid=self.grid, antialias=self.antialias)
        noisy = self.damage.noise and self._network is None
        return self._predict(features, _seeds(images, len(features)) if noisy else range(len(features)))

    def predict_features(self, features, seeds=None):
        """Predicted responses from features of the intact network -> (n, N) float32.

        seeds : (n,) int, of each picture's noise; its row when None

        Raises
        ------
        InputError
            With ``propagate``: features come from behind the damage.
        """
        if self._network is not None:
            remedy = "with propagate=True it acts inside the network: use predict(images)"
            raise unexpected("lesion", "pictures", "features", remedy)
        return self._predict(features, range(len(features)) if seeds is None else seeds)

    def _predict(self, features, seeds):
        out = np.empty((len(features), self.n_vertices), np.float32)
        for i in range(0, len(features), 64):
            k = slice(i, i + 64)
            out[k] = Encoder.predict_features(_Reader(self, seeds[k]), features[k])
        return out

    def read(self, local, global_, vertices=None, seeds=None):
        """As ``Encoder.read``; without ``propagate`` the tokens are damaged first."""
        import torch

        from factortopy.encoder.reduce import on_grid

        local, global_, shape = list(local), list(global_), (self.grid, self.grid)
        if self._network is None and not self.damage.none:
            for l in self.damage.where:
                both = torch.cat([global_[l][:, None], on_grid(local[l], self.grid, self.antialias)], 1)
                both = self.damage.change(both, l, 1, shape, seeds)
                local[l], global_[l] = both[:, 1:].unflatten(1, shape), both[:, 0]
        return self.intact.read(local, global_, vertices)


class _Reader:
    """What ``Encoder.predict_features`` asks for, with the noise of some pictures."""

    def __init__(self, encoder, seeds):
        self.channels, self.n_vertices, self.antialias = encoder.channels, encoder.n_vertices, encoder.antialias
        self.read = lambda local, global_: encoder.read(local, global_, seeds=seeds)


def _seeds(images, n):
    """Of the noise of ``n`` pictures, whatever ``predict`` takes."""
    single = n == 1 and (getattr(images, "ndim", 0) == 3 or not isinstance(images, list | tuple | np.ndarray))
    return [parts.picture_seed(as_pixels(image)) for image in ([images] if single else images)]


# ---------------------------------------------------------------- the experiment


def _share(on_progress, part, parts_):
    """Progress of one of several equal parts."""
    if on_progress is None:
        return None
    return lambda done, total: on_progress(part * total + done, parts_ * total)


def _features(encoder, images, on_progress):
    features = extract(encoder.backbone(), images, on_progress, grid=encoder.grid, antialias=encoder.antialias)
    if features is None:
        raise Stopped
    return features


def _answers(encoder, images, features, on_progress):
    """Responses; from ``features`` where the network is whole: it runs once for all lesions."""
    if features is None:
        return respond(encoder, images, on_progress)
    tell(on_progress, 0, len(images))
    if isinstance(encoder, LesionedEncoder):
        return encoder.predict_features(features, _seeds(images, 0) if encoder.damage.noise else None)
    return encoder.predict_features(features)


def run(encoder, settings, on_progress=None):
    """A lesion beside its random control: change of responses and of a contrast -> Result.

    Settings
    --------
    layers, heads, region, gain, noise, around, propagate, seed : as for ``lesion``
    channels : list, {layer: list}, null for all, or {"roi": name, "share": 0.1}: the tenth of each
        layer's channels that an area reads most
    pictures, n, contrast : localizer pictures and the category whose d′ against all others is followed
    doses : gains of the dose-response curve, null or [] for none
    """
    s = settings
    doses = [number("doses", d) for d in s["doses"] or []]
    if not isinstance(s["propagate"], bool):
        raise InputError(f"propagate: expected true or false, found {s['propagate']!r}; change the setting")
    pictures = localizer.pictures_of(encoder, s["pictures"], s["n"], s["seed"])
    against = localizer.sides(pictures, s["contrast"])
    what = {name: s[name] for name in ("layers", "heads", "region", "noise", "around", "propagate", "seed")}
    what["channels"] = _chosen(encoder, s)
    first, controls = lesion(encoder, gain=s["gain"], **what), []
    if s["channels"] is not None:
        seeds = [1000 * s["seed"] + i for i in range(CONTROLS)]
        controls = [{**what, "channels": random_like(first.damage.where, encoder, seed)} for seed in seeds]
    gains = list(dict.fromkeys([float(s["gain"]), *doses]))
    count = 1 + len(gains) * (1 + len(controls))
    images = [image for stack in pictures.values() for image in stack]
    labels = [name for name, stack in pictures.items() for _ in stack]
    features = None if s["propagate"] else _features(encoder, images, _share(on_progress, 0, count + 1))
    steps = iter([_share(on_progress, i + 1, count + 1) for i in range(count)])
    before = _answers(encoder, images, features, next(steps))

    def measure(gain, one):
        """change, d′ and similarity of one lesion, each (N,)."""
        return _compared(_answers(lesion(encoder, gain=gain, **one), images, features, next(steps)), before, labels, s)

    lesioned = {gain: measure(gain, what) for gain in gains}
    beside = {gain: _mean([measure(gain, one) for one in controls]) for gain in gains if controls}
    intact = _compared(before, before, labels, s)["dprime"]
    after, gain = lesioned[float(s["gain"])], float(s["gain"])
    maps = {
        "response change": after["change"], "dprime before": intact, "dprime after": after["dprime"],
        "dprime change": after["dprime"] - intact, "similarity": after["similarity"],
    }  # fmt: skip
    if controls:
        maps |= {
            "response change, random": beside[gain]["change"], "dprime after, random": beside[gain]["dprime"],
            "dprime change, random": beside[gain]["dprime"] - intact, "similarity, random": beside[gain]["similarity"],
        }  # fmt: skip
    rois = {name: mask for name, mask in encoder.rois.items() if mask.any()} | {"all": np.ones(len(intact), bool)}
    numbers = {
        "contrast": {"category": s["contrast"], "against": list(against)},
        "lesioned": {
            "of": "heads" if s["heads"] is not None else "channels",
            "layers": {encoder.layer_names[l]: len(k) // _head_size(first, l) for l, k in first.damage.where.items()},
        },
        "rois": {name: {k: float(v[mask].mean()) for k, v in maps.items()} for name, mask in rois.items()},
        "doses": {"gain": doses, "rois": {name: _curve(lesioned, beside, doses, mask) for name, mask in rois.items()}},
    }  # fmt: skip
    notes = [INSIDE if s["propagate"] else READ_ONLY, RANDOM if controls else NO_RANDOM]
    notes += [ZERO] if s["around"] == "zero" else []
    notes += localizer.notes(encoder, s["pictures"], getattr(pictures, "bad", ()))
    tell(on_progress, 1, 1)
    return Result("lesion", dict(settings), maps, numbers, {}, {}, notes)


def _chosen(encoder, settings):
    """The channels that the settings name, {"roi", "share"} looked up."""
    asked = settings["channels"]
    if not isinstance(asked, dict) or not {"roi", "share"} & set(asked):
        return asked
    roi, share = asked.get("roi"), number("share", asked.get("share", 0.1), 0)
    mask = encoder.rois.get(roi)
    if mask is None or not np.any(mask):
        names = ", ".join(name for name, m in encoder.rois.items() if np.any(m)) or "none"
        raise InputError(f"channels of {roi!r}: expected one of the encoder's areas ({names}); choose one of these")
    if not 0 < share < 1:
        raise InputError(f"share: expected a part between 0 and 1 of each layer's channels, found {share:g}; use 0.1")
    return most_used(encoder, mask, share, settings["layers"])


def _compared(after, before, labels, settings):
    """What a lesion changed, {"change", "dprime", "similarity": (N,)}.

    similarity: correlation over pictures with the intact responses; 0 where the lesioned ones are constant.
    """
    labels, category = np.asarray(labels), settings["contrast"]
    sides = {category: after[labels == category], "others": after[labels != category]}
    a, b = (x - x.mean(0) for x in (after.astype(np.float64), before.astype(np.float64)))
    size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    similarity = np.where(size > 1e-9, (a * b).sum(0) / np.maximum(size, 1e-9), 0.0)
    return {
        "change": (after - before).mean(0), "dprime": localizer.compare(sides, category, ("others",)).dprime,
        "similarity": similarity.astype(np.float32),
    }  # fmt: skip


def _mean(several):
    return {name: np.mean([one[name] for one in several], 0) for name in several[0]}


def _curve(lesioned, beside, doses, mask):
    """{"lesion": {measure: values over doses}, "random": …} of one area."""
    kinds = {"lesion": lesioned} | ({"random": beside} if beside else {})
    return {
        kind: {m: [float(at[dose][m][mask].mean()) for dose in doses] for m in ("change", "dprime", "similarity")}
        for kind, at in kinds.items()
    }


def _head_size(lesioned, l):
    site = lesioned.damage.sites[l] if lesioned.damage.by_heads else None
    return site.mixer.in_features // site.heads if site else 1
