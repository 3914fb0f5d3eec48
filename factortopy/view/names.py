"""Names of regions on a printed map, set so that no two cover each other."""

from factortopy.view.legend_picture import NAME_ID

LINES = (0, 1.05, -1.05, 2.1, -2.1)  # places that are tried, in heights of a name above its region's middle


def write_names(axes, names, size, kind="png"):
    """Write names where they belong, or a line higher or lower where another one stands; what finds no room is left out.

    Parameters
    ----------
    axes : matplotlib Axes, its limits set
    names : list of (x, y, name, weight, row)
        Middle of the region in the axes' data, its name, how large it is (larger ones choose first), and a number of its own.
    size : float
        Points.
    kind : str
        "svg": the rim of the letters is left to ``print_figure``, since matplotlib would make paths of them.

    Returns
    -------
    list of str
        The names that stand there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke

    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    window, taken, written = axes.get_window_extent(renderer), [], []
    for x, y, name, _, row in sorted(names, key=lambda one: -one[3]):
        # parse_math: a region's name is text as typed, never a formula.
        text = axes.text(
            x, y, name, fontsize=size, ha="center", va="center", weight="bold", clip_on=True, parse_math=False
        )
        box = text.get_window_extent(renderer)
        if not window.overlaps(box):
            text.remove()
            continue
        free = (line for line in LINES if not any(box.translated(0, line * box.height).overlaps(one) for one in taken))
        line = next(free, None)
        if line is None:
            text.remove()
            continue
        low, high = axes.transData.inverted().transform([(0, 0), (0, line * box.height)])[:, 1]
        text.set_y(y + high - low)
        taken.append(box.translated(0, line * box.height))
        written.append(name)
        if kind == "png":
            text.set_path_effects([withStroke(linewidth=size / 3.3, foreground="white")])
        else:
            text.set_gid(f"{NAME_ID}{row}")
    return written
