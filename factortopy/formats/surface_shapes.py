"""Vertices of a surface or voxels of a volume: what the axes of an MGH or NIfTI file tell.

Both formats have three axes before the frames. A surface fills one; as the axes of NIfTI-1 are 16-bit numbers, FreeSurfer
folds longer ones: fsaverage is 27,307 × 1 × 6 by default (``mri_vol2surf``, ``mri_surf2surf --reshape``) or 42 × 47 × 83
(``--reshape3d``). Folded or not, vertex k is value k of a frame.

Source: https://surfer.nmr.mgh.harvard.edu/fswiki/mri_surf2surf
"""

import math

_FOLDED = (42, 47, 83)  # fsaverage by --reshape3d
_LONG = 32  # times as long as the other axis, and longer: no slice of a volume is


def is_fsaverage(n):
    """Whether a mesh of FreeSurfer's icosahedra (fsaverage3 to fsaverage) has ``n`` vertices: 10 · 4^k + 2."""
    return n in {10 * 4**k + 2 for k in range(3, 8)}


def on_surface(axes):
    """Whether (width, height, depth) are the vertices of a surface."""
    longer = sorted(n for n in axes if n > 1)
    if len(longer) < 2 or tuple(axes) == _FOLDED:
        return True
    return len(longer) == 2 and (is_fsaverage(math.prod(longer)) or longer[1] >= _LONG * longer[0])


def axes_words(axes):
    """As in "27,307 × 1 × 6"."""
    return " × ".join(f"{n:,}" for n in axes)
