"""Networks: a registry of names, one adapter a library, weights read safely, networks that were tuned here."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
