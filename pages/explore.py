"""Explore: what does this network look like on this brain?"""

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image, ImageDraw

from factortopy.analysis.scores import painted
from pages.parts import address, explore_clusters, pictures_save, saving, take_away
from pages.parts.brain import (
    choose_areas,
    choose_place,
    chosen_index,
    chosen_roi,
    draw_brain,
    rois_at,
    rows_of,
    say_unknown_place,
    shown_of,
)
from pages.parts.guard import guard
from pages.parts.runs import choose_run, encoder_at, load_encoder, load_gallery, version
from pages.parts.words import TERMS, plain

HEIGHT = 680
CLUSTERS = "Clusters"  # the view's map of that name
OTHER_SCORES = ("Pearson r", "R² / noise ceiling")  # of analysis.measures
SHORT = {"Pearson r": "r", "R² / noise ceiling": "R²/ceiling"}
CENTRAL = 0.02  # of half the picture's width: nearer to its centre a polar angle says nothing
FURTHER = (
    "Pearson's r of measured and predicted responses; R² as a share of the noise ceiling, where that is 0.1 or more; a place's "
    "eccentricity (distance from the picture's centre, in shares of half its width where its size in degrees is not known) and "
    "polar angle (counter-clockwise from the right). Where scale is near 1 the place says little."
)


@st.cache_resource(max_entries=4, show_spinner=False)
def maps_of(path, stamp, safe):
    """All maps of a run but the clusters, made once."""
    from factortopy.view import selector_maps
    from factortopy.view.factor_maps import detail_maps

    encoder = encoder_at(path, stamp)
    of = (encoder.selectors() if encoder.has_selectors else None, encoder.vertices)
    shown = shown_of(encoder) | {"image_degrees": encoder.info.get("image_degrees")}
    first = selector_maps(*of, score=encoder.scores.get("score"), safe=safe, **shown)
    return first + detail_maps(*of, scores=other_scores(encoder), **shown)


def other_scores(encoder):
    """{name: (N,)} of what else says how well a place is predicted, as far as it is known."""
    from factortopy.analysis.measures import MEASURES, available

    return {name: MEASURES[name].of(encoder) for name in OTHER_SCORES if encoder.scores and name in available(encoder)}


def page():
    run = choose_run()
    encoder = load_encoder(run)
    with st.sidebar:
        safe = st.toggle(
            "Colour-blind safe layers",
            key="safe",
            help="Draws the layer map in colours that most people can tell apart.",
        )
    rois = choose_areas(encoder)
    maps = maps_of(*version(run), safe)
    clusters = explore_clusters.clusters_of(run, encoder) if encoder.has_selectors else None
    if clusters is not None:
        maps = [*maps, explore_clusters.brain_map(encoder, clusters)]
    own = take_away.titled(take_away.overlays(encoder.density)[0], encoder.simulated)
    new = bool(own) and st.session_state.get("overlay shown") != own[0].stamp
    st.session_state["overlay shown"] = own[0].stamp if own else None
    if not maps:
        st.info("This run has neither layers nor scores to paint: a baseline that was not scored. Choose another one.")
        return
    left, right = st.columns([2, 1], gap="medium")
    with left:
        draw_brain(
            [*maps, *own], encoder, key=f"explore-{run.name}", map_name=own[0].name if new else None, height=HEIGHT,
            group="explore", rois=rois, report=("vertex", "roi", "map", "camera"),
        )  # fmt: skip
        if not painted(encoder).any():
            untested = encoder.info.get("untested")
            st.info(
                f"The brain stays grey: {untested}."
                if untested
                else "No vertex is predicted above chance, so the brain stays grey. More pictures or another network may help."
            )
    index = chosen_index(encoder)
    area = chosen_roi()
    gallery = load_gallery(run)
    grouped = clusters is not None and address.text("map") == CLUSTERS
    with right, st.container(height=HEIGHT, border=False, gap="xsmall"):
        if grouped and beside() == "Cluster":
            explore_clusters.panel(run, encoder, rois, gallery, clusters)
        elif area in rois and rois[area].any():
            area_panel(encoder, area, rois[area], gallery)
        elif index is None:
            invitation(encoder)
        else:
            vertex_panel(encoder, rois, gallery, index)
    if grouped:
        explore_clusters.numbers(encoder, rois, clusters)
    by_area(encoder)
    take_away.panel(run, encoder)


def beside():
    """What the panel speaks of while the brain shows clusters."""
    kinds = ["Cluster", "Place"]
    return st.segmented_control(
        "Beside the brain", kinds, default=kinds[0], key="beside", required=True, label_visibility="collapsed",
        width="stretch",
    )  # fmt: skip


def invitation(encoder):
    """The empty panel: what to do, offered in one click."""
    say_unknown_place()
    st.subheader("Click a place on the brain")
    learnt = (
        "Each point of the cortex has learnt which layer of the network predicts it, where in the picture it looks, and "
        "whether it needs a detail or the whole picture."
        if encoder.has_selectors
        else "This run is a baseline: it predicts, but learns no layer and no place in the picture for a point of the cortex."
    )
    st.write(f"{learnt} Click one to see. Drag turns the brain, the wheel zooms.")
    st.write("Or start with an area:")
    best = encoder.scores.get("score")
    buttons = st.columns(3)
    shown = [name for name in ("V1", "V3", "LO", "EBA", "FFA", "PPA") if encoder.rois.get(name, np.zeros(1)).any()]
    for k, name in enumerate(shown or list(encoder.rois)[:6]):
        if buttons[k % 3].button(plain(name), width="stretch", key=f"start-{name}"):
            inside = np.flatnonzero(encoder.rois[name])
            pick = inside[np.nanargmax(best[inside])] if best is not None else inside[0]
            choose_place(int(rows_of(encoder)[pick]))
            st.rerun()
    if not encoder.has_selectors:
        return
    st.caption(
        "Bright: the weight lies on few layers (brightness is scaled to this run). Dark: spread over many, so the colour says "
        "little. Grey: not predicted above chance.",
        help=TERMS["above chance"],
    )


def vertex_panel(encoder, rois, gallery, index):
    """Everything known about one vertex, the most telling first and at once."""
    factor, info = encoder.selectors() if encoder.has_selectors else None, encoder.info
    side, vertex = encoder.vertices.place(index)
    with pictures_save.line():
        st.subheader(plain(", ".join(rois_at(rois, index))) or "Between areas", width="stretch")
        if gallery is not None:
            pictures_save.top_button(encoder, gallery, np.array([index]), f"{side} vertex {vertex}", "Pictures")
    st.caption(f"{side} hemisphere · vertex {vertex}", help=TERMS["vertex"])
    score, ceiling = encoder.scores.get("score"), encoder.noise_ceiling
    metrics(None if score is None else score[index], None if ceiling is None else ceiling[index],
            None if factor is None else factor.scale[index])  # fmt: skip
    further(encoder, np.array([index]))
    if gallery is not None:
        looking(gallery, factor, index, float(info.get("image_degrees") or 8.4))
    if factor is not None:
        saving.chart(layer_bars(encoder, index), "layer weights", encoder.simulated)
    if gallery is None:
        st.caption("This run has no held-out pictures to show.")
        return
    measured_and_predicted(encoder, gallery, index)


def metrics(score, ceiling, scale):
    """R², noise ceiling and scale of a place or an area; None where there is none."""
    with st.container(horizontal=True):  # wraps where the page is narrow
        st.metric("R²", "–" if score is None else figure(score), help=TERMS["R²"], width="content")
        has_ceiling = ceiling is not None and np.isfinite(ceiling)
        st.metric("Ceiling", f"{ceiling:.2f}" if has_ceiling else "–", help=TERMS["noise ceiling"], width="content")
        if scale is not None:
            st.metric("Scale", f"{scale:.2f}", help=TERMS["scale"], width="content")


def further(encoder, rows):
    """What the metrics leave out, in one line: the other scores, and where a single place looks."""
    parts = []
    for name, values in other_scores(encoder).items():
        here = values[rows][np.isfinite(values[rows])]
        parts.append(f"{SHORT[name]} {here.mean():.2f}" if len(here) else f"{SHORT[name]} –")
    if encoder.has_selectors and len(rows) == 1:
        x, y = encoder.selectors().space[rows[0]].astype(float)
        degrees = encoder.info.get("image_degrees")
        far = np.hypot(x, y) * (degrees / 2 if degrees else 1)
        parts.append(f"ecc. {far:.1f}°" if degrees else f"ecc. {far:.2f}")
        if np.hypot(x, y) > CENTRAL:
            parts.append(f"angle {np.degrees(np.arctan2(-y, x)) % 360:.0f}°")
    if parts:
        st.caption(" · ".join(parts), help=FURTHER)


def looking(gallery, factor, index, image_degrees):
    """The picture that drives a vertex most, with the place where it looks, and the next four."""
    order = gallery.top(index, 5)
    first = gallery.pictures[order[0]]
    left, right = st.columns(2, gap="xsmall")
    with left:
        words = "" if factor is None else where_it_looks(factor, index, image_degrees)
        st.markdown("**Where it looks**" if words else "**Drives it most**", help=words or None)
        st.image(first if factor is None else marked(first, factor.space[index], factor.scale[index]), width="stretch")
    with right:
        st.markdown("**What drives it**", help="Of up to 120 test pictures, those with the largest predicted response; the first "
                    "one is on the left.")  # fmt: skip
        saving.picture_rows(gallery.pictures[order[1:]], 2)


def measured_and_predicted(encoder, gallery, index):
    """Predicted against measured responses of a vertex, a point a held-out picture."""
    measured, predicted = (np.asarray(kind[:, index], float) for kind in (gallery.measured, gallery.predicted))
    ends = [float(np.nanmin([measured, predicted])), float(np.nanmax([measured, predicted]))]
    figure = go.Figure(go.Scatter(x=measured, y=predicted, mode="markers", marker={"size": 5, "opacity": 0.7}, showlegend=False,
                                  customdata=[f"test picture {i}" for i in gallery.number],
                                  hovertemplate="%{customdata}: measured %{x:.2f}, predicted %{y:.2f}<extra></extra>"))  # fmt: skip
    figure.add_scatter(x=ends, y=ends, mode="lines", line={"dash": "dash", "color": "grey", "width": 1}, showlegend=False,
                       hoverinfo="skip")  # fmt: skip
    saving.chart(figure, "measured and predicted", encoder.simulated, 160, "Predicted against measured",
                 xaxis_title="measured", yaxis_title="predicted")  # fmt: skip


def area_panel(encoder, name, mask, gallery):
    """Everything known about the places of a region together."""
    rows = np.flatnonzero(mask)
    st.subheader(plain(name))
    left = int((encoder.hemi[rows] == 0).sum())
    st.caption(f"The whole region: {left:,} places left, {len(rows) - left:,} right. Means over them. Escape, or a click beside the "
               "names, leaves it.")  # fmt: skip
    means = [
        float(np.nanmean(values[rows])) if values is not None and np.isfinite(values[rows]).any() else None
        for values in (encoder.scores.get("score"), encoder.noise_ceiling)
    ]
    metrics(*means, encoder.selectors().scale[rows].mean() if encoder.has_selectors else None)
    further(encoder, rows)
    if gallery is None:
        st.caption("This run has no held-out pictures to show.")
    else:
        pictures_save.top(encoder, gallery, rows, name)
    if encoder.has_selectors:
        saving.chart(layer_bars(encoder, rows), "layer weights", encoder.simulated)


def figure(score):
    """A score for a metric; how far below −1 says nothing."""
    return "below −1" if score < -1 else f"{score:.2f}"


def where_it_looks(factor, index, image_degrees):
    """A vertex's place in the picture in words."""
    x, y = factor.space[index] * image_degrees / 2
    side, height = ("right" if x > 0 else "left"), ("below" if y > 0 else "above")
    words = f"Looks {abs(x):.1f}° {side} of and {abs(y):.1f}° {height} the centre"
    if factor.scale[index] > 0.7:
        words += "; but it reads mostly the whole picture, so the place says little"
    return words


def layer_bars(encoder, index):
    """Weights of the layers at one vertex, or their means over several."""
    from factortopy.view import colour

    factor = encoder.selectors()
    n_layers = factor.layer.shape[1]
    palette = colour.layers(n_layers, st.session_state.get("safe", False))
    figure = go.Figure(
        go.Bar(
            x=list(range(1, n_layers + 1)), y=factor.layer[np.atleast_1d(index)].mean(0),
            marker_color=[f"rgb({r},{g},{b})" for r, g, b in palette[:n_layers, :3]],
            customdata=encoder.layer_names, hovertemplate="%{customdata}: weight %{y:.2f}<extra></extra>",
        ),
    )  # fmt: skip
    saving.size(
        figure, 130, f"Layer weights · confidence {factor.layer_confidence[index].mean():.2f}",
        meta={"columns": {"x": "layer", "y": "mean weight"}}, yaxis={"title": None, "rangemode": "tozero"}, showlegend=False,
        xaxis={"title": None, "dtick": max(1, n_layers // 6), "tick0": 1, "tickangle": 0},
    )  # fmt: skip
    return figure


def marked(picture, space, scale, side=448):
    """The picture with a ring where the vertex looks, and a frame that grows stronger as it reads the whole picture."""
    image = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC).convert("RGBA")
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    x, y = ((np.asarray(space, dtype=float) + 1) / 2 * side).tolist()
    strength = int(255 * (1 - 0.75 * float(scale)))
    for radius, tone, width in ((26, (0, 0, 0), 7), (25, (255, 220, 60), 4)):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=(*tone, strength), width=width)
    draw.rectangle([3, 3, side - 4, side - 4], outline=(255, 220, 60, int(255 * float(scale))), width=5)
    return Image.alpha_composite(image, layer).convert("RGB")


def by_area(encoder):
    """The table under the brain: one row an area."""
    if not encoder.scores:
        return
    title = "Areas in numbers" + (" (simulated subject)" if encoder.simulated else "")
    box = st.expander(title, key="areas in numbers", on_change="rerun")  # a closed table would delay the brain
    if not box.open:
        return
    import pandas as pd

    from factortopy.analysis.scores import by_roi, ceiling_note

    rows = by_roi(encoder)
    table = pd.DataFrame(rows).dropna(axis=1, how="all")  # a baseline has no layers
    with box:
        saving.table(
            table, "areas", encoder.simulated, percents=[name for name in ("share",) if name in table],
            column_config={
                "vertices": st.column_config.NumberColumn("vertices", help=TERMS["vertex"]),
                "score": st.column_config.NumberColumn("mean R²", format="%.2f", help=TERMS["R²"]),
                "ceiling": st.column_config.NumberColumn("ceiling", format="%.2f", help=TERMS["noise ceiling"]),
                "share": st.column_config.NumberColumn("predicted", help=TERMS["above chance"]),
                "layer": st.column_config.NumberColumn("mean layer", format="%.1f", help=TERMS["layer"]),
                "confidence": st.column_config.NumberColumn("confidence", format="%.2f", help=TERMS["confidence"]),
                "scale": st.column_config.NumberColumn("scale", format="%.2f", help=TERMS["scale"]),
                "pearson": st.column_config.NumberColumn("mean r", format="%.2f", help="Pearson's r of measured and predicted responses."),
                "normalised": st.column_config.NumberColumn("R² / ceiling", format="%.2f", help="Where the noise ceiling is 0.1 or more."),
                "pearson_normalised": st.column_config.NumberColumn("r² / ceiling", format="%.2f", help="Where that is 0.1 or more."),
                "algonauts_2023": st.column_config.NumberColumn("Algonauts 2023", format="%.2f", help=TERMS["Algonauts 2023"]),
            },
        )  # fmt: skip
        if note := ceiling_note(encoder):
            st.caption(f"{note[0].upper()}{note[1:]}.")
        if rows[-1]["score"] < -1:
            st.caption("R² far below 0 is worse than telling the mean: the run had too few pictures or steps.")


guard(page)
