"""A torch module as a user gives it: wrapped or compiled, in training or half precision; seen through, and left as it is."""

import hashlib
import re
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext

from factortopy.errors import InputError

WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
SHARDED = ("FullyShardedDataParallel", "DeepSpeedEngine")


def unwrapped(module, name):
    """The network inside DataParallel and torch.compile.

    Raises
    ------
    InputError
        No torch module; TorchScript, sharded, lazy, without values.
    """
    import torch

    def refuse(expected, given, remedy):
        raise InputError(f"network {name}: expected {expected}, found {given}; {remedy}")

    while (inner := getattr(module, WRAPPERS.get(type(module).__name__, ""), None)) is not None:
        module = inner
    kind = type(module).__name__
    if not isinstance(module, torch.nn.Module):
        what = "a state dictionary" if isinstance(module, Mapping) else kind
        refuse("a torch module", what, "build the network and load its weights into it")
    if isinstance(module, torch.jit.ScriptModule):
        refuse("a torch module", "TorchScript, whose layers no hook reaches", "give the module that it was made of")
    weights = dict(module.named_parameters()) | dict(module.named_buffers())
    if kind in SHARDED or any(hasattr(weight, "device_mesh") for weight in weights.values()):
        refuse(
            "a whole module", f"{kind}, whose weights are in pieces", "load its state dictionary into the plain module"
        )
    for key, weight in weights.items():
        if isinstance(weight, torch.nn.parameter.UninitializedTensorMixin):
            refuse("weights", f"{key} without a size yet", "show the module a picture, then load its weights")
        if weight.is_meta:
            refuse(
                "weights with values",
                f"{key} on torch's meta device",
                "module.to_empty(device='cpu'), then load its weights",
            )
    return module


def plain_names(module):
    """{name without the steps into wrappers: name} of a module's parts; of a wrapper its inner module."""
    steps, plain = set(), {}
    for key, part in module.named_modules():
        steps.add(f"{key}.{WRAPPERS.get(type(part).__name__)}".lstrip("."))
        parts = key.split(".") if key else []
        kept = [word for k, word in enumerate(parts) if ".".join(parts[: k + 1]) not in steps]
        plain[".".join(kept)] = key
    return plain


def key_of(module, places, layer, name):
    """The name in the module of a layer that is given by name, with or without a wrapper's steps, or as a module."""
    if not isinstance(layer, str):
        layer = next((key for key, part in module.named_modules() if part is layer), type(layer).__name__)
    words = [word for word in layer.split(".") if word != "_orig_mod"]
    inside = words[next((k for k, word in enumerate(words) if word != "module"), len(words)) :]
    for parts in (words, inside, [word for word in inside if word != "module"]):
        if parts and ".".join(parts) in places:
            return places[".".join(parts)]
    shared = dict(module.named_modules(remove_duplicate=False)).get(layer)
    own = next((key for key, part in module.named_modules() if part is shared), None)
    if own is not None:
        raise InputError(
            f"network {name}: expected every layer once, found {layer}, which is the same module as {own}; list {own} alone "
            "(its last output counts)"
        )
    examples = ", ".join(list(places)[1:9])
    raise InputError(
        f"network {name}: expected layers among its modules ({examples}, …), found {layer}; module.named_modules() lists them"
    )


@contextmanager
def as_for_reading(module):
    """Nothing compiled (hooks would be passed over), and without gradients in evaluation mode; as it was afterwards.

    Where gradients are wanted its mode is left: who trains the network sets it.
    """
    import torch

    parts = list(module.modules())
    modes = [] if torch.is_grad_enabled() else [part.training for part in parts]
    compiled = any(type(p).__name__ == "OptimizedModule" or getattr(p, "_compiled_call_impl", None) for p in parts)
    with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        try:
            if any(modes):
                module.eval()
            yield
        finally:
            if any(modes):
                for part, mode in zip(parts, modes, strict=True):
                    part.training = mode


def precision_of(module):
    """The type of number that pictures are shown as: that of the first layer's weights."""
    import torch

    layers = (torch.nn.modules.conv._ConvNd, torch.nn.Linear)
    weights = [getattr(part, "weight", None) for part in module.modules() if isinstance(part, layers)]
    for weight in (*weights, *module.parameters()):
        if torch.is_tensor(weight) and weight.is_floating_point():
            return weight.dtype
    return torch.float32


def described(module, more):
    """Hash of what a module does beside its weights: how it prints, the byte code of its own classes, buffers that are not saved."""
    import torch

    hashed = hashlib.blake2b(f"{more} {re.sub(' at 0x[0-9a-f]+', '', repr(module))}".encode(), digest_size=10)
    classes = {c for part in module.modules() for c in type(part).__mro__}
    for own in sorted(classes, key=lambda c: (c.__module__, c.__qualname__)):
        if not own.__module__.startswith(("torch.", "builtins")):
            codes = [_code(f.__code__) for _, f in sorted(vars(own).items()) if hasattr(f, "__code__")]
            hashed.update(f"{own.__qualname__} {codes}".encode())
    saved = module.state_dict()
    for key, tensor in module.named_buffers():
        if key not in saved:
            hashed.update(
                key.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            )
    return hashed.hexdigest()


def _code(code):
    """What a function does, as text that is the same in every process."""
    inner = [_code(c) if hasattr(c, "co_code") else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"
