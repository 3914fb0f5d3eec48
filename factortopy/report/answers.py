"""Predicted against measured responses in the report: the best vertex of each ROI (point by point, for any vertex: Explore)."""

import numpy as np

from factortopy.analysis.finite import correlation
from factortopy.analysis.scores import painted
from factortopy.report import figures
from factortopy.report.document import safe_name
from factortopy.report.missing import SUBJECT

MOST = 12  # ROIs


def section(doc, entries):
    """One figure a network."""
    points = "Each point is a test picture that the run keeps, at the vertex of an area that is predicted best"
    doc.section("Predicted against measured", f"{points}; repeats of a picture are averaged.")
    for entry in entries:
        _figure(doc, entry)


def best_vertices(encoder):
    """{ROI: row of its vertex with the largest R²} among predicted vertices; {"all": row} where there are no ROIs."""
    score, use = np.asarray(encoder.scores["score"], float), painted(encoder)
    areas = encoder.rois or {"all": np.ones(encoder.n_vertices, bool)}
    out = {}
    for name, mask in areas.items():
        rows = np.flatnonzero(np.asarray(mask, bool) & use & np.isfinite(score))
        if len(rows):
            out[name] = int(rows[score[rows].argmax()])
    return out


def _figure(doc, entry):
    gallery, encoder = entry.gallery, entry.first
    if gallery is None:
        line = "the run keeps no test pictures (its subject had none), so their responses cannot be drawn."
        missing = "predicted against measured, top pictures, channel images (Figs. 7, 8, 25, 28–33)"
        doc.note(f"{entry.name}: {line}", SUBJECT, f"{missing}: {entry.name} keeps no test pictures")
        return
    chosen = dict(list(best_vertices(encoder).items())[:MOST])
    if not chosen:
        doc.note(f"{entry.name}: no vertex is predicted above chance.", SUBJECT)
        return
    at = list(chosen.values())
    measured, predicted = (np.asarray(values[:, at], float) for values in (gallery.measured, gallery.predicted))
    r = {roi: correlation(m, p) for roi, m, p in zip(chosen, measured.T, predicted.T, strict=True)}
    titles = [f"{roi}: r = {value:.2f}".replace("-", "−") for roi, value in r.items()]
    drawn = figures.scatters(list(zip(titles, measured.T, predicted.T, strict=True)), doc.simulated)
    rows = [
        {"network": entry.name, "roi": roi, "hemisphere": encoder.vertices.place(v)[0], "vertex": encoder.vertices.place(v)[1],
         "picture": int(i), "measured": float(m), "predicted": float(p)}
        for k, (roi, v) in enumerate(chosen.items()) for i, m, p in zip(gallery.number, measured[:, k], predicted[:, k], strict=True)
    ]  # fmt: skip
    r = {roi: value for roi, value in r.items() if np.isfinite(value)}
    shows = f"{len(gallery.image)} test pictures, on which the best vertices were chosen too: r is high by that choice"
    if r:
        top, low = max(r, key=r.get), min(r, key=r.get)
        shows += f"; the best vertex of {top} is predicted most closely (r = {r[top]:.2f}), that of {low} least (r = {r[low]:.2f})"
    if len(entry.encoders) > 1:
        shows += f". Those of {encoder.info.get('subject')}, the first of {len(entry.encoders)} subjects"
    title, paper = f"Predicted against measured: {entry.name}", "Best vertex of each area; dashed: equal"
    doc.figure(f"answers-{safe_name(entry.name)}", title, drawn, rows, f"{shows}.", paper)
