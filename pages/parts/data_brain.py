"""The Data page's brain: responses to the first pictures, measured maps and the noise ceiling, and the picture beside it."""

from dataclasses import replace

import numpy as np
import streamlit as st

from factortopy.subjects.area_sets import area_sets
from pages.parts.words import plain

HEIGHT = 640


def choose_outlines(preview):
    """Which areas are outlined; returns {name: (N,) bool}."""
    sets = area_sets(preview.rois)
    if len(sets) == 1:
        st.selectbox("Outlines", ["none"], disabled=True, help="No areas are known in these data.")
        return {}
    chosen = st.selectbox(
        "Outlines", list(sets), key="data outlines", format_func=lambda label: label[:1].upper() + label[1:],
        help="Which areas are outlined and named on the brain. The table below lists all of them.",
    )  # fmt: skip
    return {name: preview.rois[name] for name in sets[chosen]}


def brain(preview, key, rois):
    """Maps of the first pictures in one series, measured maps and the noise ceiling; returns the picture that is shown."""
    from factortopy.view import brain_view, response_map, score_map
    from factortopy.view.lab_maps import result_maps

    common = {"context": f"{preview.findings.subject}"}
    limit = max(0.5, float(np.percentile(np.abs(preview.responses), 99)))
    later = f", {preview.delays} later" if preview.delays else ""
    maps = [
        response_map(
            row,
            preview.vertices,
            limit=limit,
            name=name,
            what=f"Mean response to {name}{later}",
            verb="of the data set",
            **common,
        )
        for name, row in zip(preview.names, preview.responses, strict=True)
    ]
    maps = [replace(one, group="Responses") for one in maps]
    if preview.ceiling is not None:
        finite = np.isfinite(preview.ceiling)
        ceiling = score_map(preview.ceiling, preview.vertices, painted=finite, **common)
        title = f"Noise ceiling: the best R² that any model can reach · {preview.findings.subject}"
        maps.append(replace(ceiling, name="Noise ceiling", group="Noise ceiling", title=title))
    maps += result_maps(preview.maps or {}, preview.vertices, **common)
    seen = brain_view(
        maps, rois=preview.vertices.roi_rows(rois), key=key, height=HEIGHT, group="data",
        simulated=preview.simulated, density=preview.vertices.density, report=("map",),
    )  # fmt: skip
    return preview.names.index(seen.map) if seen.map in preview.names else 0


def one_picture(preview, chosen):
    """The picture whose responses are on the brain."""
    name, several = plain(preview.names[chosen]), f"The slider on the brain goes through {len(preview.names)}."
    if preview.delays:
        sentence = (
            f"**{name}** of a film; the brain shows the mean response {preview.delays} later, as blood answers slowly."
        )
    else:
        times = "once" if preview.repeats[chosen] == 1 else f"{preview.repeats[chosen]} times"
        where = f" {preview.part}" if preview.part else ""
        sentence = f"**{name}**, shown {times}{where}; the brain shows the mean response to it."
    if preview.pictures is None:
        st.caption(f"{sentence} {several}")
    else:
        picture, words = st.columns(2)  # small enough for the box that it lies in
        picture.image(preview.pictures[chosen], width="stretch")
        words.caption(f"{sentence} {several}")
    if preview.order is not None:
        (st.warning if preview.order.suspicious else st.caption)(f"Order: {plain(preview.order.sentence())}.")
