"""Work in the background: the queue, its worker, a job's folder, and one module a kind of work."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
