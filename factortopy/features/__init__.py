"""A network's tokens of pictures: extracted, kept on disk by content, reduced, their time and disk estimated before."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
