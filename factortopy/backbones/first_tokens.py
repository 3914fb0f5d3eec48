"""Where a network's tokens are first seen, before they have met, and the grid of its patch embedding."""

from contextlib import contextmanager
from itertools import count

from factortopy.backbones.layout import Unclear, picture_axis


class FirstTokens:
    """Where tokens of every number are first seen in a module, and the grid of its patch embedding.

    tokens : {N: (B, N, C) tensor}; patches : (h, w) or None
    """

    def __init__(self, module):
        self.module, self.tokens, self.patches, self._shapes = module, {}, None, []

    def shown_one(self):
        """While open, shapes for one picture are noted."""
        return self._watched(lambda k, tensor: self._shapes.append(tuple(tensor.shape)))

    def shown(self, pictures):
        """While open, what has tokens is kept, where it is the first of its size."""

        def see(k, tensor):
            try:
                axis = picture_axis(self._shapes[k], tuple(tensor.shape), pictures) if tensor.ndim == 3 else None
            except (Unclear, IndexError):
                axis = None
            if axis is not None and (tokens := tensor.movedim(axis, 0)).shape[1] not in self.tokens:
                self.tokens[tokens.shape[1]] = tokens.clone()

        return self._watched(see)

    @contextmanager
    def _watched(self, see):
        import torch

        seen = count()

        def look(module, values, output=None):
            values = values if output is None else (output,)
            tensor = values[0] if isinstance(values, tuple) and values else values
            tensor = tensor[0] if isinstance(tensor, tuple | list) and tensor else tensor
            if not torch.is_tensor(tensor) or tensor.is_nested or not tensor.is_floating_point():
                return
            see(next(seen), tensor)
            patchify = (
                isinstance(module, torch.nn.Conv2d) and module.in_channels == 3 and module.stride == module.kernel_size
            )
            if output is not None and patchify and self.patches is None and tensor.ndim == 4 and max(module.stride) > 1:
                self.patches = tuple(tensor.shape[2:])

        hooks = [part.register_forward_pre_hook(look) for part in self.module.modules()]
        hooks += [part.register_forward_hook(look) for part in self.module.modules()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
