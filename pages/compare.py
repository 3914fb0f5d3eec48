"""Compare: what did the objective, the size, the data or the fine-tuning of a network change?"""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from factortopy import analysis
from factortopy.analysis.comparison import same_vertices
from factortopy.analysis.hierarchy import LEVELS
from factortopy.errors import InputError
from factortopy.finetune.named import label
from pages import shared

HEIGHT = 360
MAPS = ("Layer", "Space", "Scale", "Brain score")
MOST = 12


def page():
    runs = shared.finished_runs()
    linked(runs)
    with st.sidebar:
        names = st.multiselect(
            "Networks", list(runs), format_func=lambda name: shared.run_label(runs[name]), max_selections=MOST,
            key="compared", help="Fitted encoders of one subject, or of subjects with the same vertices.",
        )  # fmt: skip
        st.caption("All views turn together, and share their colours: brightness and scales mean the same in each.")
    if not names:
        st.info("Choose at least one fitted network on the left. More come from **Train**.")
        st.page_link("pages/train.py", label="Train an encoder", icon=":material/model_training:")
        return
    encoders = {title(runs[name], runs, names): shared.load_encoder(runs[name]) for name in names}
    try:
        same_vertices(encoders)
    except InputError as error:
        st.error(shared.plain(error))
        return
    kind = st.segmented_control("Map", MAPS, key="compared map", label_visibility="collapsed", required=True)
    grid(encoders, kind)
    factorized = {name: e for name, e in encoders.items() if e.has_selectors}
    tuned = tuned_pairs(encoders)
    if len(factorized) > 1:
        difference(
            factorized,
            next(((before, after) for after, before in tuned.items() if {before, after} <= factorized.keys()), ()),
        )
    if tuned:
        tuning(encoders, tuned)
    scored = {name: e for name, e in encoders.items() if e.scores}
    if scored:
        scores(scored)
    if factorized:
        hierarchy(factorized)
        layers(factorized)
    time_steps(encoders)


def linked(runs):
    """What the address asks for, once: ?runs=A,B&map=Layer."""
    wanted = [name for name in (st.query_params.get("runs") or "").split(",") if name]
    asked = [name for name in wanted if name in runs]
    if len(asked) < len(wanted):
        gone = ", ".join(shared.plain(name[:60]) for name in wanted if name not in runs)
        st.warning(f"The address asks for runs that are not here, or not finished: {gone}.")
    if asked and st.session_state.get("compared link") != asked:
        st.session_state["compared link"] = st.session_state["compared"] = asked
    st.session_state.setdefault("compared", list(runs)[:3])
    shown = st.query_params.get("map")
    if shown in MAPS and st.session_state.get("compared map link") != shown:
        st.session_state["compared map link"] = st.session_state["compared map"] = shown
    st.session_state.setdefault("compared map", "Layer")


def title(run, runs, names):
    """Name of the network, or of the run where two runs have the same network."""
    info = run.info
    alike = [n for n in names if label(runs[n].info) == label(info)]
    return label(info) if len(alike) == 1 else run.name.removesuffix(f"_{info.get('subject')}")


# ---------------------------------------------------------------- maps


def grid(encoders, kind):
    """One linked view a network; brightness and scales are shared."""
    shown = {name: e for name, e in encoders.items() if e.has_selectors or kind == "Brain score"}
    for name in encoders.keys() - shown.keys():
        st.caption(f"{shared.plain(name)} is a baseline: it has a brain score and no other map.")
    columns = st.columns(min(3, max(1, len(shown))), gap="small")
    for k, (name, encoder) in enumerate(shown.items()):
        with columns[k % len(columns)]:
            st.markdown(f"**{shared.plain(name)}**")
            one_brain(made(encoder, kind, shown), encoder, f"compare-{k}-{kind}", HEIGHT)


def made(encoder, kind, encoders):
    """The map of a kind, on the scale that all encoders share."""
    from factortopy.view import layer_map, scale_map, space_map, value_map

    at = (encoder.hemi, encoder.vertex)
    common = {"painted": shared.painted(encoder), "context": shared.context_of(encoder), "density": encoder.density}
    if kind == "Layer":
        best = max(float(np.percentile(e.selectors().layer_confidence[shared.painted(e)], 98)) if shared.painted(e).any() else 0.2
                   for e in encoders.values())  # fmt: skip
        return layer_map(encoder.selectors(), *at, confidence_top=min(1.0, max(0.2, best)), **common)
    if kind == "Space":
        return space_map(encoder.selectors(), *at, image_degrees=encoder.info.get("image_degrees"), **common)
    if kind == "Scale":
        return scale_map(encoder.selectors(), *at, **common)
    top = max(float(np.nanpercentile(e.scores["score"], 99)) for e in encoders.values() if e.scores)
    score = encoder.scores.get("score", np.full(encoder.n_vertices, np.nan))
    return value_map(score, *at, name="Brain score", label="brain score R²", what="How well each place is predicted", low=0.0,
                     high=max(0.05, top), ends=("chance", ""), **common)  # fmt: skip


def one_brain(brain_map, encoder, key, height, layout="flat", controls="compact"):
    from factortopy.view import brain_view, whole_rois

    def clicked():
        shared.choose_vertex(getattr(st.session_state.get(key), "vertex", None))

    brain_view(
        [brain_map], rois=whole_rois(encoder.rois, encoder.hemi, encoder.vertex, encoder.density), key=key, height=height,
        group="compare", selected=shared.chosen_vertex(), simulated=encoder.simulated, density=encoder.density, layout=layout,
        controls=controls, report=("vertex",), on_change=clicked,
    )  # fmt: skip


def difference(encoders, begin=()):
    """Which layers moved, where, between two; and how alike they are. ``begin``: names of the two that are shown at first."""
    from factortopy.view import difference_map, value_map

    st.subheader("Two networks")
    a, b = st.columns(2)
    names = [*begin, *(n for n in encoders if n not in begin)]
    first = a.selectbox("From", names, 0, key="first", help="The map shows what changes from this one …")
    second = b.selectbox("to", [n for n in names if n != first], 0, key="second", help="… to this one.")
    one, two = encoders[first], encoders[second]
    at, degrees = (one.hemi, one.vertex), {"density": one.density}
    context = f"{first} and {second} on {'simulated ' if one.simulated else ''}subject {one.info.get('subject')}"
    both = shared.painted(one) & shared.painted(two)
    maps = [value_map(analysis.layer_shift(one, two), *at, name="Layer shift", label="shift of the mean layer, share of the depth",
                      what="Where later layers (red) or earlier ones (blue) are used", palette="blue-red", symmetric=True, painted=both,
                      context=context, ends=(f"earlier in {second}", f"later in {second}"), **degrees)]  # fmt: skip
    if one.scores and two.scores:
        maps.append(difference_map(two.scores["score"], one.scores["score"], *at, painted=both, context=context, names=(second, first),
                                   label="difference of R²", name="Brain score", **degrees))  # fmt: skip
        best = analysis.best_network({first: one, second: two})
        maps.append(_winner(best, (first, second), at, context, one.density))
    left, right = st.columns([2, 1], gap="medium")
    with left:
        shared.brain(maps, one, key=f"difference-{first}-{second}", height=480, group="compare")
    with right:
        told = asdict(analysis.agreement(one, two))
        words = {"vertices": "places that both predict", "layer_equal": "same best layer", "layer_near": "same or next layer",
                 "layer_r": "mean layer, r", "space": "where they look, median distance (of the width)", "scale_r": "scale, r",
                 "score_r": "brain score, r"}  # fmt: skip
        st.markdown("**How alike they are**")
        for key, value in told.items():
            if value is not None and np.isfinite(value):
                st.markdown(f"{words[key]}: **{f'{value:,}' if key == 'vertices' else f'{value:.2f}'}**")
        if told["layer_equal"] is None:
            st.caption("The networks have different numbers of layers, so only the mean layer is compared.")


def tuned_pairs(encoders):
    """{name after: name before} of networks that were fine-tuned, where the network as it was is chosen too, on the same subject."""
    out = {}
    for name, encoder in encoders.items():
        told = encoder.info.get("finetuned")
        same = [
            other for other, e in encoders.items()
            if told and other != name and label(e.info) == (told.get("began_as") or told.get("base"))
            and e.info.get("subject") == encoder.info.get("subject") and e.scores and encoder.scores
        ]  # fmt: skip
        if same:
            out[name] = same[0]
    return out


def tuning(encoders, pairs):
    """What fine-tuning did: scores and layers by area, slope against what was lost."""
    st.subheader("Before and after fine-tuning")
    name = next(iter(pairs))
    if len(pairs) > 1:
        name = st.selectbox("Network", list(pairs), key="tuned", help="Those whose network as it was is chosen too.")
    before, after = encoders[pairs[name]], encoders[name]
    rows, told = analysis.before_after(before, after), after.info["finetuned"]
    left, right = st.columns([2, 1], gap="medium")
    with left:
        areas = [r["roi"] for r in rows]
        figure = go.Figure([go.Bar(name=word, x=areas, y=[r[word] for r in rows]) for word in ("before", "after")])
        figure.update_layout(
            height=280,
            margin={"l": 0, "r": 0, "t": 10, "b": 0},
            yaxis_title="mean R²",
            legend={"orientation": "h", "y": 1.15},
        )
        shared.chart(figure, "before and after", next(iter(encoders.values())).simulated)
    with right:
        right_ = told.get("accuracy") or {}
        if right_:
            st.metric(
                f"Accuracy on {told['data']}", f"{right_['after']['all']:.1%}", f"{right_['after']['all'] - right_['before']['all']:+.1%}",
                help=f"Held-out pictures; the difference is to a linear classifier on the network as it was. By chance "
                f"{told['chance']:.0%}.",
            )  # fmt: skip
        st.metric(
            "Brain score, mean R²", f"{rows[-1]['after']:.3f}", f"{rows[-1]['change']:+.3f}", help=shared.WORDS["R²"]
        )
        if "moved" in rows[-1]:
            st.metric(
                "Layers moved by",
                f"{rows[-1]['moved']:.1%}",
                help="Mean of the absolute shift of the mean layer, in shares of the depth.",
            )
    table(rows, "before_after")
    if len(pairs) > 1:
        kept, r = analysis.lost({n: (encoders[b], encoders[n]) for n, b in pairs.items()})
        st.markdown(
            "**Hierarchy slope against the score that was lost**",
            help="The short paper: networks ordered as the brain is forget less.",
        )
        figure = go.Figure(
            [
                go.Scatter(
                    x=[row["slope"]], y=[row["share lost"]], name=row["network"], mode="markers", marker={"size": 11}
                )
                for row in kept
            ]
        )
        figure.update_layout(height=260, margin={"l": 0, "r": 0, "t": 10, "b": 0}, xaxis_title="hierarchy slope before",
                             yaxis={"title": "share of the score lost", "tickformat": ".0%"})  # fmt: skip
        shared.chart(figure, "slope and loss", next(iter(encoders.values())).simulated)
        st.caption(f"Rank correlation {r:.2f}." if np.isfinite(r) else "A correlation needs three networks.")
        table(kept, "slope_lost")


def time_steps(encoders):
    """A diffusion network's runs at several time steps: brain score by area and step; one layer over time: which steps are read."""
    from factortopy.analysis.time_steps import by_step, chosen_steps, step_of

    known = {name: seen for name, e in encoders.items() if e.scores and (seen := step_of(e.backbone_name)) is not None}
    parts = {}
    for name, (part, step) in known.items():
        parts.setdefault(part, {})[step] = encoders[name]
    over_time = [name for name, (_, step) in known.items() if step is None and encoders[name].has_selectors]
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
            figure.update_layout(
                height=280, margin={"l": 0, "r": 0, "t": 10, "b": 0}, xaxis_title="T", yaxis_title="mean R²"
            )
            shared.chart(figure, f"steps {part}", next(iter(encoders.values())).simulated)
            table(rows, f"time_steps_{part or 'all'}")
    for name in over_time:
        st.markdown(f"**Steps that each area reads: {shared.plain(name)}**")
        table(chosen_steps(encoders[name]), f"steps_read_{name.replace(':', '_')}")


def _winner(best, names, at, context, density):
    from factortopy.view import cluster_map

    made = cluster_map(best, *at, context=context, density=density)
    legend = made.legend | {"label": "better predicted by", "names": list(names), "note": "grey: predicted by neither"}
    return replace(made, name="Better network", group="Better network", title=f"Which network predicts each place better · {context}",
                   legend=legend, words={"label": "better predicted by", "names": list(names)})  # fmt: skip


# ---------------------------------------------------------------- numbers


def scores(encoders):
    """Brain score by area, and distance to the best."""
    st.subheader("Brain score by area")
    rows = analysis.scores_by_roi(encoders)
    figure = go.Figure([go.Bar(name=name, x=[r["roi"] for r in rows], y=[r[name] for r in rows]) for name in encoders])
    if np.isfinite([r["ceiling"] for r in rows]).any():
        figure.add_scatter(x=[r["roi"] for r in rows], y=[r["ceiling"] for r in rows], name="noise ceiling", mode="markers",
                           marker={"symbol": "line-ew-open", "size": 22, "color": "grey"})  # fmt: skip
    figure.update_layout(
        height=300,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        yaxis_title="mean R²",
        legend={"orientation": "h", "y": 1.15},
    )
    shared.chart(figure, "scores", next(iter(encoders.values())).simulated)
    if next(iter(encoders.values())).simulated:
        st.caption("This subject is simulated: its high-level areas answer to categories by construction; networks trained on them have an "
                   "advantage.")  # fmt: skip
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Mean R²**", help=shared.WORDS["R²"])
        table(rows, "scores")
    with right:
        st.markdown("**Difference to the best**", help="Root mean square over the area's places of the best R² of all chosen networks "
                    "minus this one's (paper, Table 1). 0: always the best one.")  # fmt: skip
        table(analysis.distance_to_best(encoders), "distance_to_best")


def hierarchy(encoders):
    """Do later areas read later layers? The order of areas can be edited."""
    st.subheader("Hierarchy slope")
    rois = next(iter(encoders.values())).rois
    known = {name: level for name, level in LEVELS.items() if name in rois}
    left, right = st.columns([1, 2], gap="medium")
    with left:
        st.caption("Level of each area, from 0 (early) to 1 (late); empty: left out.")
        frame = pd.DataFrame({"area": list(rois), "level": [known.get(name) for name in rois]})
        column = st.column_config.NumberColumn(min_value=0.0, max_value=1.0, format="%.2f")
        edited = st.data_editor(
            frame, hide_index=True, disabled=["area"], key="levels", height=260, column_config={"level": column}
        )
        levels = {row.area: float(row.level) for row in edited.itertuples() if pd.notna(row.level)}
    rows, figure = [], go.Figure()
    for name, encoder in encoders.items():
        try:
            found = analysis.hierarchy(encoder.selectors(), encoder.rois, levels, bootstrap=300)
        except InputError as error:
            right.caption(shared.plain(error))
            continue
        low, high = found.intervals["slope"]
        rows.append({"network": name, "b0": found.b0, "b1": found.b1, "slope": found.slope, "from": low, "to": high})
        figure.add_scatter(x=[0, 1], y=[found.b0, found.b1], mode="lines", name=name)
    with right:
        if rows:
            figure.update_layout(height=260, margin={"l": 0, "r": 0, "t": 10, "b": 0}, xaxis_title="level of the area",
                                 yaxis_title="mean layer (0 first, 1 last)")  # fmt: skip
            shared.chart(figure, "slopes", next(iter(encoders.values())).simulated)
            table(rows, "hierarchy")
            st.caption(
                "From and to: 95 % of bootstrap samples of vertices within areas. Neighbours are alike: subjects would vary more."
            )


def layers(encoders):
    """Share of vertices by layer."""
    st.subheader("Which layers are used")
    figure = go.Figure()
    for name, encoder in encoders.items():
        share = analysis.layer_shares(encoder)
        figure.add_scatter(x=np.linspace(0, 1, len(share)), y=share, name=name, mode="lines+markers",
                           customdata=encoder.layer_names, hovertemplate="%{customdata}: %{y:.0%}<extra>" + name + "</extra>")  # fmt: skip
    figure.update_layout(height=240, margin={"l": 0, "r": 0, "t": 10, "b": 0}, xaxis_title="depth (0 first layer, 1 last)",
                         yaxis={"title": "share of places", "tickformat": ".0%"})  # fmt: skip
    shared.chart(figure, "shares", next(iter(encoders.values())).simulated)


def table(rows, name):
    """Rows with three decimals, to save as CSV."""
    frame = pd.DataFrame(rows)
    shapes = {column: st.column_config.NumberColumn(format="%.3f") for column in frame.select_dtypes("float")}
    st.dataframe(frame, hide_index=True, width="stretch", column_config=shapes)
    st.download_button("Save (CSV)", frame.to_csv(index=False), f"{name}.csv", "text/csv", key=f"csv-{name}")


shared.guard(page)
