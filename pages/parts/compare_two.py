"""Two networks of the page Compare: what changes from one to the other, a swipe between them, before and after fine-tuning."""

from dataclasses import asdict, replace

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from factortopy import analysis
from factortopy.analysis.comparison import LEADS
from factortopy.analysis.measures import MEASURES, available
from factortopy.analysis.scores import painted
from factortopy.backbones.finetuned import label
from pages.parts import address, compare_save, saving
from pages.parts.compare_grid import brain
from pages.parts.compare_numbers import BY_CHANCE, NO_CHANCE, beside, floors, simulated, table
from pages.parts.words import TERMS, plain

HEIGHT = 480
VIEWS = ("What changes", "Swipe")
WORDS = {
    "vertices": ("places that both predict", "Predicted above chance by both networks; the figures below are over these."),
    "layer_equal": ("same best layer", "Share of places whose layer with the largest weight is the same."),
    "layer_near": ("same or next layer", "Share of places whose best layers are the same or neighbours."),
    "layer_r": ("mean layer, r", "Correlation over places of the mean layer (layers weighted by their share). 1: the same order, 0: none."),
    "space": ("where they look, median distance (of the width)", "Between the points at which both networks look, in shares of a picture's "
              "width, over places where both read a detail (scale below 0.6)."),
    "scale_r": ("scale, r", "Correlation over places of the scale (0 a detail, 1 the whole picture)."),
    "score_r": ("brain score R², r", "Correlation over places of the brain scores: are the same places predicted well?"),
}  # fmt: skip


def two(encoders, scale, begin, runs):
    """What changes between two of the networks, or both under a line that can be dragged.

    ``begin``: those shown at first; ``runs`` {short name: run}, by which the address calls them.
    """
    st.subheader("Two networks")
    a, b, c = st.columns([3, 3, 2], vertical_alignment="bottom")
    words = {runs[name]: name for name in [*begin, *(n for n in encoders if n not in begin)]}
    names = list(words)
    address.restore("from", "compared from", names, names[0])
    first = a.selectbox(
        "From", names, format_func=words.get, key="compared from", help="The map shows what changes from this one …"
    )
    rest = [name for name in names if name != first]
    address.restore("to", "compared to", rest, rest[0])
    second = b.selectbox("to", rest, format_func=words.get, key="compared to", help="… to this one.")
    address.restore("show", "compared two", VIEWS, VIEWS[0])
    view = c.segmented_control(
        "Show", VIEWS, key="compared two", required=True,
        help="What changes: the second minus the first, and which is better where. Swipe: the map chosen above, the first network left of "
        "a line that you can drag, the second right of it.",
    )  # fmt: skip
    address.keep("from", "compared from", first, names[0])
    address.keep("to", "compared to", second, rest[0])
    address.keep("show", "compared two", view, VIEWS[0])
    first, second = words[first], words[second]
    one, other = encoders[first], encoders[second]
    left, right = st.columns([2, 1], gap="medium")
    with left:
        if view == "Swipe":
            swipe(one, other, (first, second), scale)
        else:
            maps = changes(one, other, (first, second), scale.measure)
            key = f"difference-{first}-{second}"
            brain([m for m, _ in maps], one, key=key, height=HEIGHT, comparing=False)
            pair = f"{second} minus {first}"
            compare_save.control([(pair, m, one, numbers) for m, numbers in maps], "difference")
        st.markdown(plain(analysis.moved_in_words(one, other, names=(first, second))))
    with right:
        alike(one, other)


def changes(one, other, names, measure):
    """[(BrainMap, {column: (N,)})] of the differences: layer, score, scale, confidence; and which network is better."""
    from factortopy.view import difference_map, value_map
    from factortopy.view.maps import shared_limit

    first, second = (name.replace(" · ", ", ") for name in names)  # dots separate the parts of a title
    both = painted(one) & painted(other)
    shown = {"context": f"{'simulated ' if one.simulated else ''}subject {one.info.get('subject')}"}
    moved = analysis.layer_shift(one, other)
    layer = value_map(moved, one.vertices, name="Layer shift", label="shift of mean layer, of the depth",
                      what=f"Where {second} uses later (red) or earlier layers (blue) than {first}", palette="blue-red", symmetric=True,
                      high=shared_limit([np.asarray(moved, float)[both]]), painted=both, ends=("earlier", "later"), **shown)  # fmt: skip
    maps = [(layer, {"shift of the mean layer": moved})]
    minus = {"painted": both, "names": (second, first), **shown}
    f, g = one.selectors(), other.selectors()
    pairs = [("Scale", "scale", g.scale, f.scale), ("Confidence", "confidence", g.layer_confidence, f.layer_confidence)]
    scored = measure in available(one) and measure in available(other)
    if scored:
        pairs.insert(0, ("Brain score", measure, MEASURES[measure].of(other), MEASURES[measure].of(one)))
    for name, what, after, before in pairs:
        drawn = difference_map(after, before, one.vertices, label=f"difference of {what}", name=name, **minus)
        maps.append((drawn, {f"difference of {what}": np.asarray(after, float) - np.asarray(before, float)}))
    if scored:
        best = analysis.best_network({first: one, second: other}, measure)
        numbers = {f"1: {names[0]}; 2: {names[1]}; 0: neither": np.asarray(best, float) + 1}
        ahead = analysis.lead({first: one, second: other}, measure)
        maps.append((_winner(best, ahead, names, one.vertices, **shown), numbers | {"lead": ahead}))
    return maps


def swipe(one, other, names, scale):
    """The chosen map of both, left and right of a line."""
    maps = [(name, scale.map_of(encoder)) for name, encoder in zip(names, (one, other), strict=True)]
    missing = [name for name, brain_map in maps if brain_map is None]
    if missing:
        st.info(
            f"{plain(' and '.join(missing))}: there is no map {scale.kind} of this layer. Choose another one above."
        )
        return
    maps = [replace(brain_map, name=name, group=name, title=_side(name, scale, brain_map)) for name, brain_map in maps]
    key = f"swipe-{scale.kind}-{scale.layer}-{'-'.join(names)}"
    brain(maps, one, key=key, height=HEIGHT, map=names[0], swipe=names[1], layout="flat", comparing=False)


def _side(name, scale, brain_map):
    """A title that stands beside another one: whose map, which, how many vertices."""
    what = f"weight of layer {scale.layer + 1}" if scale.kind == "Layer weight" else scale.kind
    return f"{name.replace(' · ', ', ')}: {what} · {brain_map.title.split(' · ')[-1]}"


def alike(one, other):
    """How alike the two are, in numbers."""
    agreement = asdict(analysis.agreement(one, other))
    by_chance = floors([one, other])
    st.markdown("**How alike they are**", help=BY_CHANCE)
    for key, value in agreement.items():
        if value is not None and np.isfinite(value):
            words, why = WORDS[key]
            number = f"{value:,}" if key == "vertices" else f"{value:.2f}"
            more = f" ({beside(by_chance[key], '.2f')})" if key in by_chance else ""
            st.markdown(f"{words}: **{number}**{more}", help=why)
    if not by_chance:
        st.caption(NO_CHANCE)
    if agreement["layer_equal"] is None:
        st.caption("The networks have different numbers of layers, so only the mean layer is compared.")


def _winner(best, ahead, names, vertices, *, context):
    """Which network is ahead, the fainter the smaller its lead."""
    from factortopy.view import cluster_map

    base = cluster_map(best, vertices, context=context)
    title = f"Which predicts each place better, {' or '.join(names).replace(' · ', ', ')} · {context}"
    legend = base.legend | {"label": "better predicted by", "names": list(names),
                            "note": f"the smaller the lead the fainter, full colour from {LEADS}; grey: predicted by neither"}  # fmt: skip
    alpha = np.round(255 * np.clip(np.nan_to_num(ahead, nan=LEADS) / LEADS, 0, 1)).astype(np.uint8)
    words = {"label": "better predicted by", "names": list(names),
             "alpha": {"label": "by", "low": 0.0, "high": LEADS, "decimals": 3, "open": True}}  # fmt: skip
    return replace(base, name="Better network", group="Better network", title=title,
                   alpha=vertices.whole(alpha, fill=0).astype(np.uint8), fade="ground", legend=legend, words=words)  # fmt: skip


def tuned_pairs(encoders):
    """{name after: name before} of networks that were fine-tuned, where the network as it was is chosen too, on the same subject."""
    out = {}
    for name, encoder in encoders.items():
        description = encoder.info.get("finetuned")
        same = [
            other for other, e in encoders.items()
            if description and other != name and label(e.info) == (description.get("began_as") or description.get("base"))
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
    rows, description = analysis.before_after(before, after), after.info["finetuned"]
    left, right = st.columns([2, 1], gap="medium")
    with left:
        areas = [r["roi"] for r in rows]
        figure = go.Figure([go.Bar(name=word, x=areas, y=[r[word] for r in rows]) for word in ("before", "after")])
        saving.chart(figure, "before and after", simulated(encoders), 280, yaxis_title="mean R²",
                     legend={"orientation": "h", "y": 1.15})  # fmt: skip
    with right:
        if accuracy := description.get("accuracy"):
            first, last = accuracy["before"]["all"], accuracy["after"]["all"]
            st.metric(
                f"Accuracy on {description['data']}", f"{last:.1%}", f"{last - first:+.1%}",
                help=f"Held-out pictures; the difference is to a linear classifier on the network as it was. By chance "
                f"{description['chance']:.0%}.",
            )  # fmt: skip
        st.metric("Brain score, mean R²", f"{rows[-1]['after']:.3f}", f"{rows[-1]['change']:+.3f}", help=TERMS["R²"])
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
        saving.chart(figure, "slope and loss", simulated(encoders), 260, xaxis_title="hierarchy slope before",
                     yaxis={"title": "share of the score lost", "tickformat": ".0%"})  # fmt: skip
        st.caption(f"Rank correlation {r:.2f}." if np.isfinite(r) else "A correlation needs three networks.")
        table(kept, "slope_lost", encoders)
