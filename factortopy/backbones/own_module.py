"""A module of the user's own as a network: looked at before anything is read from it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from factortopy.backbones.as_given import as_for_reading, described, key_of, plain_names, precision_of, unwrapped
from factortopy.backbones.first_tokens import FirstTokens
from factortopy.backbones.layout import FORMS, Unclear, picture_axis, probe
from factortopy.backbones.modules import IMAGENET, HookedBackbone
from factortopy.backbones.weights import digest
from factortopy.errors import InputError
from factortopy.foreign import door
from factortopy.wording import first_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from factortopy.backbones.base import Backbone

VERSION = 2  # of what is read, and of what the fingerprint holds
MOST_PIXELS = 8192
SAME, SAME_IN_HALF = 0.01, 0.05  # of a layer's tokens: what they may differ alone and among other pictures


def from_module(
    module: torch.nn.Module,
    layers: Sequence[Any],
    name: str = "own network",
    input_size: int | tuple[int, int] = 224,
    mean: Sequence[float] = IMAGENET[0],
    std: Sequence[float] = IMAGENET[1],
    prefix: int | None = None,
    class_token: bool | None = None,
    form: str | None = None,
    layer_names: Sequence[str] | None = None,
    weights_of: str | None = None,
    trained: bool = True,
    drawings_only: bool = False,
) -> Backbone:
    """Your own torch module as a network.

    It is put into evaluation mode with frozen weights, and shown five pictures to see what its layers give: which axis the pictures
    lie on, which tokens stand for which places. Set to training later, it is put back for every reading, and is then as it was; what
    was compiled is not compiled while it is read. One in half precision sees pictures in that precision.

    Parameters
    ----------
    module : torch.nn.Module
        Called with (B, 3, H, W) normalised pictures; what it returns does not matter. DataParallel and torch.compile are seen through.
    layers : list of str or of modules
        Its parts whose outputs are the layers, first to last, as ``module.named_modules()`` names them. Of one that is used several
        times for a picture the last output counts; of an output that is a tuple its first tensor, of a dict ``last_hidden_state``.
    input_size : int or (height, width)
        Pictures are squashed to it.
    mean, std : three numbers each
        Of the colours in 0 … 1 that the module was trained with; ImageNet's by default.
    prefix : int, optional
        Tokens before the local ones (class token, registers) where layers give tokens; None: those that no place of a picture changes.
    class_token : bool, optional
        Whether the first of them is the global token; None: yes when there is any. Otherwise global is the mean of local.
    form : {"tokens", "nchw", "nhwc"}, optional
        Of the layers' outputs, pictures first; None: seen.
    weights_of : str, optional
        Stands for the weights in the feature cache's key; None: they are hashed.

    Returns
    -------
    Backbone

    Raises
    ------
    InputError
        A layer that the module does not have, or whose output is no grid of tokens, mixes pictures or differs from time to time; a
        module that cannot be run.

    Examples
    --------
    >>> module = MyTransformer(); module.load_state_dict(safetensors.torch.load_file("mine.safetensors"))
    >>> backbone = ft.from_module(module, [f"blocks.{i}" for i in range(12)], name="mine", input_size=224)
    >>> features = ft.extract(backbone, subject.images)
    """
    _check(name, input_size, mean, std, prefix, form)
    alone = isinstance(layers, str) or hasattr(layers, "forward") or not isinstance(layers, Iterable)
    layers = [layers] if alone else list(layers)
    return OwnModule(
        module, layers, name, input_size, mean, std, prefix=prefix, class_token=class_token, form=form,
        layer_names=layer_names, weights_of=weights_of, trained=trained, drawings_only=drawings_only,
    )  # fmt: skip


class OwnModule(HookedBackbone):
    """See ``from_module``."""

    def __init__(self, model, layers, name, *args, layer_names=None, **options):
        self._lock = threading.RLock()  # its mode is another one while it runs
        inner = unwrapped(model, name)
        places = plain_names(inner)
        keys = [key_of(inner, places, layer, name) for layer in layers]
        plain = {key: own for own, key in places.items()}
        self._dtype = precision_of(inner)
        super().__init__(inner, keys, name, *args, layer_names=layer_names or [plain[key] for key in keys], **options)

    def _normalised(self, pixels):
        return super()._normalised(pixels).to(self._dtype)

    def pixel_tokens(self, pixels):
        """See ``Backbone``; float32 whatever the module's precision."""
        local, global_ = super().pixel_tokens(pixels)
        return [tokens.float() for tokens in local], [tokens.float() for tokens in global_]

    def _run(self, pixels):
        shape = f"({len(pixels)}, 3, {self._size[0]}, {self._size[1]})"
        expected = f"a module that takes {shape} pictures of {str(self._dtype)[6:]}"
        remedy = f"make module(torch.zeros{shape}) work, or change input_size"
        whatever = door(f"network {self.name}", expected, remedy, answers_memory=True)  # the user's code raises
        with self._lock, as_for_reading(self.model), whatever:
            super()._run(pixels)

    def _looked_at(self):
        """The Layout of each layer, by what it gives for the first picture of ``probe`` alone and for all four."""
        import torch

        pixels = probe(self._size).to(self.device)
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # random numbers of the caller are left alone
            first = FirstTokens(self.model)
            with first.shown_one():
                alone = self._raw(pixels[:1])
            with first.shown(len(pixels)):
                together = self._raw(pixels)
        return [
            self._or_unreadable(name, self._proved, one, four, first)
            for name, one, four in zip(self._names, alone, together, strict=True)
        ]

    def _proved(self, one, four, first):
        """The Layout of a layer's outputs for one picture and for four; the first of these must give the same again."""
        import torch

        if not (one.isfinite().all() and four.isfinite().all()):
            remedy = "give the module in float32" if four.dtype == torch.float16 else "look at its weights"
            raise Unclear("infinity or NaN", f"{remedy}, or choose another layer")
        shapes = tuple(one.shape), tuple(four.shape)
        batch = picture_axis(*shapes, 4)
        one, four = one.movedim(batch, 0), four.movedim(batch, 0)
        apart = float((four[0] - one[0]).double().norm() / one.double().norm().clamp_min(1e-300))
        if apart > (SAME if one.dtype.itemsize > 2 else SAME_IN_HALF):
            raise Unclear(
                f"tokens of a picture that change by {min(apart, 9.99):.0%} when others are shown with it, or from time to time",
                "give a module without batch statistics, masking or other chance, whose attention has batch_first=True",
            )
        tokens = first.tokens.get(four.shape[1]) if four.ndim == 3 else None
        layout = self._layout(*shapes, 4, four=four, first=tokens, patches=first.patches)
        if layout.form == "nchw" and layout.grid[0] in first.tokens and first.patches not in (None, layout.grid):
            raise Unclear(
                f"{shapes[0]}, as wide as there are tokens (attention)", "choose a layer that gives the tokens"
            )
        return layout

    def _measure(self, kind, weights_of=None):
        """See ``TorchBackbone``; the fingerprint holds all that tokens depend on, for nothing else knows this module by its name."""
        if weights_of is None:
            try:
                weights_of = digest(self.model)
            except Exception as error:  # packed or foreign entries of a state dictionary
                raise InputError(
                    f"network {self.name}: expected weights that can be hashed, found {type(error).__name__}: "
                    f"{first_words(error, 120)}; say weights_of='…', a name of your own for these weights"
                ) from None
        read = (
            self._names,
            self._layouts,
            self._size,
            self._mean.tolist(),
            self._std.tolist(),
            self._class_token,
            self._dtype,
        )
        super()._measure(f"module{VERSION}-{described(self.model, repr(read))}", weights_of)


def _check(name, input_size, mean, std, prefix, form):
    """Raise InputError naming the argument that is wrong."""

    def whole(value):
        return isinstance(value, int) and not isinstance(value, bool)

    def refuse(what, expected, value, remedy="change it"):
        raise InputError(f"network {name}, {what}: expected {expected}, found {value!r:.60}; {remedy}")

    sides = input_size if isinstance(input_size, tuple | list) else (input_size,) * 2
    if len(sides) != 2 or not all(whole(side) and 0 < side <= MOST_PIXELS for side in sides):
        refuse("input_size", "pixels a side, or (height, width)", input_size)
    for what, colour in (("mean", mean), ("std", std)):
        try:
            numbers = [float(c) for c in colour]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != 3 or not all(map(math.isfinite, numbers)) or (what == "std" and min(numbers) <= 0):
            refuse(what, f"three {'positive ' if what == 'std' else ''}numbers", colour)
        if max(map(abs, numbers)) > (1 if what == "mean" else 2):  # (123.7, 116.3, 103.5), as some libraries count
            refuse(what, "three numbers of colours in 0 … 1", colour, "divide mean and std by 255")
    if prefix is not None and not (whole(prefix) and prefix >= 0):
        refuse("prefix", "a number of tokens from 0 up, or None", prefix)
    if form not in (None, *FORMS):
        refuse("form", f"one of {', '.join(FORMS)}, or None", form)
