"""A map on the folded or inflated surface: pictures at print size, and films in which it turns."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factortopy.errors import InputError
from factortopy.storage.files import write_atomic
from factortopy.storage.machine import child_environment
from factortopy.surfaces.meshes import load_mesh
from factortopy.view.cells import cells, ground, node_values, region_masks
from factortopy.view.geometry import arranged
from factortopy.view.legend_picture import FOOT, LEAST_WIDTH, print_figure, sheet
from factortopy.view.names import write_names
from factortopy.view.outlines import name_places, segments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from factortopy.view.brainmap import BrainMap

# side (0 left, 1 right, 2 both), yaw and pitch of the viewer and how far the hemispheres open, in degrees; yaw and pitch 0
# look from behind, pitch 90 from below
VIEWS = {
    "posterior": (2, 0, 0, 0),
    "ventral": (2, 0, 90, 0),
    "dorsal": (2, 0, -90, 0),
    "lateral left": (0, -90, 0, 0),
    "lateral right": (1, 90, 0, 0),
    "medial left": (0, 90, 0, 0),
    "medial right": (1, -90, 0, 0),
    "opened": (2, 0, 8, 62),
}
STANDARD = ("lateral left", "posterior", "lateral right", "medial left", "ventral", "medial right")
MARGIN = 4.0  # millimetres around a view
LIFT = 0.5  # millimetres of an outline above the surface
MAX_PIXELS = 120_000_000
WINDOWS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")  # without a display; the second needs libOSMesa
REMEDY = "install Mesa's software renderer (Debian, Ubuntu: apt install libegl1 libgl1-mesa-dri; or libosmesa6)"


def surface_png(
    brain_map: BrainMap,
    path: str | Path,
    *,
    rois: Mapping[str, np.ndarray] | None = None,
    simulated: bool = False,
    views: Sequence[str] = STANDARD,
    shape: str = "inflated",
    width: float = 7.0,
    dpi: float = 300,
    names: bool = True,
) -> Path:
    """Draw a map on the surface, seen from several sides.

    Parameters
    ----------
    brain_map : BrainMap
    path : str or Path
    rois : dict of name to (V,) bool or whole-mesh rows, optional
        Outlined; named where they face the viewer.
    views : tuple of str
        Names in ``VIEWS``, set in rows of three.
    shape : str
        "inflated", "white" or "pial".
    width : float
        Of the sheet, in inches (at least 4; ``legend_picture.CENTIMETRE`` converts).

    Returns
    -------
    Path

    Raises
    ------
    InputError
        For an unknown view, a sheet of more than 120 megapixels, or a machine that cannot draw in three dimensions.
    """
    unknown = [view for view in views if view not in VIEWS]
    if unknown or not views:
        raise InputError(f"views: expected some of {', '.join(VIEWS)}; found {', '.join(map(str, unknown)) or 'none'}")
    scene, mesh = _Scene(brain_map, rois, shape), load_mesh(brain_map.density)
    shots = [scene.shot(view) for view in views]
    rows = [shots[k : k + 3] for k in range(0, len(shots), 3)]
    width, caption = max(width, LEAST_WIDTH), 0.16
    # All views have one scale: the widest row fills the sheet.
    per_inch = max(sum(shot.width for shot in row) for row in rows) / (width - 0.1)
    heights = [max(shot.height for shot in row) / per_inch + caption for row in rows]
    figure, (_, low, _, share) = sheet(brain_map, width, sum(heights), dpi, simulated)
    sheet_height = sum(heights) / share
    if width * sheet_height * dpi**2 > MAX_PIXELS:
        raise InputError(
            f"picture: expected at most {MAX_PIXELS // 10**6} megapixels, found {width * sheet_height * dpi**2 / 1e6:.0f}; "
            "choose a smaller width or dpi"
        )
    pictures = _render(scene, shots, per_inch / dpi, line_width=dpi / 90)
    bottom = low * sheet_height + sum(heights)
    for row, tall in zip(rows, heights, strict=True):
        bottom -= tall
        spare = (width - sum(shot.width for shot in row) / per_inch) / (len(row) + 1)
        left = spare
        for shot in row:
            w, h = shot.width / per_inch, shot.height / per_inch
            box = [
                left / width,
                (bottom + caption + (tall - caption - h) / 2) / sheet_height,
                w / width,
                h / sheet_height,
            ]
            axes = figure.add_axes(box)
            axes.imshow(pictures.pop(0), extent=shot.extent, aspect="auto", interpolation="nearest")
            axes.axis("off")
            if names:
                _name(axes, scene, shot, mesh)
            middle = (left + w / 2) / width
            figure.text(middle, (bottom + 0.03) / sheet_height, shot.view, fontsize=7, ha="center", color="0.35")
            left += w + spare
    write_atomic(path, print_figure(figure, "png", brain_map.title, simulated))
    return Path(path)


def turntable(
    brain_map: BrainMap,
    path: str | Path,
    *,
    rois: Mapping[str, np.ndarray] | None = None,
    simulated: bool = False,
    shape: str = "inflated",
    width: int = 480,
    frames: int = 48,
    seconds: float = 6.0,
    pitch: float = 12.0,
) -> Path:
    """A film of the surface turning once, over and over: GIF, or MP4 (H.264) by the ending of ``path``.

    Parameters
    ----------
    width : int
        Pixels, 240 to 1920.
    frames : int
        4 to 360.

    Returns
    -------
    Path
    """
    kind = Path(path).suffix.lower()
    if kind not in (".gif", ".mp4") or not 240 <= width <= 1920 or not 4 <= frames <= 360:
        raise InputError(
            f"{path}: expected a .gif or .mp4, 240 to 1920 pixels wide, of 4 to 360 frames; "
            f"found {kind or 'no ending'}, {width} and {frames}"
        )
    scene = _Scene(brain_map, rois, shape)
    shots = [scene.turned(360 * k / frames, pitch) for k in range(frames)]
    wide, tall = max(shot.width for shot in shots), max(shot.height for shot in shots)
    for shot in shots:
        shot.widen(wide, tall)
    dpi = width / LEAST_WIDTH  # type and legend keep their share of the picture
    per_inch = wide / LEAST_WIDTH
    figure, box = sheet(brain_map, LEAST_WIDTH, tall / per_inch, dpi, simulated)
    from PIL import Image

    page = Image.open(io.BytesIO(print_figure(figure, "png", brain_map.title, simulated))).convert("RGB")
    top = page.height - round((box[1] + box[3]) * page.height)
    stack = []
    for picture in _render(scene, shots, per_inch / dpi, line_width=max(1.0, dpi / 90), fine=False):
        one = page.copy()
        drawn = Image.fromarray(picture)
        one.paste(drawn, (0, top), drawn)
        stack.append(one)
    data = _gif(stack, seconds) if kind == ".gif" else _mp4(stack, frames / seconds)
    write_atomic(path, data)
    return Path(path)


def _gif(stack, seconds):
    from PIL import Image

    # One palette for all frames: colours must not flicker, and unchanged parts cost nothing.
    width, height = stack[0].size
    legend = stack[0].crop((0, height - round(FOOT / LEAST_WIDTH * width), width, height))
    sample = Image.new("RGB", (width, 4 * height + 24 * legend.height))
    for k in range(4):
        sample.paste(stack[k * len(stack) // 4], (0, k * height))
    for k in range(24):  # counts as much as the brain: its colours are the ones that must be right
        sample.paste(legend, (0, 4 * height + k * legend.height))
    palette = sample.quantize(255, method=Image.Quantize.MEDIANCUT)
    reduced = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in stack]
    out = io.BytesIO()
    reduced[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=reduced[1:],
        duration=round(1000 * seconds / len(stack)),
        loop=0,
        optimize=False,
    )
    return out.getvalue()


def _mp4(stack, rate):
    from fractions import Fraction

    import av

    out = io.BytesIO()
    width, height = (n - n % 2 for n in stack[0].size)
    with av.open(out, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20", "preset": "fast"}
        for one in stack:
            film.mux(stream.encode(av.VideoFrame.from_image(one.crop((0, 0, width, height)))))
        film.mux(stream.encode())
    return out.getvalue()


# ---------------------------------------------------------------- scene and shots


class _Shot:
    """One view: which side, the viewer's axes (rows right, up, forward), and the window in millimetres."""

    def __init__(self, view, side, frame, opening, points):
        self.view, self.side, self.frame, self.opening = view, side, frame, opening
        across, up = points @ frame[0], points @ frame[1]
        self.window = [across.min() - MARGIN, across.max() + MARGIN, up.min() - MARGIN, up.max() + MARGIN]

    width = property(lambda self: self.window[1] - self.window[0])
    height = property(lambda self: self.window[3] - self.window[2])
    extent = property(lambda self: tuple(self.window))

    def widen(self, width, height):
        """Give the window this size around its centre."""
        across, up = (self.window[0] + self.window[1]) / 2, (self.window[2] + self.window[3]) / 2
        self.window = [across - width / 2, across + width / 2, up - height / 2, up + height / 2]


class _Scene:
    """What is drawn, as ``surface_render`` takes it."""

    def __init__(self, brain_map, rois, shape):
        if shape not in ("inflated", "white", "pial"):
            raise InputError(f"shape: expected inflated, white or pial, found {str(shape)[:40]!r}")
        mesh = load_mesh(brain_map.density)
        self.n, self.vertices = mesh.n, arranged(mesh)[shape]
        quads, edges = cells(mesh.faces)
        self.normals = _normals(self.vertices, mesh.faces)
        self.regions = region_masks(rois, 2 * mesh.n)
        lifted = self.vertices + LIFT * self.normals
        ends = np.concatenate(
            [np.empty((0, 4), int), *(segments(mesh.faces, inside) for inside in self.regions.values())]
        )
        right = np.arange(2 * mesh.n) >= mesh.n
        self.arrays = {
            "points": node_values(self.vertices, mesh.faces, edges).astype(np.float32),
            "normals": node_values(self.normals, mesh.faces, edges).astype(np.float32),
            "right": np.concatenate([right, right[edges[:, 0]], right[mesh.faces[:, 0]]]),
            "quads": quads,
            "colours": brain_map.colours(ground(mesh))[quads[:, 0]],
            "lines": np.stack([lifted[ends[:, :2]].mean(1), lifted[ends[:, 2:]].mean(1)], axis=1).astype(np.float32),
            "line_right": right[ends[:, 0]],
        }

    def shot(self, view):
        """The shot of a view in ``VIEWS``."""
        side, yaw, pitch, opening = VIEWS[view]
        return self._shot(view, side, yaw, pitch, opening)

    def turned(self, yaw, pitch):
        """Both hemispheres, the viewer ``yaw`` degrees around them."""
        return self._shot("turned", 2, yaw, pitch, 0)

    def _shot(self, view, side, yaw, pitch, opening):
        points, _ = self.opened(opening)
        points = points if side == 2 else points[side * self.n : (side + 1) * self.n]
        return _Shot(view, side, _frame(yaw, pitch), np.radians(opening), points)

    def opened(self, degrees):
        """Positions and normals of the vertices with the hemispheres turned apart."""
        from factortopy.view.surface_render import opened

        return opened(self.vertices, self.normals, np.arange(2 * self.n) >= self.n, np.radians(degrees))


def _frame(yaw, pitch):
    """Rows right, up, forward of a viewer (as ``pose`` in assets/camera.js)."""
    yaw, pitch = np.radians(yaw), np.radians(pitch)
    right = np.array([np.cos(yaw), np.sin(yaw), 0])
    forward = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    return np.stack([right, np.cross(right, forward), forward])


def _normals(points, faces):
    """(V, 3) unit normals of vertices, pointing out."""
    corner = points[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.zeros_like(points)
    for k in range(3):
        np.add.at(out, faces[:, k], across)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def _name(axes, scene, shot, mesh):
    """Names of regions where they face the viewer."""
    points, normals = scene.opened(np.degrees(shot.opening))
    facing, names = normals @ shot.frame[2] < -0.45, []
    for name, inside in scene.regions.items():
        for row in name_places(points, np.flatnonzero(inside), mesh.n):
            if facing[row] and shot.side in (2, int(row >= mesh.n)):
                names.append((*(shot.frame[:2] @ points[row]), name, inside.sum(), row))
    write_names(axes, names, 5.5)


# ---------------------------------------------------------------- drawing


def _render(scene, shots, mm_a_pixel, line_width, fine=True):
    """List of (height, width, 4) uint8, one a shot, drawn by a process of its own."""
    arrays = {**scene.arrays, "shots": len(shots), "line_width": line_width, "fine": fine}
    for k, shot in enumerate(shots):
        left, right, low, high = shot.window
        arrays |= {
            f"side{k}": shot.side, f"open{k}": shot.opening, f"frame{k}": shot.frame,
            f"place{k}": np.array([(left + right) / 2, (low + high) / 2, mm_a_pixel]),
            f"size{k}": np.maximum(1, np.round(np.array([shot.width, shot.height]) / mm_a_pixel)).astype(int),
        }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    last = "no answer"
    for window in _windows():
        environment = child_environment(**({"VTK_DEFAULT_OPENGL_WINDOW": window} if window else {}))
        command = [sys.executable, "-m", "factortopy.view.surface_render"]
        try:
            done = subprocess.run(
                command, input=buffer.getvalue(), capture_output=True, env=environment, timeout=600, check=False
            )
        except subprocess.TimeoutExpired:
            last = "no picture within 10 minutes"
            continue
        if done.returncode == 0:
            with np.load(io.BytesIO(done.stdout), allow_pickle=False) as pictures:
                return [pictures[f"picture{k}"] for k in range(len(shots))]
        words = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr.decode(errors="replace")).strip().splitlines()
        last = f"exit {done.returncode}" + (f": {words[-1].rsplit('| ', 1)[-1][:120].strip()}" if words else "")
    raise InputError(
        f"picture of the surface: expected OpenGL, found a machine on which VTK cannot draw ({last}); {REMEDY}"
    )


def _windows():
    """Kinds of VTK window to try; the user's own wish comes first and alone."""
    if sys.platform != "linux" or os.environ.get("VTK_DEFAULT_OPENGL_WINDOW"):
        return (None,)
    return WINDOWS
