"""Maps on the flattened hemispheres as small pictures: the place of every vertex is looked up once, then painting is free."""

import numpy as np

from factortopy.surfaces.meshes import load_mesh
from factortopy.view.cells import ground
from factortopy.view.geometry import arranged
from factortopy.view.raster import OUTSIDE, vertex_at

PIXELS = 620  # width
BORDER = (20, 20, 20)


class Flat:
    """A raster over the flattened cortex around some vertices.

    vertices : Vertices that the report paints
    width, height : pixels of a picture
    """

    def __init__(self, vertices, pixels=PIXELS):
        self.vertices, mesh = vertices, load_mesh(vertices.density)
        place = arranged(mesh)["flat"][:, [0, 2]]
        used = np.unique(mesh.flat_faces)
        painted = vertices.whole(np.ones(len(vertices)), fill=0)[used] > 0
        around = place[used[painted]] if painted.any() else place[used]
        # A few vertices far from the others must not make all of it small.
        low, high = np.quantile(around, [0.004, 0.996], axis=0)
        margin = 0.05 * (high - low).max() + 3
        low, high = low - margin, high + margin
        self.width = pixels
        self.height = max(1, round(pixels * (high[1] - low[1]) / (high[0] - low[0])))
        self.scale, self.low = pixels / (high[0] - low[0]), low
        window = low[0], high[0], low[1], low[1] + self.height / self.scale
        self.row = vertex_at(mesh.flat_faces, place, window, (self.height, self.width)).ravel()
        self.on = self.row != OUTSIDE
        self.place, self.ground, self.used = place, ground(mesh), np.zeros(len(place), bool)
        self.used[used] = True

    def picture(self, brain_map, borders=None):
        """(height, width, 3) uint8 of a BrainMap over the whole mesh; white outside the patch, ``borders`` dark."""
        out = np.full((len(self.row), 3), 255, np.uint8)
        out[self.on] = brain_map.colours(self.ground)[self.row[self.on]]
        out = out.reshape(self.height, self.width, 3)
        if borders is not None:
            out[borders] = BORDER
        return out

    def borders(self, rois):
        """(height, width) bool: pixels at the borders of regions {name: (N,) bool of the painted vertices}."""
        out = np.zeros((self.height, self.width), bool)
        for mask in (rois or {}).values():
            inside = self.vertices.whole(np.asarray(mask, float), fill=0) > 0
            picture = (inside[self.row] & self.on).reshape(out.shape)
            out[:-1] |= picture[:-1] != picture[1:]
            out[:, :-1] |= picture[:, :-1] != picture[:, 1:]
        return out

    def name_regions(self, axes, rois):
        """Write the names of regions at the middles of their halves."""
        from matplotlib.patheffects import withStroke

        n = len(self.place) // 2
        for name, mask in (rois or {}).items():
            inside = self.vertices.whole(np.asarray(mask, float), fill=0) > 0
            for half in (slice(0, n), slice(n, None)):
                rows = np.flatnonzero((inside & self.used)[half]) + (half.start or 0)
                if len(rows) < 5:
                    continue
                middle = np.median(self.place[rows], 0)
                # A vertex of the region itself: the middle of a bent one lies outside.
                x, y = self.place[rows[np.linalg.norm(self.place[rows] - middle, axis=1).argmin()]]
                x, y = (x - self.low[0]) * self.scale, self.height - (y - self.low[1]) * self.scale
                if 0 < x < self.width and 0 < y < self.height:
                    axes.text(x, y, name, fontsize=6.5, ha="center", va="center", clip_on=True, parse_math=False,
                              path_effects=[withStroke(linewidth=1.8, foreground="white")])  # fmt: skip
