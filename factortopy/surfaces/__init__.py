"""The cortical surface: fsaverage meshes, coordinates for the encoder, retinotopy, areas and published atlases.

Vertices of both hemispheres are kept left first: ``Vertices`` says which, ``.rows`` where they are in that order.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
