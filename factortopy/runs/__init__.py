"""A training and its folder, which is the truth: settings, status, history, scores, costs, names, a run as one file."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
