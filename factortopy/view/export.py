"""Maps to take away: flat pictures (PNG) with legend, and GIFTI files for other programs."""

from io import BytesIO
from pathlib import Path

import numpy as np

from factortopy.files import write_atomic
from factortopy.surfaces import N_VERTICES, full_index, load_mesh
from factortopy.view import colour, maps
from factortopy.view.brainmap import DARKEST, whole
from factortopy.view.geometry import arranged
from factortopy.view.outlines import name_places, segments

SIDES = (("L", "CortexLeft"), ("R", "CortexRight"))
GYRUS, SULCUS = (205, 206, 209), (172, 174, 178)  # the ground of a printed picture
PROGRAM = "FactorTopy"


# ---------------------------------------------------------------- PNG


def flat_png(brain_map, path, *, rois=None, simulated=False, part="visual", width=7.0, dpi=200):
    """Draw a map on the flattened hemispheres.

    Parameters
    ----------
    brain_map : BrainMap
    path : str or Path
        Should hold the word "simulated" when the data are (``export_maps`` sees to it); the picture says it anyway.
    rois : dict of name to (V,) bool or whole-mesh rows, optional
        Outlined and named.
    part : str
        "visual" for the painted part, "whole" for both hemispheres.
    width : float
        Inches.

    Returns
    -------
    Path
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mesh = load_mesh(brain_map.density)
    place = arranged(mesh)["flat"][:, [0, 2]]
    left, right, low, high = _window(place, mesh, brain_map.painted if part == "visual" else None)
    inches = width * (high - low) / (right - left)
    head, foot = 0.55, 1.35
    height = head + inches + foot
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    axes = figure.add_axes([0, foot / height, 1, inches / height])
    axes.set(xlim=(left, right), ylim=(low, high))
    axes.axis("off")
    _draw_cells(axes, brain_map, mesh, place, (left, right, low, high))
    _draw_regions(axes, rois or {}, mesh, place)
    figure.text(0.02, 1 - 0.14 / height, brain_map.title, va="top", fontsize=8.5, wrap=True, parse_math=False)
    if simulated:
        badge = {"boxstyle": "round,pad=.3", "facecolor": "#f0b429", "edgecolor": "none"}
        figure.text(0.98, 0.22 / height, "simulated", ha="right", va="bottom", fontsize=9, weight="bold", bbox=badge)
    _draw_legend(figure, brain_map, width, height, foot)
    picture = BytesIO()
    facts = {"Title": brain_map.title, "Software": PROGRAM, "Comment": "simulated" if simulated else "measured"}
    FigureCanvasAgg(figure).print_png(picture, metadata=facts)
    write_atomic(path, picture.getvalue())
    return Path(path)


def _window(place, mesh, painted):
    """(left, right, low, high) of the flat map, in millimetres."""
    used = np.unique(mesh.flat_faces)
    if painted is not None and painted[used].any():
        used = used[painted[used]]
        (left, low), (right, high) = np.quantile(place[used], [0.004, 0.996], axis=0)
    else:
        (left, low), (right, high) = place[used].min(0), place[used].max(0)
    margin = 0.05 * max(right - left, high - low) + 3
    return left - margin, right + margin, low - margin, high + margin


def _draw_cells(axes, brain_map, mesh, place, window):
    """Every corner of every triangle as a quadrilateral: a vertex's cell, as in the browser."""
    from matplotlib.collections import PolyCollection

    left, right, low, high = window
    depth = np.clip(np.asarray(mesh.sulc) / 0.6 + 0.5, 0, 1)[:, None]
    ground = np.round(np.array(GYRUS) * (1 - depth) + np.array(SULCUS) * depth).astype(np.uint8)
    colours = brain_map.colours(ground) / 255
    faces = mesh.flat_faces
    corner = place[faces]
    seen = (corner[:, :, 0].max(1) > left) & (corner[:, :, 0].min(1) < right)
    seen &= (corner[:, :, 1].max(1) > low) & (corner[:, :, 1].min(1) < high)
    faces, corner = faces[seen], corner[seen]
    centre = corner.mean(1)
    quads, fill = [], []
    for k in range(3):
        a, b, c = corner[:, k], corner[:, (k + 1) % 3], corner[:, (k + 2) % 3]
        quads.append(np.stack([a, (a + b) / 2, centre, (a + c) / 2], axis=1))
        fill.append(colours[faces[:, k]])
    fill = np.concatenate(fill)
    # Edges of the fill's own colour close the hair lines between neighbours.
    axes.add_collection(PolyCollection(np.concatenate(quads), facecolors=fill, edgecolors=fill, linewidths=0.25))


def _draw_regions(axes, rois, mesh, place):
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    on_flat = np.zeros(2 * mesh.n, dtype=bool)
    on_flat[mesh.flat_faces] = True
    for name, where in rois.items():
        where = np.asarray(where)
        rows = np.flatnonzero(where) if where.dtype == bool else where.astype(int)
        inside = np.zeros(2 * mesh.n, dtype=bool)
        inside[rows] = True
        ends = segments(mesh.flat_faces, inside)
        lines = np.stack([place[ends[:, :2]].mean(1), place[ends[:, 2:]].mean(1)], axis=1)
        axes.add_collection(LineCollection(lines, colors="black", linewidths=0.7, capstyle="round"))
        for row in name_places(place, rows[on_flat[rows]], mesh.n):
            outlined = [withStroke(linewidth=2, foreground="white")]
            # parse_math: a region's name is text as typed, never a formula.
            axes.text(*place[row], str(name), fontsize=6.5, ha="center", va="center", weight="bold",
                      path_effects=outlined, clip_on=True, parse_math=False)  # fmt: skip


# ---------------------------------------------------------------- legends


def _draw_legend(figure, brain_map, width, height, foot):
    legend = brain_map.legend
    box = lambda x, y, w, h: [x / width, y / height, w / width, h / height]  # noqa: E731 (inches from the lower left)
    axes = figure.add_axes(box(0.75, 0.62, 2.4, 0.45))
    shape = legend["shape"]
    is_round = shape in ("square", "wheel")  # words go round it, so the label stands beside it
    figure.text((2.3 if is_round else 0.75) / width, (0.7 if is_round else foot - 0.18) / height, legend["label"],
                fontsize=8, weight="bold", parse_math=False)  # fmt: skip
    figure.text(0.02, 0.07 / height, legend.get("note", ""), fontsize=6.5, color="0.35", parse_math=False)
    if shape == "swatches":
        return _swatches(axes, brain_map)
    if is_round:
        axes.set_position(box(1.1, 0.34, 0.72, 0.72))
        axes.imshow(_square_picture(brain_map))
        axes.axis("off")
        for word, (x, y, ha, va) in _AROUND.items():
            axes.text(x, y, legend.get(word, ""), ha=ha, va=va, fontsize=7, transform=axes.transAxes, parse_math=False)
        return None
    rows = np.linspace(1, 0, 8)[:, None, None] if shape == "grid" else np.ones((1, 1, 1))
    axes.imshow((brain_map.palette[None] * (DARKEST + (1 - DARKEST) * rows)).astype(np.uint8), aspect="auto")
    n = len(brain_map.palette)
    ticks = legend.get("ticks", [])
    axes.set_xticks([at * (n - 1) for at, _ in ticks], [label for _, label in ticks], fontsize=7)
    side = legend.get("side")
    axes.set_yticks([0, 7] if side else [], [side["high"], side["low"]] if side else [], fontsize=7)
    if side:
        axes.set_ylabel(side["label"], fontsize=7)
    axes.tick_params(length=2)
    for x, word, align in ((0, legend.get("low", ""), "left"), (1, legend.get("high", ""), "right")):
        axes.text(x, -0.62, word, transform=axes.transAxes, fontsize=7, color="0.35", ha=align, parse_math=False)
    return None


_AROUND = {
    "top": (0.5, 1.05, "center", "bottom"), "bottom": (0.5, -0.05, "center", "top"),
    "low": (-0.06, 0.5, "right", "center"), "high": (1.06, 0.5, "left", "center"),
}  # fmt: skip


def _swatches(axes, brain_map, most=36):
    from matplotlib.patches import Rectangle

    names = brain_map.legend["names"]
    axes.set_position([0.08, axes.get_position().y0 - 0.02, 0.8, axes.get_position().height * 1.2])
    axes.axis("off")
    axes.set(xlim=(0, 12), ylim=(3, 0))
    for k, name in enumerate(names[:most]):
        x, y = k % 12, k // 12
        axes.add_patch(Rectangle((x, y + 0.25), 0.18, 0.5, color=brain_map.palette[k] / 255))
        axes.text(x + 0.25, y + 0.5, str(name), fontsize=6.5, va="center", clip_on=True, parse_math=False)
    if len(names) > most:
        axes.text(12, 3, f"and {len(names) - most} more", fontsize=6.5, ha="right", va="top")


def _square_picture(brain_map, n=120):
    """The picture plane, or a ring of the cyclic palette on white."""
    if brain_map.legend["shape"] == "square":
        return brain_map.palette
    y, x = np.mgrid[1 : -1 : n * 1j, -1 : 1 : n * 1j]
    angle = np.mod(np.arctan2(y, x) / (2 * np.pi), 1)
    picture = brain_map.palette[np.round(angle * (len(brain_map.palette) - 1)).astype(int)]
    radius = np.hypot(x, y)
    picture[(radius > 1) | (radius < 0.4)] = 255
    return picture


# ---------------------------------------------------------------- GIFTI


def write_label_gii(path, labels, table, simulated, structure="CortexLeft", name="layer"):
    """One hemisphere's labels, with their colours and names.

    Parameters
    ----------
    labels : (n,) int
        The whole mesh of a hemisphere; 0 unpainted.
    table : list of (key, name, (r, g, b))
        Colours as uint8; key 0 is added when it is missing.
    """
    import nibabel.gifti as gifti

    labels = np.asarray(labels, dtype=np.int32)
    image = _image(simulated, structure, name)
    if not any(key == 0 for key, *_ in table):
        table = [(0, "unpainted", None), *table]
    for key, label, rgb in table:
        red, green, blue = (float(v) / 255 for v in (rgb if rgb is not None else (0, 0, 0)))
        entry = gifti.GiftiLabel(key=int(key), red=red, green=green, blue=blue, alpha=0.0 if rgb is None else 1.0)
        entry.label = str(label)
        image.labeltable.labels.append(entry)
    _add(image, labels, "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32", name)
    write_atomic(path, image.to_bytes())
    return Path(path)


def write_func_gii(path, values, name, simulated, structure="CortexLeft"):
    """One hemisphere's values: (n,), or (n, k) as k data arrays; NaN where there is none. ``name``: one or k names."""
    values = np.asarray(values, dtype=np.float32)
    columns = values[:, None] if values.ndim == 1 else values
    names = [name] if isinstance(name, str) else list(name)
    image = _image(simulated, structure, ", ".join(names))
    for column, label in zip(columns.T, names, strict=True):
        _add(image, np.ascontiguousarray(column), "NIFTI_INTENT_NONE", "NIFTI_TYPE_FLOAT32", label)
    write_atomic(path, image.to_bytes())
    return Path(path)


def _image(simulated, structure, name):
    import nibabel.gifti as gifti

    facts = {"AnatomicalStructurePrimary": structure, "Program": PROGRAM, "Name": name}
    return gifti.GiftiImage(meta=gifti.GiftiMetaData({**facts, "Data": "simulated" if simulated else "measured"}))


def _add(image, values, intent, datatype, name):
    import nibabel.gifti as gifti

    meta = gifti.GiftiMetaData({"Name": name})
    image.add_gifti_data_array(gifti.GiftiDataArray(values, intent=intent, datatype=datatype, meta=meta))


# ---------------------------------------------------------------- everything of a run


def export_maps(out_dir, selectors, score, painted, hemi, vertex, density, simulated, title, rois=None):
    """Write a fitted encoder's maps into a folder.

    Parameters
    ----------
    selectors : Selectors
    score : (N,) float
        Brain score on test trials.
    painted : (N,) bool
        Vertices predicted above chance; the selectors' maps hold these alone, the score holds all.
    title : str
        Which network on whom, for the pictures' sentences.
    rois : dict of name to (N,) bool, optional

    Returns
    -------
    list of Path
        ``hemi-{L,R}_layer.label.gii``, ``hemi-{L,R}_{confidence,scale,score,space}.func.gii`` and a PNG a map, whose
        name holds "simulated" when the data are.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    painted = np.asarray(painted, dtype=bool)
    at = {"hemi": hemi, "vertex": vertex, "density": density}
    paths = _gifti_of_run(out, selectors, score, painted, at, simulated)
    word = "_simulated" if simulated else ""
    outlines = {name: full_index(hemi, vertex, density)[np.asarray(mask, bool)] for name, mask in (rois or {}).items()}
    common = {**at, "painted": painted, "context": title}
    pictures = {
        "layer": maps.layer_map(selectors, **common),
        "space": maps.space_map(selectors, **common),
        "scale": maps.scale_map(selectors, **common),
        "score": maps.score_map(score, **common),
    }
    for name, brain_map in pictures.items():
        paths.append(flat_png(brain_map, out / f"flat_{name}{word}.png", rois=outlines, simulated=simulated))
    return paths


def _gifti_of_run(out, selectors, score, painted, at, simulated):
    n_layers = selectors.layer.shape[1]
    colours = colour.layers(n_layers)
    table = [(k + 1, f"layer {k + 1} of {n_layers}", colours[k]) for k in range(n_layers)]
    keep = lambda values: np.where(painted.reshape(-1, *[1] * (np.ndim(values) - 1)), values, np.nan)  # noqa: E731
    layer = whole(np.where(painted, selectors.layer_argmax + 1, 0), fill=0, **at)
    functions = {
        "confidence": (keep(selectors.layer_confidence), "layer confidence, 0 uniform to 1 one-hot"),
        "scale": (keep(selectors.scale), "scale, 0 local to 1 global"),
        "score": (np.asarray(score, dtype=float), "brain score R2 on test trials"),
        "space": (keep(selectors.space), ("x, -1 left to 1 right", "y, -1 top to 1 bottom")),
    }
    paths, n = [], N_VERTICES[at["density"]]
    for side, (letter, structure) in enumerate(SIDES):
        rows = slice(side * n, (side + 1) * n)
        paths.append(write_label_gii(out / f"hemi-{letter}_layer.label.gii", layer[rows], table, simulated, structure))
        for kind, (values, name) in functions.items():
            path = out / f"hemi-{letter}_{kind}.func.gii"
            paths.append(write_func_gii(path, whole(values, **at)[rows], name, simulated, structure))
    return paths


def export_result(out_dir, result, encoder):
    """Write an experiment's maps (``Result``) as GIFTI of the whole mesh and as PNG; returns the paths.

    ``hemi-{L,R}_{map}.func.gii`` and ``flat_{map}.png``; "simulated" is in the pictures' names when the subject is.
    """
    from factortopy.view.lab_maps import result_maps

    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    at = {"hemi": encoder.hemi, "vertex": encoder.vertex, "density": encoder.density}
    n, paths, word = N_VERTICES[encoder.density], [], "_simulated" if encoder.simulated else ""
    for name, values in result.maps.items():
        mesh = whole(np.asarray(values, dtype=float), **at)
        for side, (letter, structure) in enumerate(SIDES):
            path = out / f"hemi-{letter}_{name}.func.gii"
            paths.append(write_func_gii(path, mesh[side * n : (side + 1) * n], name, encoder.simulated, structure))
    title = f"{encoder.backbone_name} on {encoder.info.get('subject')}"
    outlines = {name: full_index(**at)[np.asarray(mask, bool)] for name, mask in encoder.rois.items()}
    degrees = encoder.info.get("image_degrees") or 8.4
    known = {name: values for name, values in result.maps.items() if np.isfinite(values).any()}
    drawn = result_maps(known, **at, context=title, image_degrees=degrees)
    for name, brain_map in zip(known, drawn, strict=True):
        path = out / f"flat_{name}{word}.png"
        paths.append(flat_png(brain_map, path, rois=outlines, simulated=encoder.simulated))
    return paths
