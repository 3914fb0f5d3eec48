"""Any torch module as a network: tokens are read where its layers end, by hooks."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from factortopy.backbones.base import Backbone, Site
from factortopy.backbones.weights import digest
from factortopy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

VERSION = 1  # of the preprocessing below: part of the fingerprint
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Linear layers of a transformer's block that add to its tokens: attention's output and the perceptron's second half.
ADDERS = (("attn.proj", "mlp.fc2"), ("attn.out_proj", "mlp.c_proj"), ("self_attention.out_proj", "mlp.3"))


def from_module(
    module: torch.nn.Module,
    layers: Sequence[Any],
    name: str = "own network",
    input_size: int = 224,
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

    Parameters
    ----------
    module : torch.nn.Module
        Called with (B, 3, S, S) float32 normalised pictures; what it returns does not matter.
    layers : list of str or of modules
        Its parts whose outputs are the layers, first to last, as ``module.named_modules()`` names them.
    input_size : int
        S; pictures are squashed to it.
    mean, std : three numbers each
        Of the colours in 0 … 1 that the module was trained with; ImageNet's by default.
    prefix : int, optional
        Tokens before the local ones (class token, registers) where layers give (B, tokens, C); None: what is over a square.
    class_token : bool, optional
        Whether the first of them is the global token; None: yes when there is any. Otherwise global is the mean of local.
    form : {"tokens", "nchw", "nhwc"}, optional
        Of the layers' outputs; None: found from their shapes.
    weights_of : str, optional
        Stands for the weights in the feature cache's key; None: they are hashed.

    Returns
    -------
    Backbone

    Raises
    ------
    InputError
        A layer that the module does not have, or whose output is no grid of tokens.

    Examples
    --------
    >>> module = MyTransformer(); module.load_state_dict(safetensors.torch.load_file("mine.safetensors"))
    >>> backbone = ft.from_module(module, [f"blocks.{i}" for i in range(12)], name="mine", input_size=224)
    >>> features = ft.extract(backbone, subject.images)
    """
    return HookedBackbone(
        module, layers, name, input_size, mean, std, prefix=prefix, class_token=class_token, form=form,
        layer_names=layer_names, weights_of=weights_of, trained=trained, drawings_only=drawings_only,
    )  # fmt: skip


class TorchBackbone(Backbone):
    """A torch module in evaluation mode with its own colours and input size.

    Subclasses give ``pixel_tokens`` and ``_layer_modules``, and call ``_measure`` once they can.
    """

    def __init__(self, model, name, input_size, mean, std, trained=True):
        import torch

        self.model = model.eval().requires_grad_(False)
        self.name, self.trained, self.input_size = name, trained, int(input_size)
        self._mean, self._std = (torch.tensor(tuple(c), dtype=torch.float32)[:, None, None] for c in (mean, std))

    def prepare(self, images):
        """(B, H, W, 3) uint8 -> (B, 3, S, S) normalised; squashed, not cropped: a crop would move the visual field."""
        import torch

        return self._normalised(torch.as_tensor(images).to(self.device).permute(0, 3, 1, 2).float() / 255)

    def _normalised(self, pixels):
        import torch.nn.functional as F

        size = (self.input_size, self.input_size)
        if tuple(pixels.shape[2:]) != size:
            pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        return (pixels - self._mean.to(pixels.device)) / self._std.to(pixels.device)

    def token_shapes(self):
        """(h, w, C) of each layer's local tokens, found without computing anything."""
        import torch

        size = (1, 3, self.input_size, self.input_size)
        held = dict(self.model.named_parameters(remove_duplicate=False))
        held |= dict(self.model.named_buffers(remove_duplicate=False))
        shapes = {f"model.{key}": tensor.to("meta") for key, tensor in held.items()}
        try:
            with torch.no_grad():
                local, _ = torch.func.functional_call(_callable(self), shapes, (torch.empty(size, device="meta"),))
        except InputError:
            raise
        except Exception:  # a module that looks at values cannot run without them
            with torch.no_grad():
                local, _ = self.pixel_tokens(torch.zeros(size, device=self.device))
        return [tuple(tokens.shape[1:]) for tokens in local]

    def _measure(self, kind, weights_of=None):
        """Widths and fingerprint, once the network can be looked at."""
        self._shapes = self.token_shapes()
        self._widths = [shape[-1] for shape in self._shapes]
        self.width = max(self._widths)
        if weights_of is None:
            meta = any(p.is_meta for p in self.model.parameters())
            weights_of = "meta" if meta else digest(self.model)
        self.fingerprint = f"{kind}-{self.name}-{self.input_size}-{weights_of}"

    def _layer_modules(self):
        """Names of the modules whose outputs the layers are; None where that is not known."""
        raise NotImplementedError

    def channel_weights(self):
        """What attention and perceptron of a transformer block add to its tokens; else the last weight that writes them.

        None for networks whose layers are put together of branches (Inception). See ``Backbone.channel_weights``.
        """
        names = self._layer_modules()
        if names is None or len(names) != len(self._widths):
            return None
        weights = [_written(self.model, name, width) for name, width in zip(names, self._widths, strict=True)]
        return None if any(weight is None for weight in weights) else weights


@contextmanager
def outputs_of(model, names):
    """A dict that fills while it is open: what each module of these names gave last."""
    modules, seen = dict(model.named_modules()), {}
    hooks = [
        modules[name].register_forward_hook(lambda m, i, out, name=name: seen.update({name: out})) for name in names
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _callable(backbone):
    """``pixel_tokens`` as a module around the network, so that its weights can be put aside for one call."""
    import torch

    class Call(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = backbone.model

        def forward(self, pixels):
            return backbone.pixel_tokens(pixels)

    return Call()


class HookedBackbone(TorchBackbone):
    """A module whose layers are read by forward hooks; see ``from_module``."""

    kind = "module"

    def __init__(
        self, model, layers, name, input_size, mean, std, prefix=None, class_token=None, form=None,
        layer_names=None, weights_of=None, trained=True, drawings_only=False,
    ):  # fmt: skip
        super().__init__(model, name, input_size, mean, std, trained)
        self.drawings_only = drawings_only
        self._names = _named(model, layers, name)
        self._prefix, self._class_token, self._form = prefix, class_token, form
        self.layer_names = list(layer_names or self._names)
        if len(self.layer_names) != len(self._names) or len(set(self._names)) != len(self._names):
            raise InputError(
                f"network {name}: expected every layer once and a name for each, found {len(self._names)} layers and "
                f"{len(self.layer_names)} names; list each layer once"
            )
        self._measure(f"{self.kind}{VERSION}", weights_of)

    def _layer_modules(self):
        return self._names

    def pixel_tokens(self, pixels):
        """See ``Backbone``; the class token where the network has one, else the mean of the local tokens."""
        outputs = self._outputs(lambda: self.model(self._normalised(pixels)))
        local, global_ = [], []
        for name, output in zip(self._names, outputs, strict=True):
            grid, token = self._split(name, output)
            local.append(grid)
            global_.append(grid.mean((1, 2)) if token is None else token)
        return local, global_

    def _outputs(self, run):
        """What each layer's module gives while ``run()`` runs; the last time counts."""
        with outputs_of(self.model, self._names) as seen:
            run()
        absent = [name for name in self._names if name not in seen]
        if absent:
            raise InputError(
                f"network {self.name}: expected each layer to be used when a picture is shown, {absent[0]} was not; leave it out"
            )
        return [seen[name] for name in self._names]

    def _split(self, name, output):
        """A layer's output as (B, h, w, C) local tokens and (B, C) class token or None."""
        output = output[0] if isinstance(output, tuple | list) and output else output
        form, prefix, side = self._shape_of(name, output)
        if form == "nchw":
            return output.permute(0, 2, 3, 1), None
        if form == "nhwc":
            return output, None
        has_class = self._class_token if self._class_token is not None else prefix > 0
        return output[:, prefix:].unflatten(1, (side, side)), output[:, 0] if has_class else None

    def _shape_of(self, name, output):
        """("tokens", prefix, side), ("nchw", 0, side) or ("nhwc", 0, side)."""
        shape = tuple(getattr(output, "shape", ()))
        form = self._form
        if form is None:
            form = "tokens" if len(shape) == 3 else "nchw" if len(shape) == 4 and shape[2] == shape[3] else "nhwc"
        if form == "tokens" and len(shape) == 3:
            prefix = shape[1] - math.isqrt(shape[1]) ** 2 if self._prefix is None else self._prefix
            side = math.isqrt(max(shape[1] - prefix, 0))
            if side and side**2 == shape[1] - prefix:
                return form, prefix, side
        if form in ("nchw", "nhwc") and len(shape) == 4:
            sides = shape[2:] if form == "nchw" else shape[1:3]
            if sides[0] == sides[1]:
                return form, 0, sides[0]
        raise InputError(
            f"network {self.name}, layer {name}: expected tokens (B, prefix + side², C) or maps (B, C, side, side), found "
            f"{shape or type(output).__name__}; choose another layer, or say prefix and form"
        )

    def sites(self):
        """The layers' own modules; see ``Backbone.sites``."""
        import torch

        with torch.no_grad():
            pixels = torch.zeros(1, 3, self.input_size, self.input_size, device=self.device)
            outputs = self._outputs(lambda: self.model(self._normalised(pixels)))
        modules = dict(self.model.named_modules())
        sites = []
        for name, output in zip(self._names, outputs, strict=True):
            if not torch.is_tensor(output):
                return None
            form, prefix, _ = self._shape_of(name, output)
            sites.append(Site(modules[name], form, prefix, *attention_of(modules[name])))
        return sites


def attention_of(block):
    """(linear layer after the heads, number of heads) of a transformer's block; (None, 0) where that is not known."""
    import torch

    attention = getattr(block, "attn", None)
    mixer, heads = getattr(attention, "proj", None), getattr(attention, "num_heads", 0)
    readable = isinstance(mixer, torch.nn.Linear) and heads and mixer.in_features % heads == 0
    return (mixer, heads) if readable else (None, 0)


def _named(model, layers, name):
    """Names of the layers' modules, given by name or as modules."""
    modules = dict(model.named_modules())
    places = {id(module): key for key, module in modules.items()}
    names = []
    for layer in layers:
        key = layer if isinstance(layer, str) else places.get(id(layer))
        if key not in modules or key == "":
            examples, given = ", ".join(list(modules)[1:9]), layer if isinstance(layer, str) else type(layer).__name__
            raise InputError(
                f"network {name}: expected layers among its modules ({examples}, …), found {given}; "
                "module.named_modules() lists them"
            )
        names.append(key)
    if not names:
        raise InputError(f"network {name}: expected at least one layer, found none; name its blocks or stages")
    return names


def _written(model, name, width):
    """(width, m) weights that write the output of the module ``name``; None where there are none."""
    import torch

    modules = dict(model.named_modules())
    for adders in ADDERS:
        block = [modules.get(f"{name}.{part}") for part in adders]
        if not all(isinstance(part, torch.nn.Linear) and len(part.weight) == width for part in block):
            continue
        gains = [getattr(modules.get(f"{name}.ls{i}"), "gamma", None) for i in (1, 2)]
        gains = [getattr(modules.get(f"{name}.ls_{i}"), "gamma", gain) for i, gain in zip((1, 2), gains, strict=True)]
        gains = [getattr(modules[name], f"gamma_{i}", gain) for i, gain in zip((1, 2), gains, strict=True)]
        # A block may scale what it adds, channel by channel.
        parts = [p.weight if g is None else g[:, None] * p.weight for p, g in zip(block, gains, strict=True)]
        return torch.cat(parts, 1).float().cpu().numpy()
    writers, paths = (torch.nn.Linear, torch.nn.Conv2d), list(modules)
    own = [path for path in paths if path == name or path.startswith(f"{name}.")]
    if not any(isinstance(modules[path], writers) for path in own):
        own = paths[: paths.index(name)]  # an activation: what comes before it writes its channels
    # Squeeze-and-excitation only scales channels; a shortcut passes on what earlier layers wrote.
    aside = {"se", "downsample"}
    weights = [
        modules[path].weight for path in own if isinstance(modules[path], writers) and not aside & set(path.split("."))
    ]
    weights = [weight for weight in weights if len(weight) == width]
    return weights[-1].flatten(1).float().cpu().numpy() if weights else None
