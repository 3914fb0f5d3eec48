"""The numbers behind a plotly chart as tidy rows: one a point, columns named as the axes."""

import numpy as np


def numbers(figure, simulated=False):
    """Rows of a chart.

    Parameters
    ----------
    figure : plotly figure of scatter, bar and heatmap traces
        Traces that hovering skips are guides, not data, and are left out. ``layout.meta["columns"]`` ({"x": …, "y": …,
        "z": …, "text": …}) names what has no title.
    simulated : bool
        The first column.

    Returns
    -------
    list of dict
        simulated; series, where traces have names; one column an axis ("name" for one of words without a title); error,
        where there are error bars; label, where points have words of their own.
    """
    rows = []
    for trace in figure.data:
        if trace.hoverinfo != "skip":
            rows += [{"simulated": bool(simulated)} | row for row in _points(figure, trace)]
    return rows


def as_csv(figure, simulated=False):
    """``numbers`` as CSV text; empty where there is no number."""
    import pandas as pd

    return pd.DataFrame(numbers(figure, simulated)).to_csv(index=False, lineterminator="\n")


def _points(figure, trace):
    series = {"series": trace.name} if trace.name else {}
    if trace.type == "heatmap":
        z, y = np.asarray(trace.z), _values(trace.y, len(trace.z))
        x = _values(trace.x, z.shape[1])
        columns = [_column(figure, trace, axis, values) for axis, values in (("x", x), ("y", y), ("z", z))]
        for j, b in enumerate(y):
            for i, a in enumerate(x):
                yield series | dict(zip(columns, (a, b, _plain(z[j][i])), strict=True))
        return
    n = (
        max(len(values) for values in (trace.x, trace.y) if values is not None)
        if trace.x is not None or trace.y is not None
        else 0
    )
    x, y = _values(trace.x, n), _values(trace.y, n)
    columns = _column(figure, trace, "x", x), _column(figure, trace, "y", y)
    words = trace.customdata if trace.customdata is not None and np.ndim(trace.customdata) == 1 else None
    error = next((bars.array for bars in (trace.error_y, trace.error_x) if bars.array is not None), None)
    for k in range(n):
        row = series | {columns[0]: x[k], columns[1]: y[k]}
        if error is not None:
            row["error"] = _plain(error[k])
        if words is not None:
            row["label"] = str(words[k])
        yield row


def _values(values, n):
    """(n,) plain values; plotly counts from 0 where there are none."""
    return [_plain(one) for one in values] if values is not None else list(range(n))


def _plain(value):
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _column(figure, trace, axis, values):
    """What a column is called: a given name, the axis' title, or what it is."""
    meta = figure.layout.meta
    given = meta.get("columns", {}).get(axis) if isinstance(meta, dict) else None
    if given:
        return given
    if axis == "z":
        return trace.colorbar.title.text or "value"
    name = f"{axis}axis" + (getattr(trace, f"{axis}axis") or axis)[1:]
    title = figure.layout[name].title.text
    return title or ("name" if len(values) and all(isinstance(one, str) for one in values) else axis)
