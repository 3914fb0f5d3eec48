"""Charts of a run as drawings (SVG) or pictures (PNG): score by region, layer by region, learning curve.

The app's charts are plotly's, which needs a browser of its own to write files; these are matplotlib's, of the same numbers.
"""

from pathlib import Path

import numpy as np

from factortopy.errors import InputError
from factortopy.storage.files import write_atomic
from factortopy.view.legend_picture import mark, print_figure

BLUE, GREY = "#3b6fb6", "#b9bec6"


def chart(path, draw, title, simulated, size=(6.0, 3.6), dpi=200):
    """Write what ``draw(axes)`` draws; SVG or PNG by the ending of ``path``. Returns the Path."""
    from matplotlib.figure import Figure

    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise InputError(f"{path}: expected a .svg or .png, found {kind or 'no ending'!r}; choose one of them")
    figure = Figure(figsize=size, dpi=dpi, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7, length=2)
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left", parse_math=False, wrap=True)
    draw(axes)
    if simulated:
        figure.get_layout_engine().set(rect=(0, 0.07, 1, 0.93))
        mark(figure, 0.985, 0.02)
    write_atomic(path, print_figure(figure, kind, title, simulated))
    return Path(path)


def score_chart(path, rows, title, simulated):
    """Mean brain score by region with its noise ceiling; ``rows`` as in run.json's ``scores``."""
    rows = [row for row in rows if row.get("score") is not None]

    def draw(axes):
        at = np.arange(len(rows))
        ceiling = [np.nan if row.get("ceiling") is None else row["ceiling"] for row in rows]
        axes.barh(at, [row["score"] for row in rows], color=BLUE, height=0.65, label="mean brain score R²")
        axes.plot(ceiling, at, "|", color="black", markersize=9, label="noise ceiling")
        axes.set_yticks(at, [_plain(row["roi"]) for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("R² on test pictures", fontsize=7.5)
        axes.legend(fontsize=7, frameon=False)

    return chart(path, draw, title, simulated, size=(6.0, 1.4 + 0.22 * len(rows)))


def layer_chart(path, selectors, rois, painted, title, simulated):
    """Mean weight of every layer in each region, over painted vertices; ``rois`` {name: (N,) bool}."""
    rois = {name: np.asarray(mask, bool) & painted for name, mask in rois.items()}
    rois = {name: mask for name, mask in rois.items() if mask.any()} or {"all": np.asarray(painted, bool)}
    weight = np.array([selectors.layer[mask].mean(0) for mask in rois.values()])

    def draw(axes):
        picture = axes.imshow(weight, aspect="auto", cmap="inferno", vmin=0)
        axes.set_yticks(range(len(rois)), [f"{_plain(name)} ({mask.sum():,})" for name, mask in rois.items()])
        n_layers = weight.shape[1]
        axes.set_xticks(range(n_layers), range(1, n_layers + 1))
        axes.set_xlabel("layer", fontsize=7.5)
        bar = axes.figure.colorbar(picture, ax=axes)
        bar.set_label("mean weight", fontsize=7.5)
        bar.ax.tick_params(labelsize=7)

    return chart(path, draw, title, simulated, size=(6.0, 1.4 + 0.22 * len(rois)))


def history_chart(path, history, title, simulated):
    """Loss and validation score over steps; ``history`` as ``Run.history()`` gives it."""

    def draw(axes):
        axes.plot(history.step, [np.nan if v is None else v for v in history.loss], color=GREY, linewidth=1.2)
        axes.set_ylabel("loss (grey)", fontsize=7.5)
        axes.set_xlabel("step", fontsize=7.5)
        score = np.array([np.nan if v is None else v for v in history.val_score], dtype=float)
        scored, right = np.isfinite(score), axes.twinx()
        right.plot(np.asarray(history.step)[scored], score[scored], "o-", color=BLUE, linewidth=1.2, markersize=2.5)
        right.set_ylabel("R² on validation pictures (blue)", fontsize=7.5)
        right.tick_params(labelsize=7, length=2)
        right.spines["top"].set_visible(False)

    return chart(path, draw, title, simulated)


def _plain(text):
    """Text as typed: tick labels have no switch for formulas."""
    return str(text).replace("$", r"\$")
