"""Rows of pictures and the small button that saves one: a zip of the row as PNG and of the numbers behind it as CSV."""

import numpy as np
import streamlit as st

from pages.parts import saving

MOST = 8  # pictures that drive something


def button(name, simulated, make, label="Save"):
    """Save a row. ``make`` gives pictures, their titles and the numbers' rows, and is asked when it is clicked."""
    from factortopy.report.picture_row import write_row

    file = saving.file_name(name, simulated)
    st.download_button(
        label, lambda: saving.zipped(lambda folder: write_row(folder, file, *make(), simulated)), f"{file}.zip", "application/zip",
        key=f"save {name}", on_click="ignore", type="tertiary", icon=":material/download:",
        help="The pictures as PNG and the numbers behind them as CSV, in a zip.",
    )  # fmt: skip


def line():
    """A line with a button at its end."""
    return st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")


def top(encoder, gallery, vertices, name):
    """The test pictures that drive some vertices most, with a button that saves them."""
    with line():
        st.markdown(
            "**What drives it most**",
            help="Of up to 120 test pictures, those with the largest mean predicted response.",
            width="content",
        )
        top_button(encoder, gallery, vertices, name)
    saving.picture_rows(gallery.pictures[gallery.top(vertices, MOST)], 4)


def top_button(encoder, gallery, vertices, name, label="Save"):
    """The button alone. ``vertices`` (m,) int or (N,) bool."""

    def make():
        order = gallery.top(vertices, MOST)
        response = gallery.predicted[:, vertices].astype(np.float32).mean(1)[order]
        image = [int(i) for i in gallery.number[order]]
        rows = [
            {"of": name, "rank": k + 1, "test picture": i, "mean predicted response": float(value)}
            for k, (i, value) in enumerate(zip(image, response, strict=True))
        ]
        return gallery.pictures[order], [f"{i}\n{value:+.2f}" for i, value in zip(image, response, strict=True)], rows

    button(f"pictures that drive {name}", encoder.simulated, make, label)
