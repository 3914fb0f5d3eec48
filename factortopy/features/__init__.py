"""A network's tokens of pictures: extracted, kept on disk by content, reduced, and their cost told before."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
