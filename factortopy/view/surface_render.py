"""A process of its own that draws surfaces with pyvista, off screen: ``python -m factortopy.view.surface_render``.

Reads an .npz scene from standard input, writes an .npz of pictures to standard output. A graphics driver that fails ends
the process it runs in, so it must not be the app's.
"""

import io
import os
import sys

import numpy as np


def draw(scene):
    """Pictures of a scene.

    Parameters
    ----------
    scene : mapping
        ``points``, ``normals`` (P, 3), ``right`` (P,) bool, ``quads`` (Q, 4), ``colours`` (Q, 3) uint8, ``lines`` (S, 2, 3),
        ``line_right`` (S,) bool, ``line_width`` in pixels, ``fine`` for print,
        ``shots``: how many. Of shot k: ``side{k}`` (0 left, 1 right,
        2 both), ``open{k}`` in radians, ``frame{k}`` (3, 3) rows right, up, forward, ``place{k}`` (3,) centre along right and
        up and millimetres a pixel, ``size{k}`` width and height in pixels. All lengths in millimetres.

    Returns
    -------
    {"picture{k}": (height, width, 4) uint8}
    """
    import pyvista

    out, plotter, seen = {}, None, None
    for k in range(int(scene["shots"])):
        width, height = (int(n) for n in scene[f"size{k}"])
        side, opening = int(scene[f"side{k}"]), float(scene[f"open{k}"])
        if (width, height, side, opening) != seen:
            if plotter is not None:
                plotter.close()
            plotter = pyvista.Plotter(off_screen=True, window_size=(width, height), lighting="none")
            plotter.enable_parallel_projection()
            plotter.enable_anti_aliasing("ssaa" if scene["fine"] else "msaa")
            _add(plotter, scene, side, opening)
            plotter.add_light(pyvista.Light(light_type="headlight", intensity=0.72))
            plotter.add_light(pyvista.Light(position=(-0.5, 0.8, 1.0), light_type="camera light", intensity=0.28))
            seen = (width, height, side, opening)
        _look(plotter, scene[f"frame{k}"], scene[f"place{k}"], height)
        plotter.render()
        out[f"picture{k}"] = plotter.screenshot(None, transparent_background=True, return_img=True)
    if plotter is not None:
        plotter.close()
    return out


def _add(plotter, scene, side, opening):
    import pyvista

    right = scene["right"]  # (P,) bool
    points, normals = opened(scene["points"], scene["normals"], right, opening)
    kept = np.ones(len(scene["quads"]), bool) if side == 2 else right[scene["quads"][:, 0]] == bool(side)
    quads = scene["quads"][kept]
    surface = pyvista.PolyData(points, np.column_stack([np.full(len(quads), 4), quads]).ravel())
    surface.point_data["Normals"] = normals
    surface.point_data.active_normals_name = "Normals"
    surface.cell_data["colour"] = scene["colours"][kept]
    plotter.add_mesh(
        surface, scalars="colour", rgb=True, smooth_shading=True, ambient=0.34, diffuse=0.72, specular=0.05,
        split_sharp_edges=False,
    )  # fmt: skip
    of_right = scene["line_right"]
    kept = np.ones(len(of_right), bool) if side == 2 else of_right == bool(side)
    if kept.any():
        ends = scene["lines"][kept].reshape(-1, 3)
        ends, _ = opened(ends, ends, np.repeat(of_right[kept], 2), opening)
        pairs = np.column_stack([np.full(len(ends) // 2, 2), np.arange(len(ends)).reshape(-1, 2)])
        plotter.add_mesh(
            pyvista.PolyData(ends, lines=pairs.ravel()),
            color="black",
            line_width=float(scene["line_width"]),
            lighting=False,
        )


def opened(points, normals, right, angle, hinge=70.0):
    """Both hemispheres turned around a hinge in front of them, like a book (as ``opened`` in assets/camera.js)."""
    a = np.where(right, angle, -angle)
    c, s = np.cos(a), np.sin(a)

    def turn(xyz, y0):
        x, y = xyz[:, 0], xyz[:, 1] - y0
        return np.column_stack([c * x - s * y, s * x + c * y + y0, xyz[:, 2]]).astype(np.float32)

    return turn(points, hinge), turn(normals, 0.0)


def _look(plotter, frame, place, height):
    right, up, forward = np.asarray(frame, dtype=float)
    centre = right * place[0] + up * place[1]
    camera = plotter.camera
    camera.focal_point = centre
    camera.position = centre - 600 * forward
    camera.up = up
    camera.parallel_scale = place[2] * height / 2
    camera.clipping_range = (1, 1400)


def main():
    """Draw the scene on standard input."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no picture
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as scene:
        pictures = draw({name: scene[name] for name in scene.files})
    with os.fdopen(answer, "wb") as out:
        buffer = io.BytesIO()
        np.savez(buffer, **pictures)
        out.write(buffer.getvalue())


if __name__ == "__main__":
    main()
