"""Channels: clusters and their pictures, both hemispheres, diversity (paper, 4.5, Figs. 7, 8)."""

import numpy as np

from factortopy import analysis
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import LEVELS
from factortopy.report import channel_images, figures
from factortopy.report.document import safe_name, vertex_rows
from factortopy.report.mapping import common
from factortopy.report.missing import RUNS, SUBJECT
from factortopy.view import cluster_map

CLUSTERS, TOP = 20, 6
PICTURES = {True: 3, False: 6}  # by quick


def section(doc, entries, flat, quick):
    """Everything about channels."""
    shown = [e for e in entries if e.encoder.has_selectors]
    whose = "Channels belong to one encoder: those of the first subject are shown where several are averaged."
    doc.section("Channels", whose)
    if not shown:
        doc.note("No network here has channel weights: baselines have none.", RUNS)
        return
    _hemispheres(doc, shown)
    _diversity(doc, shown)
    for entry in shown:
        labels = _clusters(doc, entry, flat)
        if labels is not None:
            _top_pictures(doc, entry, labels)
        channel_images.draw(doc, entry, labels, PICTURES[quick])


def _clusters(doc, entry, flat):
    """Clusters of a network on the brain and by ROI; (N,) labels."""
    encoder = entry.first
    labels = encoder.scores.get("clusters")
    labels = None if labels is None or len(entry.encoders) > 1 and not (labels >= 0).any() else np.asarray(labels, int)
    if labels is None or not (labels >= 0).any():
        n = int(painted(encoder).sum())
        if n < 8:
            doc.note(f"{entry.name}: no clusters, for only {n} vertices are predicted above chance.", SUBJECT)
            return None
        labels = analysis.channel_clusters(encoder, min(CLUSTERS, n // 4))
    rows = analysis.cluster_areas(labels, encoder.rois)
    maps = {entry.name: cluster_map(labels, **(common(entry) | {"painted": None}))}
    main_area = {row["cluster"]: max(encoder.rois, key=lambda n: row[n]) for row in rows} if encoder.rois else {}
    pure = [row[main_area[row["cluster"]]] for row in rows] if main_area else []
    shows = f"{len(rows)} clusters of {int((labels >= 0).sum()):,} vertices"
    shows += f"; {np.mean(np.array(pure) > 0.5):.0%} of them lie mostly in one area." if pure else "."
    name, title = safe_name(entry.name), f"Places that read the same channels: {entry.name}"
    drawn = figures.brains(flat, maps, doc.simulated, None, encoder.rois)
    places = vertex_rows(encoder, {"cluster": np.where(labels >= 0, labels + 1, 0)})
    doc.figure(f"clusters-{name}", title, drawn, places, shows, "After Fig. 7 (channel clusters)")
    if encoder.rois:
        areas = list(encoder.rois)
        shares, names = [[row[a] for a in areas] for row in rows], [f"{r['cluster']} ({r['vertices']})" for r in rows]
        drawn = figures.heat(shares, names, areas, "share of the cluster", doc.simulated, 0, 1)
        most = max(rows, key=lambda row: max(row[a] for a in areas))
        area = max(areas, key=lambda a: most[a])
        shows = f"Cluster {most['cluster']} lies most in one area: {most[area]:.0%} of it in {area}."
        title = f"Which areas each cluster lies in: {entry.name}"
        doc.figure(f"cluster-areas-{name}", title, drawn, rows, shows, "After Figs. 7 and 8")
    return labels


def _top_pictures(doc, entry, labels):
    """The test pictures that each cluster is predicted to answer to most."""
    gallery = entry.gallery
    if gallery is None:
        doc.note(f"{entry.name}: no pictures of clusters, for the run keeps no test pictures (its subject had none).")
        return
    response = _standard(np.asarray(gallery.predicted, np.float32))
    grid, rows = [], []
    for k in range(int(labels.max()) + 1):
        mean = response[:, labels == k].mean(1)
        best = np.argsort(-mean, kind="stable")[:TOP]
        grid.append([gallery.pictures[i] for i in best])
        rows += [
            {"cluster": k + 1, "rank": r, "picture": int(gallery.number[i]), "response": float(mean[i])}
            for r, i in enumerate(best, start=1)
        ]
    shades = figures.of_clusters(len(grid))
    drawn = figures.pictures(grid, [f"cluster {k + 1}" for k in range(len(grid))], [], doc.simulated, 0.75, shades)
    top = max(rows, key=lambda row: row["response"])
    shows = f"Of {len(gallery.image)} test pictures, by predicted answers; the strongest is that of cluster {top['cluster']}, "
    shows += f"{top['response']:.1f} standard deviations over its mean."
    title, paper = (
        f"Pictures that each cluster answers to most: {entry.name}",
        "After Figs. 7 and 8 (top images of clusters)",
    )
    doc.figure(f"top-pictures-{safe_name(entry.name)}", title, drawn, rows, shows, paper)


def _hemispheres(doc, entries):
    alike = {e.name: analysis.hemispheres_alike(e.first) for e in entries}
    names = [row["roi"] for row in next(iter(alike.values()))]
    if not names:
        needs = "areas with three vertices or more in both hemispheres"  # in findings too
        doc.note(f"Symmetry of channels needs {needs}; there are none here.")
        return
    labels = {"same": "cosine, left and right half", "other": "cosine to other areas"}
    panels = [(label, _by_roi(alike, names, key)) for key, label in labels.items()]
    drawn = figures.bars(names, list(alike), panels, doc.simulated)
    more = {name: sum(row["same"] > row["other"] for row in rows) for name, rows in alike.items()}
    counts = "; ".join(f"{name} in {more[name]} of {len(rows)} areas" for name, rows in alike.items())
    shows = f"An area's halves are more alike than its left half and the other areas' right halves: {counts} (by chance in about half)."
    title, paper = "Do both hemispheres read the same channels?", "After section 4.5 (symmetry of channels)"
    doc.figure("hemispheres", title, drawn, _together(alike), shows, paper)


def _diversity(doc, entries):
    diversity = {e.name: analysis.channel_diversity(e.first) for e in entries}
    diversity = {name: sorted(rows, key=lambda row: LEVELS.get(row["roi"], 2)) for name, rows in diversity.items()}
    names = [row["roi"] for row in next(iter(diversity.values()))]
    if not names:
        doc.note("Diversity of channels needs areas with three vertices or more; there are none here.")
        return
    ends = "; ".join(
        f"{name}: {rows[0]['roi']} {rows[0]['diversity']:.2f}, {_last(rows)['roi']} {_last(rows)['diversity']:.2f}"
        for name, rows in diversity.items()
    )
    panels = [("1 − mean cosine", _by_roi(diversity, names, "diversity"))]
    drawn = figures.bars(names, list(diversity), panels, doc.simulated)
    shows = f"0 all alike, 1 unrelated; areas of the hierarchy first, from early to late. {ends}."
    title, paper = "How differently the vertices of an area read", "After section 4.5 (diversity of channels)"
    doc.figure("diversity", title, drawn, _together(diversity), shows, paper)


def _by_roi(tables, rois, key):
    """{network: a number of each ROI, NaN where its table has none} of {network: rows}."""
    by_roi = {name: {row["roi"]: row[key] for row in rows} for name, rows in tables.items()}
    return {name: [values.get(roi, np.nan) for roi in rois] for name, values in by_roi.items()}


def _together(tables):
    """Rows of {network: rows} in one table."""
    return [{"network": name, **row} for name, rows in tables.items() for row in rows]


def _last(rows):
    """The row of the latest area of the hierarchy, or the last one."""
    ordered = [row for row in rows if row["roi"] in LEVELS]
    return (ordered or rows)[-1]


def _standard(response):
    """(n, N) z-scored over pictures."""
    return (response - response.mean(0)) / np.maximum(response.std(0), 1e-6)
