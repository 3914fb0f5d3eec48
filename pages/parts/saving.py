"""What is shown and can be saved where it is seen: charts, tables, rows of pictures, zips."""

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from factortopy.storage.names import any_script

HEAD = 24  # pixels above a chart, where its button and the word "simulated" stand, and nothing else
MORE = 20  # further pixels where a title or a legend stands below that line
UNSEEN = dict.fromkeys(("bgcolor", "color", "activecolor"), "rgba(0,0,0,0)")  # plotly's own button, which ours presses


def chart(figure, key, simulated, height=None, title=None, **layout):
    """A chart with a small button that saves it: PNG for print, SVG, and the numbers behind it as CSV.

    ``height`` in pixels, with it ``title`` and more of plotly's ``layout``, unless the figure has them. One of simulated data
    says so in the drawing, in the files' names and in the first column of the numbers.
    """
    from factortopy.view.chart_numbers import as_csv
    from factortopy.view.save_button import save_button

    if height is not None:
        size(figure, height, title, **layout)
    head(figure, simulated)
    name = file_name(key, simulated)
    config = {
        "displaylogo": False, "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "scale": 3, "filename": name},
    }  # fmt: skip
    with st.container(gap=None):
        save_button(name, as_csv(figure, simulated), f"save {key}")
        st.plotly_chart(figure, width="stretch", config=config, key=key)


def size(figure, height, title=None, **layout):
    """A figure's height in pixels, without plotly's wide margins; more of plotly's ``layout``."""
    if title is not None:
        layout["title"] = {"text": title, "font": {"size": 14}}
    margin = {"l": 0, "r": 0, "t": 26 if title else 10, "b": 0}
    figure.update_layout(**{"height": height, "margin": margin} | layout)


def head(figure, simulated):
    """A line above all else in a chart, for its button on the right; of simulated data it says so.

    The line belongs to the title or to the legend above the chart, whichever there is: plotly keeps room for these alone.
    """
    layout = figure.layout
    badge = f'<span style="font-size:10px;font-weight:400;color:#a07000">{"simulated" if simulated else " "}</span>'
    named = sum(trace.showlegend is not False for trace in figure.data) > 1  # plotly draws no legend of a single name
    legend = named if layout.showlegend is None else layout.showlegend
    above = legend and layout.legend.orientation == "h" and (layout.legend.y or 0) >= 1
    top = max(HEAD, layout.margin.t or 0) + (MORE if layout.title.text or above else 0)
    figure.update_layout(margin={"t": top, "l": max(8, layout.margin.l or 0)}, modebar=UNSEEN)
    if above:
        title = {"text": badge, "side": "top left"}
        figure.update_layout(
            legend={"title": title, "y": 1.02, "yanchor": "bottom"}
        )  # grows upwards, away from the chart
    elif layout.title.text:
        place = {"yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 12}}
        figure.update_layout(title={"text": f"{badge}<br>{layout.title.text}", **place})
    elif simulated:
        figure.add_annotation(
            text=badge, xref="paper", yref="paper", x=0, y=1, xanchor="left", yanchor="bottom", showarrow=False
        )


def table(rows, name, simulated, column_config=None, decimals=None, percents=(), **options):
    """A table and a button that saves it as CSV.

    ``rows`` a list of dicts or a frame; ``decimals`` of its figures, as they are shown; ``percents`` the shares that are
    shown as whole percents; ``options`` as for ``st.dataframe``. Of simulated data the file's name and a column say so, and so
    does the first column's name in what the table's own tool bar saves.
    """
    import pandas as pd

    frame = pd.DataFrame(rows)
    floats = frame.select_dtypes("float") if decimals is not None else ()
    columns = {name: st.column_config.NumberColumn(format=f"%.{decimals}f") for name in floats} | (column_config or {})
    saved = frame.assign(simulated=bool(simulated))
    saved = saved[["simulated", *(column for column in frame if column != "simulated")]]
    for column in percents:
        frame[column] = frame[column].round(2)
        columns[column] = dict(columns.get(column) or {}) | st.column_config.NumberColumn(format="percent")
    if "roi" in frame:  # the tidy name, which the CSV keeps
        columns["roi"] = {"label": "area"} | dict(columns.get("roi") or {})
    if simulated and len(frame.columns):
        first = str(frame.columns[0])
        columns[f"{first} (simulated)"] = {"label": first} | dict(columns.pop(first, None) or {})
        frame = frame.rename(columns={frame.columns[0]: f"{first} (simulated)"})
    st.dataframe(frame, hide_index=True, width="stretch", column_config=columns, **{"placeholder": ""} | options)
    st.download_button(
        "Save the table (CSV)", saved.to_csv(index=False, lineterminator="\n"), f"{file_name(name, simulated)}.csv", "text/csv",
        key=f"csv {name}", on_click="ignore",
    )  # fmt: skip


def picture_rows(pictures, columns):
    """Small pictures close together, so many in a row."""
    with st.container(gap="xxsmall"):
        for start in range(0, len(pictures), columns):
            for column, pixels in zip(
                st.columns(columns, gap="xxsmall"), pictures[start : start + columns], strict=False
            ):
                column.image(pixels, width="stretch")


def file_name(words, simulated):
    """A file's name of words, without an ending."""
    return any_script("-".join(f"{'simulated ' if simulated else ''}{words}".split()), 120)


def zipped(write):
    """Bytes of a zip of what ``write(folder)`` writes into a folder."""
    with TemporaryDirectory() as folder:
        write(folder)
        return zipped_folder(Path(folder))


def zipped_folder(folder):
    """Bytes of a zip of what a folder, a Path, holds."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()
