"""Charts and tables of the page Compare: the chosen place, scores by area, hierarchy, layers, a diffusion network's time steps."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from factortopy import analysis
from factortopy.analysis.measures import MEASURES, R2
from factortopy.analysis.scores import ceiling_note, painted
from factortopy.analysis.slope import LEVELS
from factortopy.errors import InputError
from factortopy.report import slopes
from pages.parts import saving
from pages.parts.brain import chosen_index, chosen_vertex, describe_vertex, say_unknown_place
from pages.parts.words import TERMS, plain

LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}  # grows upwards, away from the chart
BY_CHANCE = (
    "Chance up to: neighbouring places are alike, so that unrelated maps look alike too. One map is turned on the sphere of the cortex, "
    "200 times; 5 % of the turned maps are more alike than this number, each hemisphere by itself, then the mean. A "
    "figure that is not above it says nothing."
)
NO_CHANCE = "What chance would reach is not known here: there are too few or too scattered places to turn the maps."
ROW = 20  # pixels that a row of the legend takes


def simulated(encoders):
    """Was the subject a simulated one? Encoders that are compared are of one kind."""
    return next(iter(encoders.values())).simulated


def layout(figure, height, entries, **axes):
    """A chart's size, with room for a legend of that many names above it."""
    top = 10 + ROW * (-(-entries // 4))
    figure.update_layout(height=height + top, margin={"l": 0, "r": 0, "t": top, "b": 0}, legend=LEGEND, **axes)


def place(encoders, measure):
    """What each network has learnt of the place that is selected; says how to select one."""
    first = next(iter(encoders.values()))
    index = chosen_index(first)
    if index is None:
        if chosen_vertex() is None:
            st.caption("Click a place on a brain: a table here tells what each network has learnt of it.")
        say_unknown_place()
        return
    st.markdown(f"**{plain(describe_vertex(first, index))}**", help=TERMS["vertex"])
    in_degrees = all(e.info.get("image_degrees") for e in encoders.values())
    unit, rows = ", degrees" if in_degrees else ", of the picture's half-width", []
    for name, e in encoders.items():
        row = {"network": name, measure: float(MEASURES[measure].of(e)[index])}
        if e.has_selectors:
            f = e.selectors()
            row["best layer"] = f"{f.layer_argmax[index] + 1} of {f.layer.shape[1]}"
            row |= {"confidence": float(f.layer_confidence[index]), "scale": float(f.scale[index])}
            half = e.info["image_degrees"] / 2 if in_degrees else 1.0
            row |= {f"looks right{unit}": f.space[index, 0] * half, f"looks up{unit}": -f.space[index, 1] * half}
        rows.append(row | {"above chance": bool(painted(e)[index])})
    table(rows, "place", encoders)


def scores(encoders, measure):
    """Brain score by area, and distance to the best."""
    chosen = MEASURES[measure]
    st.subheader("Brain score by area", help=f"**{measure}**: {chosen.words}")
    rows = analysis.scores_by_roi(encoders, measure=measure)
    figure = go.Figure([go.Bar(name=name, x=[r["roi"] for r in rows], y=[r[name] for r in rows]) for name in encoders])
    if np.isfinite([r["ceiling"] for r in rows]).any():
        figure.add_scatter(x=[r["roi"] for r in rows], y=[r["ceiling"] for r in rows], name="noise ceiling", mode="markers",
                           marker={"symbol": "line-ew-open", "size": 22, "color": "grey"})  # fmt: skip
    for note in dict.fromkeys(filter(None, map(ceiling_note, encoders.values()))):
        st.caption(f"{note[0].upper()}{note[1:]}.")
    layout(figure, 300, len(encoders) + 1, yaxis_title=f"{chosen.average} {chosen.label}")
    saving.chart(figure, "scores", simulated(encoders))
    if simulated(encoders):
        st.caption("This subject is simulated: its high-level areas answer to categories by construction; networks trained on them have an "
                   "advantage.")  # fmt: skip
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**{chosen.average.capitalize()} {chosen.label}**", help=chosen.words)
        table(
            rows, "scores" if measure == R2 else f"scores_{measure.split(' ')[0].lower().replace('²', '2')}", encoders
        )
    with right:
        st.markdown("**Difference to the best**", help=f"Root mean square over the area's places of the best {chosen.label} of all chosen "
                    "networks minus this one's (paper, Table 1). 0: always the best one. By luck alone all are above 0, also where "
                    "networks are equally good: the report has it with the best chosen on other pictures.")  # fmt: skip
        table(analysis.distance_to_best(encoders, measure=measure), "distance_to_best", encoders)


def floors(encoders):
    """``analysis.agreement_floors`` of a list of encoders, kept: turning maps takes seconds."""
    return _floors([_compared(encoder) for encoder in encoders], encoders)


def _compared(encoder):
    """What of an encoder is compared; its readout may not be loaded here."""
    factor, score = encoder.selectors(), encoder.scores.get("score")
    return encoder.vertices.rows, painted(encoder), factor.layer, factor.scale, score


@st.cache_data(max_entries=64, show_spinner=False)
def _floors(key, _encoders):
    return analysis.agreement_floors(_encoders)


def beside(row, form):
    """A figure's value by hemisphere and what chance reaches, in words."""
    return f"by hemisphere {row['value']:{form}}, chance up to {row['floor']:{form}}"


def hierarchy(encoders, fitted):
    """Do later areas read later layers? The order of areas can be edited; returns {area: level} where it was, else None.

    fitted : callable(name, levels) -> ``Hierarchy``; InputError where a network has none
    """
    st.subheader("Hierarchy slope")
    rois = next(iter(encoders.values())).rois
    usual = {name: level for name, level in LEVELS.items() if name in rois}
    left, right = st.columns([1, 2], gap="medium")
    with left:
        st.caption("Level of each area, from 0 (early) to 1 (late); empty: left out.")
        frame = pd.DataFrame({"area": list(rois), "level": [usual.get(name) for name in rois]})
        column = st.column_config.NumberColumn(min_value=0.0, max_value=1.0, format="%.2f")
        edited = st.data_editor(
            frame, hide_index=True, disabled=["area"], key="levels", height="content", column_config={"level": column}, placeholder="",
        )  # fmt: skip
        levels = {row.area: float(row.level) for row in edited.itertuples() if pd.notna(row.level)}
    rows, figure = [], go.Figure()
    for name in encoders:
        try:
            fit = fitted(name, levels)
        except InputError as error:
            right.caption(plain(error))
            continue
        rows.append(slopes.row(name, fit))
        figure.add_scatter(x=[0, 1], y=[fit.b0, fit.b1], mode="lines", name=name)
    with right:
        if rows:
            across = {"title": "level of the area", "range": [-0.02, 1.02], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
            layout(figure, 260, len(rows), xaxis=across, yaxis_title="mean layer (0 first, 1 last)")
            saving.chart(figure, "slopes", simulated(encoders))
            table(pd.DataFrame(rows).dropna(axis=1, how="all"), "hierarchy", encoders)  # of one fit each: no interval
            st.caption(slopes.about(rows))
    return None if levels == usual else levels


def layers(encoders):
    """Share of vertices by layer."""
    st.subheader("Which layers are used")
    figure = go.Figure()
    for name, encoder in encoders.items():
        share = analysis.layer_shares(encoder)
        figure.add_scatter(x=np.linspace(0, 1, len(share)), y=share, name=name, mode="lines+markers",
                           customdata=encoder.layer_names, hovertemplate="%{customdata}: %{y:.0%}<extra>" + name + "</extra>")  # fmt: skip
    axis = {"title": "share of places", "tickformat": ".0%"}
    layout(figure, 240, len(encoders), xaxis_title="depth (0 first layer, 1 last)", yaxis=axis)
    saving.chart(figure, "shares", simulated(encoders))


def time_steps(encoders):
    """A diffusion network's runs at several time steps: brain score by area and step; one layer over time: which steps are read."""
    from factortopy.analysis.time_steps import by_step, chosen_steps, step_of

    diffusion = {
        name: seen for name, e in encoders.items() if e.scores and (seen := step_of(e.backbone_name)) is not None
    }
    parts = {}
    for name, (part, step) in diffusion.items():
        parts.setdefault(part, {})[step] = encoders[name]
    over_time = [name for name, (_, step) in diffusion.items() if step is None and encoders[name].has_selectors]
    parts = {part: {s: e for s, e in of.items() if s is not None} for part, of in parts.items()}
    if not over_time and not any(len(of) > 1 for of in parts.values()):
        return
    st.subheader("Time steps of a diffusion network")
    st.caption("T = 50 is the clean picture, T = 0 noise.")
    for part, of in parts.items():
        if len(of) > 1:
            rows, steps = by_step(of), sorted(of)
            figure = go.Figure(
                [
                    go.Scatter(x=steps, y=[row[f"T {t}"] for t in steps], name=row["roi"], mode="lines+markers")
                    for row in rows
                ]
            )
            saving.chart(figure, f"steps {part}", simulated(encoders), 280, xaxis_title="T", yaxis_title="mean R²")
            table(rows, f"time_steps_{part or 'all'}", encoders)
    for name in over_time:
        st.markdown(f"**Steps that each area reads: {plain(name)}**")
        table(chosen_steps(encoders[name]), f"steps_read_{name.replace(':', '_')}", encoders)


def table(rows, name, encoders, **options):
    """Rows about networks of one kind of subject, with three decimals, all of them seen, to save as CSV."""
    saving.table(rows, name, simulated(encoders), decimals=3, **{"height": "content"} | options)
