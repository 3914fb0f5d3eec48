"""Damage to a network: which parts, what becomes of their tokens, and the hooks that do it inside the network."""

import hashlib
import threading
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby

import numpy as np

from factortopy.backbones.base import Backbone
from factortopy.errors import InputError, unexpected
from factortopy.features.extraction import compute, content_key
from factortopy.features.reader import as_pixels

AROUND = ("zero", "mean")
REFERENCE_SEEDS, REFERENCE_N = 30_000_000, 64  # rendered scenes that no network, subject or localizer shows


@lru_cache(maxsize=1)
def reference_scenes():
    """(64, 112, 112, 3) uint8: what a channel's mean and standard deviation are taken over."""
    from factortopy.stimuli.scenes import render_scenes

    return render_scenes(range(REFERENCE_SEEDS, REFERENCE_SEEDS + REFERENCE_N))[0]


class Damage:
    """x becomes m + gain · (x − m) + noise · sd · ε in some channels of some layers.

    where : {layer: (k,) int} channels; with ``by_heads`` columns of the input of the layer's mixer
    sites : list of Site, or None: the tokens that the encoder reads are changed, on its own grid
    The rest as ``lesion`` takes it.
    """

    def __init__(self, encoder, where, gain, noise, around, region, reference, seed, sites=None, by_heads=False):
        self.network, self.grid, self.antialias, self.sites = encoder.backbone, encoder.grid, encoder.antialias, sites
        self.where, self.by_heads, self.gain, self.noise = where, by_heads, gain, noise
        self.around, self.region, self.reference, self.seed = around, region, reference, seed
        if region is not None and sites is None:
            inside(region, (self.grid, self.grid))

    @property
    def none(self):
        """True when nothing changes."""
        return (self.gain == 1 and not self.noise) or not any(len(k) for k in self.where.values())

    @property
    def key(self):
        """Different for every other damage."""
        parts = [sorted((l, k.tolist()) for l, k in self.where.items()), self.by_heads, self.sites is None, self.gain]
        parts += [self.noise, self.around, self.region]
        if self.noise:
            parts.append(self.seed)
        if self.noise or self.around == "mean":
            parts.append("scenes" if self.reference is None else content_key(self.reference))
        return hashlib.blake2b(repr(parts).encode(), digest_size=10).hexdigest()

    def change(self, tokens, l, prefix, shape, seeds):
        """Layer ``l``'s tokens (B, prefix + h·w, C) after the damage; ``shape`` (h, w), ``seeds`` of each picture's noise."""
        import torch

        device, channels = tokens.device, torch.as_tensor(self.where[l], device=tokens.device)
        rows = torch.arange(tokens.shape[1], device=device)
        if self.region is not None:
            rows = prefix + torch.as_tensor(inside(self.region, shape), device=device)
        at = (slice(None), rows[:, None], channels)
        old = tokens[at]
        new = self.gain * old
        if self.noise or self.around == "mean":
            mean, sd = (x.to(tokens)[rows.clamp_max(prefix)][:, channels] for x in self.statistics[l])
            if self.around == "mean":
                new = mean + self.gain * (old - mean)
            if self.noise:
                new = new + self.noise * sd * self._drawn(old, l, seeds)
        out = tokens.clone()
        out[at] = new.to(tokens.dtype)
        return out

    def _drawn(self, like, l, seeds):
        import torch

        seeds = range(len(like)) if seeds is None else list(seeds)
        if len(seeds) != len(like):
            raise unexpected("noise", "heads that see whole pictures", "a network of windows", "lesion channels")
        generators = (np.random.default_rng((self.seed, l, int(s))) for s in seeds)
        return torch.from_numpy(np.stack([g.standard_normal(like.shape[1:], np.float32) for g in generators])).to(like)

    @property
    def statistics(self):
        """{layer: (mean, sd)} over the reference pictures, tensors (prefix + 1, C); the last row is of all local tokens."""
        network, images = self.network(), references(self.reference)
        if self.sites is None:
            return moments(network, self.grid, self.reference, self.antialias)
        reference = "scenes" if self.reference is None else content_key(images)
        layers = [l for l, site in enumerate(self.sites) if site.mixer is not None or not self.by_heads]
        return _kept((network.fingerprint, self.by_heads, reference), lambda: self._inside(network, images, layers))

    def _inside(self, network, images, layers):
        sums = {l: _Moments() for l in layers}

        def keep(tokens, l, prefix, shape):
            sums[l].add(tokens.detach(), prefix)
            return tokens

        with self.inside_network(keep, layers):
            for _, alike in groupby(images, np.shape):
                alike = list(alike)
                for i in range(0, len(alike), 16):
                    network.tokens(np.stack(alike[i : i + 16]))
        return {l: s.finish() for l, s in sums.items()}

    @contextmanager
    def inside_network(self, act, layers=None):
        """While open, ``act(tokens, layer, prefix, shape)`` replaces what passes the sites, in this thread alone.

        Another thread may use the same network meanwhile and gets it whole.
        """
        owner, handles = threading.get_ident(), []

        def on_output(l, site, module, inputs, output):
            if threading.get_ident() == owner:
                return _replaced(output, site, lambda tokens, *place: act(tokens, l, *place))

        def on_input(l, site, module, inputs):
            if threading.get_ident() == owner:
                return (act(inputs[0], l, site.prefix, _square(inputs[0].shape[1] - site.prefix)), *inputs[1:])

        try:
            for l in self.where if layers is None else layers:
                site = self.sites[l]
                if self.by_heads:
                    handles.append(site.mixer.register_forward_pre_hook(partial(on_input, l, site)))
                else:
                    handles.append(site.module.register_forward_hook(partial(on_output, l, site)))
            yield
        finally:
            for handle in handles:
                handle.remove()


class DamagedBackbone(Backbone):
    """A network whose tokens are those after the damage; everything else is the intact one's."""

    def __init__(self, intact, damage):
        self.intact, self.damage = intact, damage
        for name in ("name", "layer_names", "width", "input_size", "trained", "drawings_only", "weights"):
            setattr(self, name, getattr(intact, name))
        self.sites, self.channel_weights = intact.sites, intact.channel_weights
        self.fingerprint = intact.fingerprint if damage.none else f"{intact.fingerprint}-{damage.key}"

    def tokens(self, images):
        """See ``Backbone``; noise depends on the seed and each picture's content."""
        with self._damaged([picture_seed(np.asarray(image)) for image in images] if self.damage.noise else None):
            return self.intact.tokens(images)

    def pixel_tokens(self, pixels):
        """See ``Backbone``; noise depends on the seed and each picture's row."""
        with self._damaged(None):
            return self.intact.pixel_tokens(pixels)

    def _damaged(self, seeds):
        damage = self.damage
        if damage.noise or damage.around == "mean":
            damage.statistics  # noqa: B018  (of the intact network: before the hooks are set)
        return damage.inside_network(lambda tokens, *place: damage.change(tokens, *place, seeds))


class _Moments:
    """Mean and standard deviation of tokens over pictures, one row a prefix token and one for all local ones."""

    def __init__(self):
        self.n = self.sum = self.square = 0

    def add(self, tokens, prefix):
        """(B, prefix + n, C)."""
        import torch

        tokens = tokens.double()
        parts = [torch.cat([x[:, :prefix].mean(0), x[:, prefix:].mean((0, 1))[None]]) for x in (tokens, tokens**2)]
        n = len(tokens)
        self.n, self.sum, self.square = self.n + n, self.sum + n * parts[0], self.square + n * parts[1]

    def finish(self):
        """(mean, sd), each (prefix + 1, C) float32."""
        mean = self.sum / self.n
        return mean.float(), (self.square / self.n - mean**2).clamp_min(0).sqrt().float()


def references(given):
    """The reference pictures as pixels; the rendered scenes for None."""
    images = reference_scenes() if given is None else [as_pixels(x) for x in given]
    if len(images) < 2:
        raise InputError(f"reference: expected at least 2 pictures, found {len(images)}; give more or None")
    return images


def moments(backbone, grid, reference=None, antialias=True):
    """{layer: (mean, sd)} of the tokens that an encoder reads: tensors (2, C), the global token, then the local ones."""
    images = references(reference)
    key = (backbone.fingerprint, grid, antialias, "scenes" if reference is None else content_key(images))
    return _kept(key, lambda: _read(backbone, images, grid, antialias))


def _read(backbone, images, grid, antialias):
    import torch

    sums = {l: _Moments() for l in range(len(backbone.layer_names))}
    for i in range(0, len(images), 32):
        features = compute(backbone, list(images[i : i + 32]), grid, antialias=antialias)
        for l, one in sums.items():
            local, global_ = torch.from_numpy(features.local[l]), torch.from_numpy(features.global_[l])
            one.add(torch.cat([global_[:, None], local.flatten(1, 2)], 1), 1)
    return {l: s.finish() for l, s in sums.items()}


_statistics = {}


def _kept(key, make):
    """A few numbers a channel, the same for every dose: of the last networks that were asked for."""
    value = _statistics.get(key)
    if value is None:
        value = make()
        while len(_statistics) >= 8:
            _statistics.pop(next(iter(_statistics)), None)
        _statistics[key] = value
    return value


def picture_seed(image):
    """A number that is the same for the same pixels."""
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=7).digest(), "big")


def _replaced(output, site, act):
    """A module's output after ``act`` on its tokens as (B, prefix + h·w, C), in its own form again."""
    if site.form == "tokens":
        return act(output, site.prefix, _square(output.shape[1] - site.prefix))
    grid = output.permute(0, 2, 3, 1) if site.form == "nchw" else output
    shape = tuple(grid.shape[1:3])
    grid = act(grid.flatten(1, 2), 0, shape).unflatten(1, shape)
    return grid.permute(0, 3, 1, 2) if site.form == "nchw" else grid


def _square(count):
    """(h, w) of that many tokens: pictures are squashed to a square; else one column, good for all but regions."""
    side = round(count**0.5)
    return (side, side) if side * side == count else (count, 1)


# ---------------------------------------------------------------- which parts


def inside(region, shape):
    """Rows of the flattened (h, w) tokens whose centres lie in (x0, y0, x1, y1)."""
    (h, w), (x0, y0, x1, y1) = shape, region
    y, x = ((np.arange(n) + 0.5) * 2 / n - 1 for n in (h, w))
    rows = np.flatnonzero((((y >= y0) & (y <= y1))[:, None] & (x >= x0) & (x <= x1)).ravel())
    if not len(rows):
        expected = "at least one token's centre inside"
        raise unexpected(f"region {list(region)}", expected, f"none of the {w} × {h}", "enlarge it")
    return rows


def checked_region(region):
    """(x0, y0, x1, y1) floats, or None."""
    if region is None:
        return None
    try:
        x0, y0, x1, y1 = (float(v) for v in region)
    except (TypeError, ValueError):
        x0 = x1 = y0 = y1 = 0.0
    if not (x0 < x1 and y0 < y1):
        expected = "(x0, y0, x1, y1) with x0 < x1 and y0 < y1, −1 … 1, x right, y down"
        raise unexpected("region", expected, f"{region!r}", "use (-1, -1, 0, 1) for the left half")
    return x0, y0, x1, y1


def layer_number(layer, names):
    """0-based number of a layer given by number (negative from the end) or name."""
    names = list(names)
    if isinstance(layer, str) and layer in names:
        return names.index(layer)
    try:
        l = int(layer)  # JSON has text keys alone
    except (TypeError, ValueError):
        l = len(names)
    if isinstance(layer, bool | float) or not -len(names) <= l < len(names):
        expected = f"0 … {len(names) - 1} or a name ({names[0]} … {names[-1]})"
        raise unexpected(f"layer {layer!r}", expected, "neither", "choose one of these")
    return l % len(names)


def layer_numbers(layers, names):
    """Sorted numbers of ``layers``: None for all, one, or several."""
    if layers is None:
        return list(range(len(names)))
    several = isinstance(layers, list | tuple | set | range | np.ndarray)
    numbers = sorted({layer_number(layer, names) for layer in (layers if several else [layers])})
    if not numbers:
        raise InputError("layers: expected at least one, found an empty list; name some or leave None for all")
    return numbers


def by_layer(what, chosen, layers, counts, names):
    """{layer: (k,) int} of channels or heads given as None (all), a list (the same in every layer) or {layer: list}.

    counts : how many each layer has
    """
    if isinstance(chosen, dict):
        given = {layer_number(layer, names): part for layer, part in chosen.items()}
        outside = sorted(set(given) - set(layers))
        if outside:
            raise unexpected(what, f"layers among those chosen ({layers})", outside, "name the same in both")
        return {l: _indices(what, part, counts[l], names[l]) for l, part in sorted(given.items())}
    return {l: _indices(what, chosen, counts[l], names[l]) for l in layers}


def _indices(what, part, count, name):
    if count == 0:
        raise InputError(f"{what} of layer {name}: expected a layer that has {what}, found none; choose another layer")
    if part is None:
        return np.arange(count)
    indices = np.atleast_1d(np.asarray(part))
    if indices.size and (indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= count):
        raise unexpected(f"{what} of layer {name}", f"numbers 0 … {count - 1}", f"{part!r}", "choose among these")
    return np.unique(indices).astype(int)
