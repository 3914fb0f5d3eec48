"""Two networks of the page Compare: what changes from one to the other, a swipe between them, before and after fine-tuning."""

from dataclasses import asdict, replace

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from factortopy import analysis
from factortopy.analysis.measures import MEASURES, known
from factortopy.finetune.named import label
from pages import shared
from pages.compare_grid import brain
from pages.compare_numbers import table

HEIGHT = 480
VIEWS = ("What changes", "Swipe")
WORDS = {
    "vertices": "places that both predict", "layer_equal": "same best layer", "layer_near": "same or next layer",
    "layer_r": "mean layer, r", "space": "where they look, median distance (of the width)", "scale_r": "scale, r",
    "score_r": "brain score R², r",
}  # fmt: skip


def two(encoders, scale, begin=()):
    """What changes between two of the networks, or both under a line that can be dragged. ``begin``: those shown at first."""
    st.subheader("Two networks")
    a, b, c = st.columns([3, 3, 2], vertical_alignment="bottom")
    names = [*begin, *(n for n in encoders if n not in begin)]
    first = a.selectbox("From", names, 0, key="first", help="The map shows what changes from this one …")
    second = b.selectbox("to", [n for n in names if n != first], 0, key="second", help="… to this one.")
    view = c.segmented_control(
        "Show", VIEWS, default=VIEWS[0], key="compared two", required=True,
        help="What changes: the second minus the first, and which is better where. Swipe: the map chosen above, the first network left of "
        "a line that you can drag, the second right of it.",
    )  # fmt: skip
    one, other = encoders[first], encoders[second]
    left, right = st.columns([2, 1], gap="medium")
    with left:
        if view == "Swipe":
            swipe(one, other, (first, second), scale)
        else:
            brain(
                changes(one, other, (first, second), scale.measure),
                one,
                key=f"difference-{first}-{second}",
                height=HEIGHT,
            )
        st.markdown(shared.plain(analysis.moved_in_words(one, other, names=(first, second))))
    with right:
        alike(one, other)


def changes(one, other, names, measure):
    """BrainMaps of the differences: layer, score, scale, confidence; and which network is better."""
    from factortopy.view import difference_map, value_map

    first, second = names
    at, both = (one.hemi, one.vertex), shared.painted(one) & shared.painted(other)
    shown = {
        "density": one.density,
        "context": f"{first} and {second} on {'simulated ' if one.simulated else ''}subject {one.info.get('subject')}",
    }
    maps = [value_map(analysis.layer_shift(one, other), *at, name="Layer shift", label="shift of the mean layer, share of the depth",
                      what="Where later layers (red) or earlier ones (blue) are used", palette="blue-red", symmetric=True, painted=both,
                      ends=(f"earlier in {second}", f"later in {second}"), **shown)]  # fmt: skip
    minus = {"painted": both, "names": (second, first), **shown}
    if measure in known(one) and measure in known(other):
        of = MEASURES[measure].of
        maps.append(
            difference_map(of(other), of(one), *at, label=f"difference of {measure}", name="Brain score", **minus)
        )
    factors = other.selectors(), one.selectors()
    maps.append(difference_map(*(f.scale for f in factors), *at, label="difference of scale", name="Scale", **minus))
    confidence = (f.layer_confidence for f in factors)
    maps.append(difference_map(*confidence, *at, label="difference of confidence", name="Confidence", **minus))
    if measure in known(one) and measure in known(other):
        maps.append(_winner(analysis.best_network({first: one, second: other}, measure), names, at, **shown))
    return maps


def swipe(one, other, names, scale):
    """The chosen map of both, left and right of a line."""
    maps = [(name, scale.made(encoder)) for name, encoder in zip(names, (one, other), strict=True)]
    missing = [name for name, made in maps if made is None]
    if missing:
        st.info(
            f"{shared.plain(' and '.join(missing))}: there is no map {scale.kind} of this layer. Choose another one above."
        )
        return
    maps = [replace(made, name=name, group=name, title=_side(name, scale.kind, made)) for name, made in maps]
    key = f"swipe-{scale.kind}-{scale.layer}-{'-'.join(names)}"
    brain(maps, one, key=key, height=HEIGHT, map=names[0], swipe=names[1], layout="flat")


def _side(name, kind, made):
    """A title that stands beside another one: whose map, which, how many vertices."""
    return f"{name.replace(' · ', ', ')}: {kind} · {made.title.split(' · ')[-1]}"


def alike(one, other):
    """How alike the two are, in numbers."""
    told = asdict(analysis.agreement(one, other))
    st.markdown("**How alike they are**")
    for key, value in told.items():
        if value is not None and np.isfinite(value):
            st.markdown(f"{WORDS[key]}: **{f'{value:,}' if key == 'vertices' else f'{value:.2f}'}**")
    if told["layer_equal"] is None:
        st.caption("The networks have different numbers of layers, so only the mean layer is compared.")


def _winner(best, names, at, *, context, density):
    from factortopy.view import cluster_map

    made = cluster_map(best, *at, context=context, density=density)
    legend = made.legend | {"label": "better predicted by", "names": list(names), "note": "grey: predicted by neither"}
    return replace(made, name="Better network", group="Better network", title=f"Which network predicts each place better · {context}",
                   legend=legend, words={"label": "better predicted by", "names": list(names)})  # fmt: skip


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
    table(rows, "before_after", encoders)
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
        table(kept, "slope_lost", encoders)
