"""Taking things away: a run, a result or a comparison as pictures, drawings, tables, files for other programs, one page."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
