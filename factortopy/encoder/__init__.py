"""The encoder: ``fit`` and its progress, a fitted one with its selectors, saved and loaded; also as a scikit-learn estimator."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
