"""A map's words on paper: title, the legend in the shape of its quantity, the mark "simulated", by matplotlib."""

import numpy as np

from factortopy.surfaces.meshes import load_mesh
from factortopy.view.brainmap import DARKEST
from factortopy.wording import PROGRAM

HEAD, FOOT = 0.55, 1.35  # inches above and below the picture
LEAST_WIDTH = 4.0  # inches that title and legend need
CENTIMETRE = 1 / 2.54  # inches
NAME_ID = "region-name-"  # how the ids of regions' names begin in a drawing
_RIM = f'[id^="{NAME_ID}"] text{{paint-order: stroke; stroke: #fff; stroke-width: 2px}}</style>'


def sheet(brain_map, width, inches, dpi, simulated):
    """A figure with title, legend and mark, and the box of the picture itself.

    Parameters
    ----------
    brain_map : BrainMap
    width, inches : float
        Width of the sheet and height of the picture on it, in inches.

    Returns
    -------
    figure, [left, bottom, width, height]
        The box as shares of the figure, for ``figure.add_axes``.
    """
    from matplotlib.figure import Figure

    height = HEAD + inches + FOOT
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    figure.text(0.02, 1 - 0.14 / height, brain_map.title, va="top", fontsize=8.5, wrap=True, parse_math=False)
    if simulated:
        mark(figure, 0.98, 0.22 / height)
    if load_mesh(brain_map.density).preview:
        words = "preview surface: folding detail interpolated"
        figure.text(0.98, 0.07 / height, words, ha="right", fontsize=6.5, color="0.35")
    _draw_legend(figure, brain_map, width, height)
    return figure, [0, FOOT / height, 1, inches / height]


def mark(figure, x, y):
    """The word "simulated", its lower right corner at (x, y) of the figure."""
    badge = {"boxstyle": "round,pad=.3", "facecolor": "#f0b429", "edgecolor": "none"}
    figure.text(x, y, "simulated", ha="right", va="bottom", fontsize=9, weight="bold", bbox=badge)


def _draw_legend(figure, brain_map, width, height):
    legend = brain_map.legend
    box = lambda x, y, w, h: [x / width, y / height, w / width, h / height]  # noqa: E731 (inches from the lower left)
    axes = figure.add_axes(box(0.75, 0.62, 2.4, 0.45))
    shape = legend["shape"]
    is_round = shape in ("square", "wheel")  # words go round it, so the label stands beside it
    figure.text((2.3 if is_round else 0.75) / width, (0.7 if is_round else FOOT - 0.18) / height, legend["label"],
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


def print_figure(figure, kind, title, simulated):
    """Bytes of a figure as "png" or "svg", with what it shows in the file's own metadata."""
    from io import BytesIO

    import matplotlib

    picture, origin = BytesIO(), "simulated" if simulated else "measured"
    if kind == "png":
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure).print_png(picture, metadata={"Title": title, "Software": PROGRAM, "Comment": origin})
        return picture.getvalue()
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    facts = {"Title": title, "Creator": PROGRAM, "Description": f"{origin} data", "Date": None}
    # Words stay words, to be searched and edited; the same picture gives the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": PROGRAM}):
        FigureCanvasSVG(figure).print_svg(picture, metadata=facts)
    return _shorter(picture.getvalue().decode()).encode()


def _shorter(svg):
    """Paths with hundredths of a point: matplotlib writes six decimals, and lines for spaces."""
    import re

    def path(match):
        return re.sub(r"(\.\d\d)\d+", r"\1", match.group(0)).replace("\n", "")

    return re.sub(r'\bd="[^"]*"', path, svg).replace("</style>", _RIM, 1)
