"""Subjects: who looked at which pictures and how the cortex answered; one module or package a source."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
