"""A plain folder of pictures or films and responses: layout, tables, trials, vertices; read and written."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
