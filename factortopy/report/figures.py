"""Drawing with matplotlib, without pyplot's state: bars, lines, slopes, tables of colour, pictures, brains."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from factortopy.view import colour

SMALL, USUAL = 8, 9
INCHES = 9.0  # width of a figure
GREY = "#8a929b"
LEAST_SPAN = 0.1  # of the upright axis of lines
# Okabe and Ito's colours, which people with any colour deficiency tell apart, without the yellow; then darker ones.
NETWORKS = "#0072b2 #e69f00 #009e73 #cc79a7 #d55e00 #56b4e9 #5b4b8a #7f6000 #4d4d4d #8c1d40 #2f5d50 #9a7b4f".split()
MARK = "simulated data"


def colours(n):
    """``n`` colours for networks, the same ones for the same networks in every figure."""
    return [NETWORKS[k % len(NETWORKS)] for k in range(n)]


def of_clusters(n):
    """``n`` colours as a cluster map paints them."""
    return [tuple(c / 255) for c in colour.categories(max(1, n))[:n]]


def sheet(height, simulated, width=INCHES, **more):
    """An empty figure that says so when its data are simulated."""
    figure = Figure(figsize=(width, height), layout="constrained", **more)
    if simulated:
        figure.supxlabel(MARK, x=0.995, ha="right", fontsize=SMALL, color="#8a5a00")
    return figure


def plain(axes, xlabel="", ylabel="", title=""):
    """Names and light frames; text is never read as a formula."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.set_xlabel(xlabel, fontsize=USUAL)
    axes.set_ylabel(ylabel, fontsize=USUAL)
    axes.set_title(title, fontsize=USUAL, loc="left", parse_math=False)
    return axes


def keyed(axes, n):
    """A legend above everything, in at most ``n`` columns; long names must not push the panels aside."""
    handles, names = axes.get_legend_handles_labels()
    n = max(1, min(n, 4, int(120 // (max(map(len, names), default=1) + 7))))
    form = {"ncols": n, "fontsize": SMALL, "frameon": False, "borderaxespad": 0.3}
    for word in axes.figure.legend(handles, names, loc="outside upper left", **form).get_texts():
        word.set_parse_math(False)


def bars(names, series, panels, simulated, marks=None):
    """Grouped bars, one panel under another.

    names : list of str, along x
    series : list of str, the bars of a group
    panels : list of (ylabel, {series name: values}), marks {ylabel: (values, word)} drawn as short lines
    """
    figure = sheet(0.6 + 2.1 * len(panels), simulated)
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    step, shades, places = 0.8 / max(1, len(series)), colours(len(series)), np.arange(len(names))
    for k, (one, (ylabel, values)) in enumerate(zip(axes, panels, strict=True)):
        for j, name in enumerate(series):
            at = places - 0.4 + step * (j + 0.5)
            one.bar(at, np.asarray(values[name], float), step * 0.94, color=shades[j], label=name)
        if ylabel in (marks or {}):
            height, word = marks[ylabel]
            one.hlines(height, places - 0.42, places + 0.42, color=GREY, lw=1.4, label=word)
        plain(one, ylabel=ylabel)
        one.axhline(0, color="black", lw=0.6)
        if k == 0:
            keyed(one, len(series) + 1)
    _named(axes[-1], names)
    return figure


def lines(panels, simulated, xlabel="", log=False, ticks=None, height=2.6, columns=None):
    """Panels of lines.

    panels : list of (ylabel, {name: (x, y)}); ticks : (places, words) along x
    """
    columns = columns or min(3, len(panels))
    figure, axes = _panels(len(panels), columns, 0.5, height, simulated)
    for k, (one, (ylabel, series)) in enumerate(zip(axes, panels, strict=True)):
        for shade, (name, (x, y)) in zip(colours(len(series)), series.items(), strict=True):
            one.plot(x, y, color=shade, marker="o", ms=3.5, lw=1.4, label=name)
        if log:
            one.set_xscale("log")
        if ticks is not None:
            one.set_xticks(ticks[0], ticks[1])
            one.minorticks_off()
        _spanned(one)
        plain(one, xlabel, ylabel)
        if k == 0 and (len(series) > 1 or any(series)):
            keyed(one, 4 if columns == 1 else 2)
    return figure


def points(panels, simulated, xlabel="", height=2.6):
    """Panels of named points.

    panels : list of (ylabel, {name: (x, y)}); what is not finite is left out
    """
    columns = min(3, len(panels))
    figure, axes = _panels(len(panels), columns, 0.7, height, simulated, INCHES if columns > 1 else 5.5)
    for k, (one, (ylabel, named)) in enumerate(zip(axes, panels, strict=True)):
        for shade, (name, (x, y)) in zip(colours(len(named)), named.items(), strict=True):
            if np.isfinite(x) and np.isfinite(y):
                one.plot(x, y, "o", color=shade, ms=6, label=name)
        _spanned(one)
        one.margins(x=0.15)
        plain(one, xlabel, ylabel)
        if k == 0 and one.lines:
            keyed(one, 1 if columns == 1 else 2)
    return figure


def scatters(panels, simulated, columns=4):
    """Predicted against measured, a square panel each; panels : list of (title, (n,) measured, (n,) predicted)."""
    columns = min(columns, len(panels))
    figure, axes = _panels(len(panels), columns, 0.5, 2.3, simulated)
    for k, (one, (title, measured, predicted)) in enumerate(zip(axes, panels, strict=True)):
        one.plot(measured, predicted, ".", ms=3.5, color=NETWORKS[0], alpha=0.6)
        both = np.concatenate([measured, predicted])
        both = both[np.isfinite(both)]
        low, high = (both.min(), both.max()) if len(both) else (0, 1)
        one.plot([low, high], [low, high], ls="--", lw=0.8, color=GREY)
        plain(one, "measured" if k >= len(panels) - columns else "", "predicted" if k % columns == 0 else "", title)
    return figure


def slopes(rows, simulated, areas=()):
    """Hierarchy: the fitted lines from b0 to b1, and the slopes with their intervals; rows of ``scoring.hierarchy_rows``.

    areas : rows of ``scoring.area_layers``, drawn as points beside the lines
    """
    figure = sheet(max(2.8, 0.8 + 0.32 * len(rows)), simulated)
    left, right = figure.subplots(1, 2)
    for k, (shade, row) in enumerate(zip(colours(len(rows)), rows, strict=True)):
        left.plot([0, 1], [row["b0"], row["b1"]], color=shade, lw=1.4, label=row["network"])
        seen = [(area["level"], area["mean layer"]) for area in areas if area["network"] == row["network"]]
        left.plot([x for x, _ in seen], [y for _, y in seen], "o", color=shade, ms=4)
        low, high = row["slope from"], row["slope to"]
        sides = None if low is None else [[row["slope"] - low], [high - row["slope"]]]  # one fit alone has no interval
        right.errorbar(row["slope"], k, xerr=sides, fmt="o", color=shade, ms=4, capsize=5)
    plain(left, "level of the area; points: areas", "mean layer (0 first, 1 last)").set_ylim(-0.02, 1.02)
    named = {}
    for area in areas:
        named.setdefault(area["level"], {})[area["roi"]] = None
    if named:
        left.set_xticks(list(named), ["\n".join(names) for names in named.values()], parse_math=False)
    over = " or ".join(sorted({row["interval over"] for row in rows if row["interval over"]}))
    bars = f"bars: 95 % over {over}" if over else "one fit each: no interval"
    plain(right, f"slope b1 − b0; {bars}").axvline(0, color="black", lw=0.6)
    right.set_yticks(range(len(rows)), [row["network"] for row in rows], parse_math=False)
    right.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def heat(values, rows, columns, label, simulated, low=None, high=None, palette="viridis", decimals=2, words=True):
    """A table of colours with its numbers; NaN stays white."""
    values = np.asarray(values, float)
    figure = sheet(1.0 + 0.28 * len(rows) + 0.3, simulated)
    axes = plain(figure.subplots())
    picture = axes.imshow(np.ma.masked_invalid(values), aspect="auto", cmap=palette, vmin=low, vmax=high)
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right", parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    if words and values.size <= 600:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                red, green, blue, _ = picture.cmap(picture.norm(value))
                shade = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"
                axes.text(j, i, f"{value:.{decimals}f}", ha="center", va="center", fontsize=7, color=shade)
    bar = figure.colorbar(picture, ax=axes, shrink=0.9, pad=0.01)
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


def pictures(grid, rows, columns, simulated, side=0.95, shades=None):
    """Pictures in a grid.

    grid : list of lists of (h, w) or (h, w, 3) arrays, 0…1 or uint8
    rows, columns : their titles; shades : colours of the rows' titles
    """
    from PIL import Image

    n, tile, gap = max(len(line) for line in grid), 112, 8
    sheet_of = np.full((len(grid) * (tile + gap) - gap, n * (tile + gap) - gap, 3), 255, np.uint8)
    for i, line in enumerate(grid):
        for j, image in enumerate(line):
            image = np.asarray(image)
            image = image if image.dtype == np.uint8 else np.round(image * 255).astype(np.uint8)
            image = np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image
            enlarged = np.asarray(Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST))
            sheet_of[i * (tile + gap) :, j * (tile + gap) :][:tile, :tile] = enlarged
    figure = sheet(0.5 + side * len(grid), simulated, width=min(INCHES, 1.4 + side * n))
    axes = figure.subplots()
    axes.imshow(sheet_of, interpolation="nearest")
    places = [(tile + gap) * k + tile / 2 for k in range(max(n, len(grid)))]
    axes.set_xticks(places[: len(columns)], columns, fontsize=SMALL, parse_math=False)
    axes.set_yticks(places[: len(grid)], rows, fontsize=SMALL, parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for word, shade in zip(axes.get_yticklabels(), shades or (), strict=False):
        word.set_bbox({"facecolor": (*shade, 0.55), "edgecolor": "none", "pad": 2.5})
    return figure


def brains(flat, maps, simulated, columns=None, outlines=None):
    """Maps side by side on the flattened hemispheres, one legend for all.

    flat : ``flatmap.Flat``; maps : {title: BrainMap}, of one kind and scale
    outlines : {ROI: (N,) bool}, with their names where two maps or fewer share the width
    """
    columns, alone = columns or (2 if len(maps) == 4 else min(len(maps), 3)), len(maps) == 1
    rows = -(-len(maps) // columns)
    borders, whole = flat.borders(outlines), 6.0 if alone else INCHES
    width = whole - 1.3
    figure = sheet(rows * (width / columns * flat.height / flat.width + 0.3) + 0.35, simulated, whole)
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[*[1] * columns, (0.24 if alone else 0.14) * columns])
    for k, (title, brain_map) in enumerate(maps.items()):
        axes = figure.add_subplot(grid[divmod(k, columns)])
        axes.imshow(flat.picture(brain_map, borders), interpolation="antialiased")
        axes.axis("off")
        axes.set_title(title, fontsize=SMALL, parse_math=False)
        if columns < 3:
            flat.name_regions(axes, outlines)
    legend(figure.add_subplot(grid[0, -1]), next(iter(maps.values())))
    return figure


def legend(axes, brain_map):
    """The legend of a map: a strip, the layers by confidence, the picture's places, a wheel or swatches."""
    key, palette = brain_map.legend, brain_map.palette / 255
    axes.tick_params(labelsize=7, length=2)
    axes.set_title("\n".join(_lines(key["label"])), fontsize=7, loc="left", parse_math=False)
    shape = key["shape"]
    if shape in ("strip", "grid"):
        bright, tall = (1, 5) if shape == "strip" else (np.linspace(0.22, 1, 12)[None, :, None], 2.2)
        axes.imshow(palette[::-1, None] * bright, aspect="auto", extent=(0, 1, 0, 1))
        axes.set_yticks([at for at, _ in key["ticks"]], [word for _, word in key["ticks"]])
        axes.yaxis.tick_right()
        axes.set_box_aspect(tall)
        axes.set_xticks([])
        if shape == "grid":
            axes.set_xticks([0, 1], [key["side"]["low"], key["side"]["high"]])
            axes.set_xlabel(key["side"]["label"], fontsize=7)
    elif shape == "square":
        axes.imshow(palette, extent=(-1, 1, 1, -1))
        axes.set_xticks([-1, 1], [key["low"], key["high"]])
        axes.set_yticks([-1, 1], [key["top"], key["bottom"]])
        axes.yaxis.tick_right()
    elif shape == "wheel":
        y, x = np.mgrid[1:-1:80j, -1:1:80j]
        turn = np.mod(np.degrees(np.arctan2(y, x)), 360) / 360
        ring = palette[np.round(turn * (len(palette) - 1)).astype(int)]
        radius = np.hypot(x, y)
        axes.imshow(np.dstack([ring, (radius < 1) & (radius > 0.4)]), extent=(-1, 1, -1, 1))
        axes.axis("off")
    else:
        names = key["names"]
        tall = -(-len(names) // 2)
        for k, name in enumerate(names):
            x, y = 0.5 * (k // tall), 1 - (k % tall + 1) / max(tall, 12)
            axes.add_patch(Rectangle((x, y), 0.12, 0.6 / max(tall, 12), color=palette[k % len(palette)]))
            axes.text(x + 0.16, y, name, fontsize=6, va="bottom", parse_math=False)
        axes.axis("off")


def _panels(n, columns, rest, height, simulated, width=INCHES):
    """A figure of ``n`` panels in a grid, ``height`` inches a row and the ``rest`` for legends, and their axes."""
    rows = -(-n // columns)
    figure = sheet(rest + height * rows, simulated, width)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for one in axes[n:]:
        one.remove()
    return figure, axes[:n]


def _spanned(axes):
    """Noise must not fill a panel."""
    low, high = axes.get_ylim()
    if high - low < LEAST_SPAN:
        axes.set_ylim((low + high - LEAST_SPAN) / 2, (low + high + LEAST_SPAN) / 2)


def _lines(label, most=16):
    """Words in lines of about ``most`` letters."""
    out = [""]
    for word in label.split():
        out = [*out[:-1], f"{out[-1]} {word}".strip()] if len(out[-1]) + len(word) < most else [*out, word]
    return [line for line in out if line]


def _named(axes, names):
    turned = {"rotation": 30, "ha": "right"} if len(names) > 8 else {"rotation": 0, "ha": "center"}
    axes.set_xticks(range(len(names)), names, parse_math=False, **turned)
