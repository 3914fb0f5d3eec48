"""The brain of a run: its areas, the place and the region that are selected on every page, and the view itself."""

import numpy as np
import streamlit as st

from factortopy.analysis.scores import painted
from pages.parts import address

OWN_AREAS = "FactorTopy's own fit (V1 to V3; hV4 a patch), patches around published centres"
MORE_ATLASES = (
    "The Benson, Wang and HCP-MMP atlases appear here when neuropythy's files are installed "
    "(pip install --no-deps neuropythy); see docs/subjects.md."
)


def context_of(encoder):
    """Network on subject, as part of every title."""
    kind = "simulated subject" if encoder.simulated else "subject"
    return f"{encoder.backbone_name} on {kind} {encoder.info.get('subject')}"


def rows_of(encoder):
    """(N,) rows of the whole mesh."""
    return encoder.vertices.rows


def shown_of(encoder):
    """What every map of an encoder is drawn with: the vertices that are painted, and what its title says of it."""
    return {"painted": painted(encoder), "context": context_of(encoder)}


def vertex_at(encoder, row):
    """Index among the encoder's vertices of a row of the whole mesh; None outside."""
    matches = np.flatnonzero(rows_of(encoder) == row) if row is not None else []
    return int(matches[0]) if len(matches) else None


def choose_areas(encoder):
    """The strip on the left: whose areas are outlined and named. Returns {name: (N,) bool}."""
    from factortopy.surfaces.atlases import available_atlases, load_atlas

    own = OWN_AREAS if encoder.simulated else "the data set's own areas"
    atlases = available_atlases()
    with st.sidebar:
        if not atlases:
            st.caption(f"**Areas** {own}", help=MORE_ATLASES)
            return encoder.rois
        chosen = st.selectbox(
            "Areas", [own, *atlases], format_func=lambda name: atlases.get(name, name), key="areas",
            help="Whose areas are outlined and named. Published atlases are group averages on fsaverage.",
        )  # fmt: skip
    if chosen == own:
        return encoder.rois
    rows = rows_of(encoder)
    masks = {name: mask[rows] for name, mask in load_atlas(chosen, encoder.density).items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def rois_at(rois, index):
    """Names of the ROIs that a vertex belongs to."""
    return [name for name, mask in rois.items() if mask[index]]


def say_unknown_place():
    """Why a click brought nothing; for where ``vertex_at`` knows no selected place."""
    if chosen_vertex() is not None:
        st.info("This place is not among the subject's vertices, so nothing is known about it. Click a coloured one.")


def describe_vertex(encoder, index):
    """A vertex in words."""
    names, (side, vertex) = rois_at(encoder.rois, index), encoder.vertices.place(index)
    return f"{', '.join(names) or 'between areas'}, {side} hemisphere, vertex {vertex}"


def chosen_vertex():
    """Row of the whole mesh that is selected, the same on every page; the address says it at first. None: nothing."""
    return address.initial("vertex", address.number)


def choose_vertex(row):
    """Select a row of the whole mesh; None and negative ones select nothing."""
    st.session_state["vertex"] = row if row is not None and row >= 0 else None


def choose_place(row):
    """Select a row of the whole mesh alone: a region that was selected as a whole is left."""
    choose_vertex(row)
    st.session_state["roi"] = None


def chosen_roi():
    """Name of the region that is selected as a whole, the same on every page; the address says it at first."""
    return address.initial("roi")


def chosen_index(encoder):
    """Index among the encoder's vertices of the one that is selected; None where none is, or another subject's."""
    return vertex_at(encoder, chosen_vertex())


def areas_of(encoder):
    """{name: (N,) bool} of the areas' painted vertices, where there are some."""
    shown = painted(encoder)
    return {name: mask & shown for name, mask in encoder.rois.items() if (mask & shown).any()}


def maps_at_rest(encoder):
    """What a page shows on the brain before it has a map of its own: the layers, where none are chosen the score."""
    from factortopy.view import layer_map, score_map

    shown = shown_of(encoder)
    if encoder.has_selectors:
        return [layer_map(encoder.selectors(), encoder.vertices, **shown)]
    return [score_map(encoder.scores.get("score", np.zeros(encoder.n_vertices)), encoder.vertices, **shown)]


def draw_brain(maps, encoder, *, key, rois=None, height=600, report=("vertex", "roi"), map_name=None, **options):
    """The brain view with this encoder's scores and its own or other ROIs; keeps vertex and map in the address.

    A click reaches ``chosen_vertex`` before the page is drawn again; so does a selected region ``chosen_roi``. ``map_name``
    makes the page choose the map; the address then says nothing of it. The camera is set once, from the address.
    """
    from factortopy.view import brain_view

    def clicked():
        state = st.session_state.get(key)
        choose_vertex(getattr(state, "vertex", None))
        st.session_state["roi"] = getattr(state, "roi", None)

    shown = map_name or getattr(st.session_state.get(key), "map", None) or address.text("map")
    shown = shown if shown in {m.name for m in maps} | {m.group for m in maps} else None
    score = encoder.scores.get("score") if encoder.scores else None
    seen = brain_view(
        maps, rois=encoder.vertices.roi_rows(encoder.rois if rois is None else rois), key=key, height=height,
        selected=chosen_vertex(), roi=chosen_roi(), camera=address.initial("camera"), map=shown,
        score=None if score is None else encoder.vertices.whole(score), simulated=encoder.simulated,
        density=encoder.density, report=report, on_change=clicked, **options,
    )  # fmt: skip
    values = {"vertex": chosen_vertex(), "roi": chosen_roi()} | ({} if map_name else {"map": seen.map or shown})
    if "camera" in report:
        values["camera"] = seen.camera
    address.write(**values)
