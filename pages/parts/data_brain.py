"""The Data page's brain: responses to the first pictures, measured maps and the noise ceiling, and the picture beside it."""

from dataclasses import replace

import numpy as np
import streamlit as st

from factortopy.subjects.areas import area_sets
from pages.parts.words import plain


def choose_outlines(found):
    """Which areas are outlined; returns {name: (N,) bool}."""
    sets = area_sets(found.rois)
    if len(sets) == 1:
        st.selectbox("Outlines", ["none"], disabled=True, help="No areas are known in these data.")
        return {}
    chosen = st.selectbox(
        "Outlines", list(sets), key="data outlines", format_func=lambda label: label[:1].upper() + label[1:],
        help="Which areas are outlined and named on the brain. The table below lists all of them.",
    )  # fmt: skip
    return {name: found.rois[name] for name in sets[chosen]}


def brain(found, key, rois, height):
    """Maps of the first pictures in one series, measured maps and the noise ceiling; returns the picture that is shown."""
    from factortopy.view import brain_view, response_map, score_map
    from factortopy.view.lab_maps import result_maps

    common = {"context": f"{found.findings.subject}"}
    limit = max(0.5, float(np.percentile(np.abs(found.responses), 99)))
    later = f", {found.delays} later" if found.delays else ""
    maps = [
        response_map(
            row,
            found.vertices,
            limit=limit,
            name=name,
            what=f"Mean response to {name}{later}",
            verb="of the data set",
            **common,
        )
        for name, row in zip(found.names, found.responses, strict=True)
    ]
    maps = [replace(one, group="Responses") for one in maps]
    if found.ceiling is not None:
        known = np.isfinite(found.ceiling)
        maps.append(replace(score_map(found.ceiling, found.vertices, painted=known, **common), name="Noise ceiling", group="Noise ceiling",
                            title=f"Noise ceiling: the best R² that any model can reach · {found.findings.subject}"))  # fmt: skip
    maps += result_maps(found.maps or {}, found.vertices, **common)
    seen = brain_view(
        maps, rois=found.vertices.roi_rows(rois), key=key, height=height, group="data",
        simulated=found.simulated, density=found.vertices.density, report=("map",),
    )  # fmt: skip
    return found.names.index(seen.map) if seen.map in found.names else 0


def one_picture(found, chosen):
    """The picture whose responses are on the brain."""
    name, several = plain(found.names[chosen]), f"The slider on the brain goes through {len(found.names)}."
    if found.delays:
        said = f"**{name}** of a film; the brain shows the mean response {found.delays} later, as blood answers slowly."
    else:
        times = "once" if found.repeats[chosen] == 1 else f"{found.repeats[chosen]} times"
        where = f" {found.part}" if found.part else ""
        said = f"**{name}**, shown {times}{where}; the brain shows the mean response to it."
    if found.pictures is None:
        st.caption(f"{said} {several}")
    else:
        picture, words = st.columns(2)  # small enough for the box that it lies in
        picture.image(found.pictures[chosen], width="stretch")
        words.caption(f"{said} {several}")
    if found.order is not None:
        (st.warning if found.order.suspicious else st.caption)(f"Order: {plain(found.order.sentence())}.")
