"""Channel clusters on the page Explore: how many, one to look at, its areas, its pictures, its colour on the brain."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.parts import address, pictures_save, saving
from pages.parts.background import tasks
from pages.parts.brain import choose_place, chosen_index, rows_of, shown_of
from pages.parts.runs import version
from pages.parts.task_panel import time_left, watch
from pages.parts.words import plain

FEWEST, MOST = 2, 50
AT_ONCE = 1.0  # seconds that the page waits before it shows progress
ALL = "all of them"
WORDS = (
    "Places are put together when their weights on the network's channels are alike, whatever layer and place of the picture "
    "they read (k-means, then Ward's tree; paper, section 4.5). More clusters only divide those that there are. Numbers change "
    "with how many there are; colours stay."
)


@dataclass(frozen=True)
class Clusters:
    """labels : (N,) int, −1 outside; colours : (k,) number of each one's colour"""

    labels: np.ndarray
    colours: np.ndarray

    @property
    def number(self):
        return len(self.colours)

    def of(self, index):
        """The cluster of a vertex; None outside."""
        return None if index is None or self.labels[index] < 0 else int(self.labels[index])


def scored_labels(encoder):
    """(N,) the clusters that the run was scored with; None where it has none."""
    labels = (encoder.scores or {}).get("clusters")
    return labels.astype(int) if labels is not None and (labels >= 0).any() else None


def most(encoder):
    """Largest number that can be asked for."""
    return min(MOST, int((scored_labels(encoder) >= 0).sum()) // 4)


def wanted(encoder):
    """The number that was asked for here or by the address, else that of the run."""
    usual = int(scored_labels(encoder).max()) + 1
    asked = address.initial("clusters", address.number)
    return usual if asked is None else max(FEWEST, min(asked, max(usual, most(encoder))))


def clusters_of(run, encoder):
    """The Clusters to show: as many as are wanted, or those of the run while these are being made; None without any."""
    labels = scored_labels(encoder)
    if labels is None:
        return None
    usual = Clusters(labels, np.arange(int(labels.max()) + 1))
    number = wanted(encoder)
    if number == usual.number:
        return usual
    tree = tree_of(run, encoder)
    return usual if tree is None or number > tree.most else Clusters(*tree.coloured(number, labels))


def key_of(run):
    return f"clusters {version(run)}"


def tree_of(run, encoder):
    """The run's ClusterTree; None while it is being made, was stopped or failed."""
    from factortopy.analysis.clusters import kept_tree

    key = key_of(run)
    task = tasks.find(key)
    if task is None:
        task = tasks.start(key, lambda task: kept_tree(encoder, on_progress=task.report))
        task.wait(AT_ONCE)
    return task.result if task.state == "finished" else None


def brain_map(encoder, clusters):
    """The map for the brain: the cluster of the selected place in its colour, all of them when none is."""
    from factortopy.view.cluster_maps import chosen_cluster_map

    return chosen_cluster_map(
        clusters.labels, clusters.colours, encoder.vertices, **shown_of(encoder),
        only=clusters.of(chosen_index(encoder)),
    )  # fmt: skip


def panel(run, encoder, rois, gallery, clusters):
    """Beside the brain while it shows the clusters."""
    here = clusters.of(chosen_index(encoder))
    choose(run, encoder, clusters, here)
    if here is None:
        overview(encoder, rois, clusters)
    else:
        one(encoder, rois, gallery, clusters, here)


def choose(run, encoder, clusters, here):
    """How many, and which one."""
    left, right = st.columns(2, gap="small")
    top = max(most(encoder), int(scored_labels(encoder).max()) + 1)
    st.session_state["clusters box"] = wanted(encoder)
    if st.session_state["clusters"] is not None:  # the address says it
        address.write(clusters=wanted(encoder))
    left.number_input(
        "Clusters", FEWEST, top, key="clusters box", help=WORDS, on_change=lambda: ask(st.session_state["clusters box"])
    )
    names = [ALL, *range(clusters.number)]
    size = np.bincount(clusters.labels[clusters.labels >= 0])
    st.session_state["cluster box"] = ALL if here is None else here
    right.selectbox(
        "Look at", names, key="cluster box", on_change=lambda: look_at(encoder, clusters, st.session_state["cluster box"]),
        format_func=lambda k: k if k == ALL else f"{k + 1} ({size[k]:,})",
        help="A click on the brain chooses too; Escape shows all of them again. In brackets: places.",
    )  # fmt: skip
    task = tasks.find(key_of(run))
    if clusters.number != wanted(encoder) and task is not None:
        if task.active:
            watch(key_of(run), far, "stop clusters")
        else:
            st.caption(plain(task.error) if task.error else "Stopped.")
            if st.button("Make them", icon=":material/replay:"):
                tasks.forget(key_of(run))
                st.rerun()


def ask(number):
    """Want another number."""
    st.session_state["clusters"] = number


def look_at(encoder, clusters, cluster):
    """Select the place of a cluster that is predicted best; nothing for all of them."""
    if cluster == ALL:
        choose_place(None)
        return
    inside = np.flatnonzero(clusters.labels == cluster)
    score = encoder.scores.get("score")
    best = inside[0] if score is None else inside[np.nanargmax(np.nan_to_num(score[inside], nan=-np.inf))]
    choose_place(int(rows_of(encoder)[best]))


def far(task):
    """How far the tree is."""
    return (
        "Waiting for other work to end"
        if task.state == "waiting"
        else f"Comparing channels{time_left(task, 'at most')}"
    )


def overview(encoder, rois, clusters):
    """All clusters: which areas each lies in."""
    from factortopy.analysis import cluster_areas

    st.caption("Click a place to see its cluster alone: where else it lies, and which pictures drive it.")
    rows = cluster_areas(clusters.labels, rois)
    areas = [name for name, mask in rois.items() if (mask & (clusters.labels >= 0)).any()]
    if not areas:
        st.caption("No area is known here to compare them with.")
        return
    share = [[row[name] for name in areas] for row in rows]
    scale = {"thickness": 8, "tickformat": ".0%", "nticks": 4, "outlinewidth": 0, "xpad": 4}
    figure = go.Figure(
        go.Heatmap(
            x=areas, y=[str(row["cluster"]) for row in rows], z=share,
            colorscale="Blues", zmin=0, zmax=float(np.max(share)), colorbar=scale,
            hovertemplate="cluster %{y}: %{z:.0%} of it in %{x}<extra></extra>",
        ),
    )  # fmt: skip
    saving.chart(
        figure, "clusters by area", encoder.simulated, max(240, min(480, 60 + 17 * len(rows))), "Share of each cluster by area",
        xaxis={"title": None, "tickangle": -60}, yaxis={"title": "cluster", "autorange": "reversed", "type": "category"},
        meta={"columns": {"x": "area", "z": "share of the cluster"}},
    )  # fmt: skip


def one(encoder, rois, gallery, clusters, here):
    """One cluster: size, the pictures that drive it, the areas it lies in."""
    from factortopy.analysis import cluster_overlap
    from factortopy.view.cluster_maps import cluster_colours

    mask = clusters.labels == here
    left = int((encoder.hemi[mask] == 0).sum())
    st.markdown(
        f"**Cluster {here + 1}** · {left:,} places left, {int(mask.sum()) - left:,} right",
        help="Places far apart can read the same channels: that is what a cluster shows.",
    )
    if gallery is not None:
        pictures_save.top(encoder, gallery, mask, f"cluster {here + 1} of {clusters.number}")
    rows = cluster_overlap(clusters.labels, here, rois)
    if not rows:
        st.caption("It lies in none of the named areas.")
        return
    red, green, blue = cluster_colours(clusters.colours)[here]
    shown, inside = rows[:8], np.any(list(rois.values()), axis=0)[mask].mean()
    figure = go.Figure(
        go.Bar(
            y=[row["roi"] for row in shown], x=[row["of_cluster"] for row in shown], orientation="h",
            marker_color=f"rgb({red},{green},{blue})", hovertemplate="%{x:.0%} of the cluster lies in %{y}<extra></extra>",
        ),
    )  # fmt: skip
    saving.chart(
        figure, "areas of the cluster", encoder.simulated, 76 + 20 * max(3, len(shown)),
        f"Where it lies · {inside:.0%} in named areas", yaxis={"title": None, "autorange": "reversed"},
        xaxis={"title": None, "tickformat": ".0%", "rangemode": "tozero"}, meta={"columns": {"x": "share of the cluster", "y": "area"}},
    )  # fmt: skip
    saving.table(
        [
            {"area": row["roi"], "places": row["vertices"], "of the cluster": row["of_cluster"], "of the area": row["of_area"]}
            for row in rows
        ],
        f"cluster {here + 1} of {clusters.number} by area",
        encoder.simulated,
        column_config={
            "of the cluster": st.column_config.NumberColumn(help="Share of the cluster that lies in the area."),
            "of the area": st.column_config.NumberColumn(help="Share of the area's predicted places."),
        },
        percents=("of the cluster", "of the area"),
    )  # fmt: skip


def numbers(encoder, rois, clusters):
    """Under the brain: all clusters by area."""
    from factortopy.analysis import cluster_areas

    with st.expander("Clusters in numbers" + (" (simulated subject)" if encoder.simulated else "")):
        st.caption("Share of each cluster that lies in each area; areas may overlap.")
        saving.table(
            cluster_areas(clusters.labels, rois), f"{clusters.number} clusters by area", encoder.simulated, percents=list(rois),
        )  # fmt: skip
