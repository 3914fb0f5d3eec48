"""A report of fitted networks: every figure and table with its numbers, and the paper's findings as a checklist."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
