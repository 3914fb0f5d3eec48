"""Torch modules as networks: tokens are read where their layers end, by hooks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial

from factortopy.backbones.base import SHOWN, Backbone, Site
from factortopy.backbones.layout import Unclear, layout_of, picture_axis
from factortopy.backbones.weights import digest
from factortopy.errors import InputError
from factortopy.foreign import door

VERSION = 1  # of the preprocessing below: part of the fingerprint
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Linear layers of a transformer's block that add to its tokens: attention's output and the perceptron's second half.
ADDERS = (("attn.proj", "mlp.fc2"), ("attn.out_proj", "mlp.c_proj"), ("self_attention.out_proj", "mlp.3"))


class TorchBackbone(Backbone):
    """A torch module in evaluation mode with its own colours and input size.

    Subclasses give ``pixel_tokens`` and ``_layer_modules``, and call ``_measure`` once they can.
    """

    def __init__(self, model, name, input_size, mean, std, trained=True):
        import torch

        self.model = model.eval().requires_grad_(False)
        self._size = (
            tuple(input_size) if isinstance(input_size, tuple | list) else (int(input_size),) * 2
        )  # height, width
        self.name, self.trained, self.input_size = name, trained, max(self._size)
        self._mean, self._std = (torch.tensor(tuple(c), dtype=torch.float32)[:, None, None] for c in (mean, std))

    def tokens(self, images):
        """See ``Backbone``; InputError for a network without values."""
        if self.device.type == "meta":
            raise InputError(f"network {self.name}: expected weights with values, found their shapes alone (torch's meta device); "
                             "load it outside torch.device('meta')")  # fmt: skip
        return super().tokens(images)

    def prepare(self, images):
        """(B, H, W, 3) uint8 -> (B, 3, S, S) normalised; squashed, not cropped: a crop would move the visual field."""
        import torch

        return self._normalised(torch.as_tensor(images).to(self.device).permute(0, 3, 1, 2).float() / 255)

    def _normalised(self, pixels):
        import torch.nn.functional as F

        if tuple(pixels.shape[2:]) != self._size:
            pixels = F.interpolate(pixels, self._size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        return (pixels - self._mean.to(pixels.device)) / self._std.to(pixels.device)

    def token_shapes(self):
        """(h, w, C) of each layer's local tokens, found without computing anything."""
        local, _ = self._without_values(self.pixel_tokens)
        return [tuple(tokens.shape[1:]) for tokens in local]

    def _without_values(self, run, n=1):
        """What ``run`` gives for the pixels of n pictures, on torch's meta device: shapes without computing anything."""
        import torch

        size = (n, 3, *self._size)
        held = dict(self.model.named_parameters(remove_duplicate=False))
        held |= dict(self.model.named_buffers(remove_duplicate=False))
        shapes = {f"model.{key}": tensor.to("meta") for key, tensor in held.items()}
        with torch.no_grad():
            try:
                return torch.func.functional_call(_callable(self, run), shapes, (torch.empty(size, device="meta"),))
            except InputError as error:
                if error.__cause__ is None:
                    raise
            except Exception:  # noqa: S110  (a module that looks at values cannot run without them)
                pass
            with door(f"network {self.name}", "one that can be shown a picture", SHOWN):
                return run(torch.zeros(size, device=self.device))

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
    """A dict that fills while it is open: what each module of these names gave last, in this thread.

    Copies: what runs later may write into a module's output (``ReLU(inplace=True)``, ``add_``). Gradients go through them.
    """
    modules, seen, owner = dict(model.named_modules()), {}, threading.get_ident()

    def keep(name, module, inputs, output):
        if threading.get_ident() == owner:
            seen[name] = copied(output)

    hooks = [modules[name].register_forward_hook(partial(keep, name)) for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def copied(output):
    """A module's output with its tensors copied, in tuples, lists and dicts as well."""
    import torch

    if torch.is_tensor(output):
        return output.clone()
    if isinstance(output, Mapping):
        return {key: copied(value) for key, value in output.items()}
    return tuple(copied(value) for value in output) if isinstance(output, tuple | list) else output


def hidden_states(output):
    """The tensor that a module's output holds: itself, the first of several, ``last_hidden_state`` or the only one of a dict.

    Raises
    ------
    Unclear
    """
    import torch

    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, Mapping):
        named = {key: value for key, value in output.items() if torch.is_tensor(value)}
        output = named.get("last_hidden_state", next(iter(named.values())) if len(named) == 1 else output)
    if not torch.is_tensor(output):
        keys = f" with {', '.join(map(str, list(output)[:4]))}" if isinstance(output, Mapping) else ""
        raise Unclear(f"{type(output).__name__}{keys}", "choose the module inside it whose output is one tensor")
    if output.is_nested or output.layout is not torch.strided or not output.is_floating_point():
        kind = (
            "tensors of several sizes"
            if output.is_nested
            else f"{output.dtype} ({output.layout})".replace("torch.", "")
        )
        raise Unclear(kind, "choose a layer that gives floating-point numbers in one array")
    return output


def _callable(backbone, run):
    """``run``, a method, as a module around the network, so that its weights can be put aside for one call."""
    import torch

    class Call(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = backbone.model

        def forward(self, pixels):
            return run(pixels)

    return Call()


class HookedBackbone(TorchBackbone):
    """A module whose layers are read by forward hooks.

    layers : its modules, by name or themselves; form, prefix, class_token : of their outputs, as ``from_module`` takes them
    """

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
        self._layouts = self._looked_at()
        self._measure(f"{self.kind}{VERSION}", weights_of)

    def _looked_at(self):
        """The Layout of each layer, by the shapes for one and for three pictures."""
        one, three = (self._without_values(self._raw, n) for n in (1, 3))
        return [
            self._or_unreadable(name, self._layout, tuple(a.shape), tuple(b.shape), 3)
            for name, a, b in zip(self._names, one, three, strict=True)
        ]

    def _layout(self, one, several, n, **seen):
        """The Layout of an output with these shapes for one picture and for n; ``seen`` as ``layout_of`` takes it."""
        batch = picture_axis(one, several, n)
        return layout_of(batch, one[:batch] + one[batch + 1 :], self._size, self._form, self._prefix, **seen)

    def _or_unreadable(self, name, call, *given):
        """``call(*given)``; InputError with the layer's name where what it gives is ``Unclear``."""
        try:
            return call(*given)
        except Unclear as unclear:
            raise InputError(
                f"network {self.name}, layer {name}: expected tokens (B, prefix + side², C) or maps (B, C, side, side), "
                f"found {unclear}"
            ) from None

    def token_shapes(self):
        """See ``TorchBackbone``."""
        return [(*layout.grid, layout.channels) for layout in self._layouts]

    def _layer_modules(self):
        return self._names

    def pixel_tokens(self, pixels):
        """See ``Backbone``; the class token where the network has one, else the mean of the local tokens."""
        local, global_ = [], []
        for name, layout, output in zip(self._names, self._layouts, self._raw(pixels), strict=True):
            grid, token = self._or_unreadable(name, layout.split, output, len(pixels))
            local.append(grid)
            global_.append(grid.mean((1, 2)) if token is None or self._class_token is False else token)
        return local, global_

    def _raw(self, pixels):
        """The tensor that each layer gives of (B, 3, H, W) pixels in 0 … 1, in its own shape."""
        outputs = self._outputs(pixels)
        return [self._or_unreadable(name, hidden_states, out) for name, out in zip(self._names, outputs, strict=True)]

    def _outputs(self, pixels):
        """What each layer's module gives; the last time counts."""
        with outputs_of(self.model, self._names) as seen:
            self._run(pixels)
        absent = [name for name in self._names if name not in seen]
        if absent:
            raise InputError(
                f"network {self.name}: expected each layer to be used when a picture is shown, {absent[0]} was not; leave it out"
            )
        return [seen[name] for name in self._names]

    def _run(self, pixels):
        self.model(self._normalised(pixels))

    def sites(self):
        """The layers' own modules; see ``Backbone.sites``."""
        import torch

        with torch.no_grad():
            outputs = self._outputs(torch.zeros(1, 3, *self._size, device=self.device))
        if not all(layout.plain for layout in self._layouts) or not all(torch.is_tensor(output) for output in outputs):
            return None
        modules = dict(self.model.named_modules())
        return [
            Site(modules[name], layout.form, layout.prefix, *attention_of(modules[name]))
            for name, layout in zip(self._names, self._layouts, strict=True)
        ]


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
        return torch.cat(parts, 1).detach().float().cpu().numpy()
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
    return weights[-1].detach().flatten(1).float().cpu().numpy() if weights else None
