"""Reading an encoder: scores, vertices above chance, hierarchy slope, channels, networks side by side, held-out pictures."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
