"""Scores, distance to the best, hierarchy and layers of the networks side by side (paper, Tables 1, 2, 13)."""

import numpy as np

from factortopy import analysis
from factortopy.analysis.comparison import areas_and_all
from factortopy.analysis.scores import LEAST_CEILING, algonauts_2023, ceiling_note, pearson_normalised
from factortopy.analysis.slope import LEVELS
from factortopy.report import figures, gathered, slopes
from factortopy.report.levels import in_words
from factortopy.report.missing import RUNS, SUBJECT


def tables(entries, levels=None):
    """{name: (title, rows, best)} of scores by ROI, r, shares of the ceiling, distance to the best and hierarchy.

    ``best`` is "max" or "min" where the best network of a row can be told. ``levels``: of the areas, the paper's when None.
    """
    encoders = {e.name: e.encoder for e in entries}
    out = {"scores": ("Brain score: mean R² on test trials", analysis.scores_by_roi(encoders), "max")}
    out["pearson"] = ("Mean Pearson r", _by_roi(entries, {e.name: e.pearson[0] for e in entries}), "max")
    words = f"R² / noise ceiling, over vertices with a ceiling of {LEAST_CEILING} or more"
    out["normalised"] = (words, _by_roi(entries, {e.name: e.normalised for e in entries}), "max")
    r = {e.name: e.pearson_of_trials for e in entries}
    ours = {e.name: pearson_normalised(r[e.name], e.encoder.noise_ceiling) for e in entries}
    words = f"Pearson r² / noise ceiling, r below 0 counting 0, over vertices with a ceiling of {LEAST_CEILING} or more; mean over vertices"
    out["pearson-normalised"] = (words, _by_roi(entries, ours), "max")
    metric = {e.name: algonauts_2023(r[e.name], e.encoder.noise_ceiling) for e in entries}
    words = "Algonauts 2023 metric as published: r² / noise ceiling, r below 0 counting 0, a ceiling of 0 counting 1e-14, at most 1; median"
    out["algonauts-2023"] = (words, _by_roi(entries, metric, np.median), "max")
    words = "Difference to the best network (root mean square over the area's vertices)"
    out["distance"] = (words, analysis.distance_to_best(encoders), "min")
    out = {name: table for name, table in out.items() if _any_number(table[1], encoders)}
    rows, without_slope = hierarchy_rows(entries, levels)
    return out | ({"hierarchy": ("Hierarchy slope", rows, None)} if rows else {}), without_slope


def by_network(rows, names):
    """Rows of ``distance_to_best`` as in the paper's Table 1: one a network, and what the best of all scores as the last."""
    out = [{"network": name} | {row["roi"]: row[name] for row in rows} for name in names]
    return [*out, {"network": "best of all: mean R²"} | {row["roi"]: row["best"] for row in rows}]


def hierarchy_rows(entries, levels=None):
    """Rows of Table 2 (``slopes.row``), one a network, and (sentence, reason) of those that have none."""
    fitted, without_slope = slopes.of_entries(entries, levels)
    return [slopes.row(name, one) for name, one in fitted.items()], without_slope


def area_layers(entries, levels=None):
    """Rows behind the slope: network, roi, level, vertices, mean layer (0 first, 1 last), for the areas of the hierarchy."""
    levels = LEVELS if levels is None else levels
    return [
        {"network": e.name, "roi": roi, "level": level, "vertices": int(mask.sum()),
         "mean layer": float(e.encoder.selectors().layer_mean[mask].mean())}
        for e in entries if e.encoder.has_selectors
        for roi, level in levels.items() if (mask := np.asarray(e.encoder.rois.get(roi, ()), bool)).any()
    ]  # fmt: skip


def _by_roi(entries, values, how=np.mean):
    rows = []
    for roi, mask in areas_and_all(entries[0].encoder).items():
        row = {"roi": roi, "vertices": int(mask.sum())}
        rows.append(row | {name: _mean(np.asarray(value, float)[mask], how) for name, value in values.items()})
    return rows


def _mean(values, how):
    values = values[np.isfinite(values)]
    return float(how(values)) if len(values) else float("nan")


def _any_number(rows, names):
    return any(np.isfinite(row.get(name, np.nan)) for row in rows for name in names)


# ---------------------------------------------------------------- in the report


def section(doc, entries, levels=None, unfitted=()):
    """The first section; ``unfitted``: sentences on networks whose slope has no interval."""
    results, without_slope = tables(entries, levels)
    names = [e.name for e in entries]
    doc.section("Brain scores and hierarchy")
    _scores(doc, entries, results, names)
    rows = results["distance"][1]
    shows = (
        "The best network of a vertex is chosen on the very pictures that measure it. So even equally good ones are all behind it, by luck "
        "alone: this table does not rank networks."
    )
    paper = "As the paper's Table 1; root mean square over a ROI's vertices of best R² − R²"
    doc.table("distance", "Difference to the best network by ROI", by_network(rows, names), shows, paper)
    if crossed := gathered.behind(entries):
        table = [{"network": n} | {area: of[n] for area, of in crossed.items()} for n in next(iter(crossed.values()))]
        over_all = "; ".join(f"{n} " + f"{value:+.3f}".replace("-", "−") for n, value in crossed["all"].items())
        shows = (
            "Half of the test pictures chooses the best network of each vertex, the other half measures how far others are behind it, and "
            "the other way round. Of equally good networks the expectation is 0; below 0 a network is ahead of such choices. Over all "
            f"vertices: {over_all} R²."
        )
        paper = "Not of the paper; mean over a ROI's vertices"
        doc.table("distance-crossed", "Behind the best network, chosen on other pictures", table, shows, paper)
    lines = results.get("hierarchy", (None, []))[1]
    if lines:
        shows = f"Slopes: {'; '.join(' '.join((row['network'], slopes.in_words(row))) for row in lines)}."
        paper = f"After the paper's Table 2; levels of the areas: {in_words(levels)} (report --levels changes them)"
        with_slope = {row["network"] for row in lines}
        areas = [row for row in area_layers(entries, levels) if row["network"] in with_slope]
        drawn, behind = figures.slopes(lines, doc.simulated, areas), [("", lines), ("areas", areas)]
        doc.figure("hierarchy", "Do later areas read later layers?", drawn, behind, shows, paper)
        words = f"Slope: b1 − b0, the line's ends at level 1 and 0. {slopes.about(lines)}"
        doc.table("hierarchy-table", "Hierarchy slope by network", lines, words, "Table 2")
    for line in unfitted:
        doc.note(f"No interval of the slope. {line}", SUBJECT)
    for line, why in without_slope:
        doc.note(f"No hierarchy slope. {line}", why, f"hierarchy slope (Table 2): {line}")
    _areas(doc, entries)
    _shares(doc, entries)
    if "normalised" not in results:
        doc.missing.append((SUBJECT, "R² / noise ceiling and the Algonauts 2023 metric: no noise ceiling is known"))
    if all(len(e.encoders) == 1 for e in entries):
        words = "averages over subjects: needs runs of a network on several subjects with the same vertices"
        doc.missing.append((RUNS, words))


def _scores(doc, entries, results, names):
    rows = results["scores"][1]
    titles = {"scores": "mean R²", "pearson": "mean r", "normalised": "R² / ceiling"}
    shown = {key: results[key][1] for key in titles if key in results}
    panels = [(titles[key], {n: [r[n] for r in own] for n in names}) for key, own in shown.items()]
    ceiling = [row["ceiling"] for row in rows]
    marks = {"mean R²": (ceiling, "noise ceiling")} if np.isfinite(ceiling).any() else None
    drawn = figures.bars([row["roi"] for row in rows], names, panels, doc.simulated, marks)
    best = max(names, key=lambda n: np.nan_to_num(rows[-1][n], nan=-np.inf))
    shows = f"Over all {rows[-1]['vertices']:,} vertices {best} has the largest mean R², {rows[-1][best]:.3f}"
    of_ceiling = f" of a noise ceiling of {ceiling[-1]:.3f}."
    shows += of_ceiling if np.isfinite(ceiling[-1]) else "; the noise ceiling is not known."
    for note in dict.fromkeys(filter(None, map(ceiling_note, (e.encoder for e in entries)))):
        doc.note(f"{note[0].upper()}{note[1:]}.", SUBJECT, "scores as shares of the test pictures' own noise ceiling")
    paper = "After the paper's Table 13 (R²; Pearson r and R² divided by the noise ceiling are added)"
    doc.figure("scores", "Brain score by ROI", drawn, list(shown.items()), shows, paper)
    paper = "Table 13; not divided by the ceiling"
    doc.table("scores-table", "Mean R² by ROI", rows, shows, paper, best=("max", names))
    further = {
        "pearson": "Mean Pearson r by ROI",
        "normalised": "Share of the noise ceiling that is reached, by ROI",
        "pearson-normalised": "Pearson r² / noise ceiling by ROI",
        "algonauts-2023": "Algonauts 2023 metric by ROI",
    }
    for key, title in further.items():
        if key in results:
            words = results[key][0] + "."
            if key == "pearson":
                taken = dict.fromkeys(e.pearson[1] for e in entries)
                words = f"Mean over vertices, taken on {'; '.join(taken)}."
            elif key in ("pearson-normalised", "algonauts-2023"):
                words += f" Taken on {'; '.join(dict.fromkeys(e.pearson[1] for e in entries))}; high by chance with few pictures."
            doc.table(f"{key}-table", title, results[key][1], words, best=("max", names))


def _areas(doc, entries):
    """What each area reads: its selectors in numbers."""
    rows = [
        {"network": e.name, "roi": row["roi"], "vertices": row["vertices"], "predicted": row["share"], "mean layer": row["layer"],
         "confidence": row["confidence"], "scale": row["scale"]}
        for e in entries if e.encoder.has_selectors for row in analysis.by_roi(e.encoder)
    ]  # fmt: skip
    if rows:
        shows = "Means over an area's vertices; layers count from 1, scale is 0 (local) to 1 (global). Predicted: share above chance."
        doc.table("areas-read", "What each area reads", rows, shows, "Selectors by ROI", decimals=2)


def _shares(doc, entries):
    """Share of vertices by layer."""
    shares = {e.name: analysis.layer_shares(e.encoder) for e in entries if e.encoder.has_selectors}
    if not shares:
        return
    series = {name: (np.linspace(0, 1, len(s)) if len(s) > 1 else [0.5], s) for name, s in shares.items()}
    drawn = figures.lines([("share of predicted vertices", series)], doc.simulated, "depth (0 first layer, 1 last)")
    rows = [
        {"network": name, "layer": k + 1, "name": e.encoder.layer_names[k], "share": float(s)}
        for e in entries for name in [e.name] if name in shares for k, s in enumerate(shares[name])
    ]  # fmt: skip
    layers = {name: f"layer {int(s.argmax()) + 1} of {len(s)}" for name, s in shares.items()}
    sentences = [f"{name} puts {s.max():.0%} of them on {layers[name]}" for name, s in shares.items()]
    doc.figure("layer-shares", "Which layers are used", drawn, rows, f"Of the predicted vertices, {'; '.join(sentences)}.",
               "Share of vertices by the layer with the largest weight")  # fmt: skip
