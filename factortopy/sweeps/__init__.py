"""Many trainings at once: what is varied, its folder, start, resume and cancel, the table, SLURM."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
