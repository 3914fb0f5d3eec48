"""What needs new fits: seeds, topology, ablation, decay, amount of data, single layers (Tables 3, 15, Figs. 2, 9, 10, 13, 26, 27)."""

from dataclasses import asdict
from functools import partial
from itertools import combinations

import numpy as np

from factortopy import analysis
from factortopy.analysis import curves, single_layer
from factortopy.analysis.comparison import areas_and_all
from factortopy.analysis.curves import top_confidence
from factortopy.analysis.scores import painted
from factortopy.errors import InputError
from factortopy.report import figures, fits, gathered, plan
from factortopy.report.missing import SUBJECT, Missing
from factortopy.report.tried import without_answers
from factortopy.subjects.subset import learnt_pictures
from factortopy.view import layer_map

AGREE = {
    "vertices": "vertices", "layer_equal": "same best layer", "layer_near": "same or next layer", "layer_r": "mean layer, r",
    "space": "space", "scale_r": "scale, r", "score_r": "R², r",
}  # fmt: skip
STUDIES = ("seeds", "topology", "ablation", "decay", "data", "single")  # fields of ``Evidence``
IN_WORDS = "seeds, topology, the ablation, decay of the regulariser, amount of data, single layers"


def section(doc, entry, refits, flat, levels=None):
    """Fit and draw everything, the evidence of its name each; what cannot be fitted is said in its place."""
    steps = f"{refits.steps:,} optimiser steps"
    if not refits.itself:
        steps += "; the network above was fitted with another number, these fits compare among themselves"
    doc.section(
        f"What each part of the method does: {entry.name}",
        f"New fits of {entry.name} on {refits.run.info.get('subject')}, kept under {refits.folder.name}/ ({steps}). "
        "Scores are taken on the same test pictures throughout.",
    )
    topology, decay, data = (partial(study, levels=levels) for study in (_topology, _decay, _data))
    for key, study in zip(STUDIES, (_seeds, topology, _ablation, decay, data, _single_layers), strict=True):
        try:
            setattr(doc.evidence, key, measured := study(doc, entry, refits, flat))
            if measured is None:
                doc.evidence.unfitted[key] = without_answers(None)
        except InputError as error:
            doc.note(f"Left out, {key}: {error}")
            doc.evidence.unfitted[key] = Missing(SUBJECT, str(error))


def seeds_of_entries(doc, entries, flat):
    """Agreement of seeds that were given as runs (Fig. 13)."""
    for entry in entries:
        if entry.others and entry.encoder.has_selectors:
            seeds = {entry.info.get("seed") or 0: entry.encoder} | entry.others
            doc.evidence.seeds = _agreement(doc, entry.name, seeds, flat)


def _seeds(doc, entry, refits, flat):
    encoders = {s: refits.fitted({"seed": s}) for s in plan.seeds(refits.base)}
    evidence, name = doc.evidence, entry.name if refits.itself else f"{entry.name}, refitted"
    of_seeds = [fits.numbers(e, evidence.levels) for e in encoders.values()]
    if len(entry.encoders) > 1 or len(of_seeds) <= len(evidence.fits.get(name, ())):
        of_seeds = evidence.fits.get(name, of_seeds)  # the network's own seeds, or those of the subjects' mean
    else:
        evidence.turned[name] = gathered.turned_maps(list(encoders.values()), evidence.levels)
    evidence.studied, evidence.fits = name, evidence.fits | {name: of_seeds}
    evidence.networks.setdefault(name, entry.network)
    return _agreement(doc, entry.name, encoders, flat)


def _agreement(doc, name, encoders, flat):
    """Fig. 13: each pair of seeds."""
    seeds = sorted(encoders)
    rows = []
    for a, b in combinations(seeds, 2):
        measured = asdict(analysis.agreement(encoders[a], encoders[b]))
        rows.append({"seed": a, "other seed": b} | {AGREE[key]: value for key, value in measured.items()})
    r, near = (np.mean([row[AGREE[key]] for row in rows]) for key in ("layer_r", "layer_near"))
    shows = f"Over pairs of seeds a vertex's mean layer correlates with r = {r:.2f}; {near:.0%} have the same best layer or the next one."
    maps = _layer_maps({f"seed {s}": encoders[s] for s in seeds})
    drawn = figures.brains(flat, maps, doc.simulated, outlines=encoders[seeds[0]].rois)
    paper = "After Fig. 13 (layer selection with other seeds)"
    doc.figure("seeds", f"Do seeds agree? {name}", drawn, rows, shows, paper)
    words = "Space: median distance of where they look, in shares of the picture's width."
    doc.table("seeds-table", "Agreement of seeds", rows, words, "Fig. 13")
    return {(row["seed"], row["other seed"]): float(row[AGREE["layer_r"]]) for row in rows}


def _topology(doc, entry, refits, flat, levels):
    """Fig. 2: with and without."""
    both = {"with topology": refits.fitted({}), "without topology": refits.fitted({"topology": False})}
    rows = [{"model": name} | curves.in_numbers(e, levels) for name, e in both.items()]
    smooth, score = ([row[key] for row in rows] for key in ("smooth", "score"))
    shows = f"Neighbouring vertices share their best layer in {smooth[0]:.0%} of pairs with topology, in {smooth[1]:.0%} without; "
    shows += f"mean R² {score[0]:.3f} and {score[1]:.3f}."
    drawn = figures.brains(flat, _layer_maps(both), doc.simulated, outlines=both["with topology"].rois)
    doc.figure("topology", "With and without topology", drawn, rows, shows, "After Fig. 2")
    changes = {"with topology": {}, "without topology": {"topology": False}}
    own = [curves.smoothness(refits.fitted({"seed": seed})) for seed in plan.seeds(refits.base)]
    return {"smooth": own, "without": smooth[1], "answers": _answers(refits, changes, entry)}


def _ablation(doc, entry, refits, flat):
    """Table 3."""
    encoders = {}
    for name, changes in plan.ABLATIONS.items():
        try:
            encoders[name] = refits.fitted(changes)
        except InputError as error:
            if not changes:
                raise
            doc.note(f"{name}: {error}")
    rows = curves.ablation(encoders, "full model")
    columns = [key for key in rows[0] if key not in ("model", "difference", "better")]
    values = [[row[c] for c in columns] for row in rows]
    drawn = figures.heat(values, list(encoders), columns, "mean R²", doc.simulated, 0, decimals=3)
    parts = [row for row in rows if row["model"].startswith("without")]
    changes = ", ".join(f"{row['model']} {row['difference']:+.3f}" for row in parts).replace("-0.", "−0.")
    shows, paper = (
        f"Change of mean R² over all vertices: {changes}. One fit each; the checklist below has the error.",
        "After Table 3 (ablation; our reading of its baselines)",
    )
    doc.figure("ablation", "What each part is worth", drawn, rows, shows, paper)
    return _answers(refits, {name: plan.ABLATIONS[name] for name in encoders}, entry)


def _decay(doc, entry, refits, flat, levels):
    """Table 15, Fig. 26."""
    usual = refits.decay
    steps = plan.decays(usual)
    encoders = {k: refits.fitted({} if k == usual else {"decay": k}) for k in steps}
    rows = curves.curve(encoders, "decay step", levels)
    for row in rows:
        row |= {"collapsed": curves.collapsed(row), "recipe": refits.base["recipe"]}
    fallen = [str(row["decay step"]) for row in rows if row["collapsed"]]
    shares = ", ".join(f"{row['one_layer']:.0%} at {row['decay step']}" for row in rows)
    shows = f"Largest share of vertices on one layer: {shares}. "
    shows += f"Collapsed ({curves.COLLAPSED:.0%} or more on one layer): {', '.join(fallen) or 'none'}."
    titles = {"score": "mean R²", "one_layer": "largest share on one layer", "slope": "hierarchy slope"}
    drawn = figures.lines(_panels(entry, rows, "decay step", titles), doc.simulated, "decay step", columns=3)
    paper = "After Table 15 and Fig. 26 (decay step and collapse; the paper's recipe begins with a stronger regulariser than fast)"
    doc.figure("decay", "When the regulariser goes", drawn, rows, shows, paper)
    drawn = figures.brains(flat, _layer_maps({f"decay step {k}": e for k, e in encoders.items()}), doc.simulated)
    doc.figure("decay-maps", "Layers by decay step", drawn, rows, shows, "After Fig. 26")
    return rows


def _data(doc, entry, refits, flat, levels):
    """Figs. 10 and 27."""
    learnt = learnt_pictures(refits.subject())
    total = min(refits.base["pictures"] or learnt, learnt)
    encoders = {n: refits.fitted({"pictures": n}) for n in plan.amounts(total)}
    encoders[total] = refits.fitted({})
    if len(encoders) < 2:
        raise InputError(f"expected more than {plan.AMOUNTS[0]} pictures, found {total}")
    rows = curves.curve(encoders, "pictures", levels)
    full = encoders[total]
    for row, encoder in zip(rows, encoders.values(), strict=True):
        row["layer_r"] = analysis.agreement(full, encoder).layer_r if encoder is not full else 1.0
    x = list(encoders)
    titles = {"score": "mean R²", "slope": "hierarchy slope", "layer_r": "mean layer, r with all data"}
    panels = _panels(entry, rows, "pictures", titles)
    scores = ", ".join(f"{row['score']:.3f} with {row['pictures']:,}" for row in rows)
    shows = f"Mean R² {scores} pictures "
    shows += "(to train and to validate on, in proportion; all scored on the same test pictures)."
    drawn = figures.lines(panels, doc.simulated, "pictures", log=True, ticks=(x, [f"{n:,}" for n in x]), columns=3)
    doc.figure("data", "How much data is enough", drawn, rows, shows, "After Fig. 10 (amount of data)")
    drawn = figures.brains(flat, _layer_maps({f"{n:,} pictures": e for n, e in encoders.items()}), doc.simulated)
    doc.figure("data-maps", "Layers by amount of data", drawn, rows, shows, "After Fig. 27")
    return _answers(refits, {str(n): {} if n == total else {"pictures": n} for n in encoders}, entry)


def _single_layers(doc, entry, refits, flat):
    """Fig. 9."""
    full = refits.fitted({})
    depth = full.selectors().layer.shape[1]
    if depth < 2:
        raise InputError("a network of one layer has nothing to choose from")
    wanted = plan.alone(refits.base, refits.steps, depth)
    singles = {k: refits.fitted(changes) for k, changes in wanted.items()}
    layers, steps = list(singles), next(iter(wanted.values()))["steps"]
    rows, agreement = single_layer.against_learnt(full, singles)
    names = [row["roi"] for row in rows]
    words = [str(k + 1) for k in layers]
    searched = [[row[f"R² {k + 1}"] / max(row["best_single"], 1e-9) for k in layers] for row in rows]
    chance = "chance is not known: nothing can be turned on the sphere here"
    if agreement["floor"] is not None:
        chance = f"of maps turned on the sphere 5 % exceed {agreement['floor']:.0%}"
    shows = (
        f"Best single layer and layer with the largest learnt weight are the same for {agreement['equal']:.0%} of "
        f"{agreement['vertices']:,} vertices ({chance}), the same or a neighbour for "
        f"{agreement['near']:.0%}; depths correlate with r = {agreement['r']:.2f}. "
        f"Single layers were fitted with {steps:,} steps, {len(layers)} of {depth} layers."
    )
    paper = "After Fig. 9 (grid search over single layers against the learnt selector)"
    drawn = figures.heat(searched, names, words, "share of the best layer's R²", doc.simulated, 0.5, 1)
    title = "Grid search: R² of single layers as a share of the best one"
    doc.figure("single-layers", title, drawn, rows, shows, paper)
    learnt = [[row[f"weight {k + 1}"] for k in layers] for row in rows]
    drawn = figures.heat(learnt, names, words, "mean weight", doc.simulated, 0, palette="inferno")
    doc.figure("learnt-layers", "Learnt layer weights by area", drawn, rows, shows, paper)
    return [row for row in rows if row["roi"] in fits.AREAS]


def _answers(refits, changes, entry):
    """``Answers`` of fits {name: changes} on the test pictures that they keep."""
    galleries = {name: [refits.gallery(change)] for name, change in changes.items()}
    return gathered.answers(galleries, areas_and_all(entry.first), gathered.of_film(entry))


def _panels(entry, rows, along, titles):
    """Panels of ``figures.lines``: columns {key: title} of the rows, along another one."""
    x = [row[along] for row in rows]
    return [(title, {entry.name: (x, [row[key] for row in rows])}) for key, title in titles.items()]


def _layer_maps(encoders):
    """Layer maps of one brightness."""
    one = partial(layer_map, confidence_top=top_confidence(encoders.values()))
    return {name: one(e.selectors(), e.vertices, painted=painted(e)) for name, e in encoders.items()}
