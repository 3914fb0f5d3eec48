"""The encoder: model, recipe, saving and loading."""

from factortopy.encoder.encoder import Encoder
from factortopy.encoder.selectors import Selectors

__all__ = ["Encoder", "Progress", "Selectors", "fit"]


def __getattr__(name):
    # Reading a run needs no torch, so that the app shows its first picture at once; fitting does.
    if name in ("Progress", "fit"):
        from factortopy.encoder import fitting

        return getattr(fitting, name)
    raise AttributeError(f"module 'factortopy.encoder' has no attribute {name!r}")
