"""Maps of every network side by side: layer, each layer's weight, space, scale, scores (paper, Figs. 3, 4, 12, 14–16)."""

from dataclasses import replace

import numpy as np

from factortopy import analysis
from factortopy.analysis.comparison import LEADS
from factortopy.analysis.curves import top_confidence
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import LEVELS
from factortopy.export.exchange import halves
from factortopy.export.maps import export_maps
from factortopy.formats.gifti import write_func_gii
from factortopy.report import figures
from factortopy.report.document import safe_name, vertex_rows
from factortopy.report.fits import LOCAL
from factortopy.report.missing import SUBJECT
from factortopy.view import angle_map, layer_map, layer_weight_map, roi_map, scale_map, space_map, value_map
from factortopy.view.flat_picture import flat_svg


def section(doc, entries, flat, quick, levels=None):
    """All maps, and their files."""
    doc.section("Maps", "Grey: not predicted above chance, or no data. Colours mean the same in all maps of a figure.")
    shown = [e for e in entries if e.encoder.has_selectors]
    _areas(doc, entries[0], flat)
    _score_maps(doc, entries, flat)
    if shown:
        _layers(doc, shown, flat)
        _space(doc, shown, flat)
        _scale(doc, shown, flat, levels)
        for entry in shown:
            _weights(doc, entry, flat)
    for entry in entries:
        _files(doc, entry, quick)
    word = "as GIFTI of the whole mesh" + ("" if quick else ", as PNG and as SVG")
    doc.sentences(f"The folder maps/ holds every network's maps {word}.")


def common(entry):
    """Arguments that all maps of a network's encoder share."""
    return {"vertices": entry.encoder.vertices, "painted": painted(entry.encoder), "context": entry.name}


def degrees(entry):
    """Degrees of visual angle of half a picture, or None."""
    width = entry.info.get("image_degrees")
    return width / 2 if width else None


# ---------------------------------------------------------------- figures


def _areas(doc, entry, flat):
    rois = entry.encoder.rois
    if not rois:
        line = "tables by ROI have the row of all vertices alone, and there is no hierarchy slope."
        short = "everything by ROI (Tables 1, 2, 13): it has no regions of interest"
        doc.note(f"This subject has no regions of interest: {line}", SUBJECT, short)
        return
    title = "Regions of interest"
    maps = {title: roi_map(rois, entry.encoder.vertices)}
    large = max(rois, key=lambda name: rois[name].sum())
    shows = f"{len(rois)} areas, the largest {large} with {int(rois[large].sum()):,} vertices."
    _show(doc, "areas", title, maps, flat, [entry], {name: np.asarray(mask, int) for name, mask in rois.items()}, shows)


def _score_maps(doc, entries, flat):
    values = {e.name: np.asarray(e.encoder.scores["score"], float) for e in entries}
    finite = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    top = max(0.05, float(np.percentile(finite, 99))) if len(finite) else 1.0
    scale = {"name": "Brain score", "label": "brain score R²", "low": 0.0, "high": top}
    maps = {e.name: value_map(values[e.name], **common(e), **scale) for e in entries}
    shares = {e.name: f"{painted(e.encoder).mean():.0%}" for e in entries}
    untested = {e.name: e.encoder.info.get("untested") for e in entries}
    shows = "; ".join(
        f"{name}: {untested[name]}" if untested[name] else f"{name} predicts {share} of the vertices above chance"
        for name, share in shares.items()
    )
    paper = "After Figs. 3 and 12 (R² maps)"
    _show(doc, "score-maps", "Brain score", maps, flat, entries, values, f"{shows}.", paper)
    if len(entries) > 1:
        encoders = {e.name: e.encoder for e in entries}
        best, clear = analysis.best_network(encoders), np.nan_to_num(analysis.lead(encoders)) >= LEADS
        clear, best = clear[best >= 0], best[best >= 0]
        shares = ", ".join(
            f"{name} at {np.mean(best == k):.0%} (by {LEADS} R² or more at {np.mean((best == k) & clear):.0%})"
            for k, name in enumerate(encoders)
        )
        luck = f"Of {len(encoders)} equally good ones each would be the best at {1 / len(encoders):.0%}, by luck."
        doc.sentences(f"Of the vertices that any network predicts, the best one is {shares}. {luck}")


def _layers(doc, entries, flat):
    top = top_confidence([e.encoder for e in entries])
    strip = {"name": "Confidence", "label": "layer confidence", "palette": "inferno", "low": 0.0, "high": top}
    maps, sure, values, confidence = {}, {}, {}, {}
    for e in entries:
        factor = e.encoder.selectors()
        confidence[e.name] = factor.layer_confidence
        maps[e.name] = layer_map(factor, confidence_top=top, **common(e))
        sure[e.name] = value_map(factor.layer_confidence, **common(e), **strip)
        values[f"{e.name}: layer"] = factor.layer_argmax + 1
        values[f"{e.name}: mean layer (0 to 1)"] = factor.layer_mean
    means = ", ".join(f"{e.name} {_mean(e.encoder.selectors().layer_mean, e):.2f}" for e in entries)
    shows = f"Mean layer over predicted vertices (0 first, 1 last): {means}; brightness is the confidence."
    title, paper = "Layer that predicts each vertex", "After Fig. 4 and Figs. 17–22 (layer selector)"
    _show(doc, "layer-maps", title, maps, flat, entries, values, shows, paper)
    means = ", ".join(f"{e.name} {_mean(confidence[e.name], e):.2f}" for e in entries)
    kinds = {e.info.get("recipe") for e in entries}
    more = " Confidences of different recipes do not compare." if len(kinds) > 1 else ""
    shows = f"Mean confidence (0 uniform, 1 one layer): {means}.{more}"
    _show(doc, "confidence-maps", "Layer confidence", sure, flat, entries, confidence, shows)


def _weights(doc, entry, flat):
    """Every layer's weight at every vertex."""
    factor, names = entry.encoder.selectors(), entry.encoder.layer_names
    n = factor.layer.shape[1]
    maps = {names[k]: layer_weight_map(factor, k, **common(entry)) for k in range(n)}
    strip = next(iter(maps.values())).legend | {"label": "weight of the layer"}
    maps = {name: replace(one, legend=strip) for name, one in maps.items()}
    values = {name: factor.layer[:, k] for k, name in enumerate(maps)}
    means = [_mean(factor.layer[:, k], entry) for k in range(n)]
    most = int(np.argmax(means))
    shows = f"On average layer {most + 1} of {n} has the largest weight, {means[most]:.2f}."
    name, title = f"weights-{safe_name(entry.name)}", f"Weight of every layer: {entry.name}"
    _show(doc, name, title, maps, flat, [entry], values, shows, "After Figs. 14–16 (raw layer weights)", min(n, 4))


def _space(doc, entries, flat):
    maps, far, turn, places, polar, opposite = {}, {}, {}, {}, {}, {}
    unit = all(degrees(e) for e in entries)
    sizes = {e.name: degrees(e) if unit else 1.0 for e in entries}
    strip = {"unit": "°" if unit else "share of half a width", "low": 0.0, "high": max(sizes.values())}
    for e in entries:
        factor = e.encoder.selectors()
        maps[e.name] = space_map(factor, image_degrees=e.info.get("image_degrees"), **common(e))
        x, y = factor.space[:, 0], -factor.space[:, 1]
        local = factor.scale < LOCAL
        r = np.where(local, np.hypot(x, y) * sizes[e.name], np.nan)
        angle = np.where(local, np.degrees(np.arctan2(y, x)) % 360, np.nan)
        far[e.name] = value_map(r, name="Eccentricity", label="eccentricity", **common(e), **strip)
        turn[e.name] = angle_map(angle, **common(e))
        own = {f"{e.name}: eccentricity": r, f"{e.name}: polar angle": angle}
        polar |= own
        places |= {f"{e.name}: x": x, f"{e.name}: y up": y} | own
        opposite[e.name] = contralateral(e.encoder)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in opposite.items() if np.isfinite(share))
    shows = "Share of the local vertices that look at the other side of the picture than their hemisphere's own"
    shows = f"{shows} (half of them would by chance): {shares}."
    if not shares:
        shows = "No vertex reads local tokens mostly, or one hemisphere alone is here: where they look says little."
    title, paper = "Where in the picture each vertex looks", "After Fig. 4 (space selector)"
    _show(doc, "space-maps", title, maps, flat, entries, places, shows, paper)
    note = f"Vertices with a scale below {LOCAL} only; above it the place in the picture says little."
    _show(doc, "eccentricity", "Eccentricity", far, flat, entries, polar, note, "Space selector in polar coordinates")
    _show(doc, "polar-angle", "Polar angle", turn, flat, entries, polar, note, "Space selector in polar coordinates")


def _scale(doc, entries, flat, levels=None):
    values = {e.name: e.encoder.selectors().scale for e in entries}
    maps = {e.name: scale_map(e.encoder.selectors(), **common(e)) for e in entries}
    ends = {e.name: early_and_late(e.encoder, values[e.name], levels) for e in entries}
    means = ", ".join(f"{n} {a:.2f} and {b:.2f}" for n, (a, b) in ends.items() if np.isfinite(a + b))
    of_both = f"Mean scale (0 local, 1 global) of early and of late areas: {means}."
    shows = of_both if means else "Scale, 0 local to 1 global."
    title, paper = "Detail or the whole picture", "After Fig. 4 (scale selector)"
    _show(doc, "scale-maps", title, maps, flat, entries, values, shows, paper)


# ---------------------------------------------------------------- numbers


def early_and_late(encoder, values, levels=None):
    """Means of (N,) values over predicted vertices of the lowest and of the highest levels of the hierarchy (NaN without)."""
    levels = LEVELS if levels is None else levels
    present = {n: level for n, level in levels.items() if n in encoder.rois}
    use, out = painted(encoder), []
    for end in (min, max):
        at = [n for n, level in present.items() if present and level == end(present.values())]
        mask = np.any([encoder.rois[n] for n in at], 0) & use if at else np.zeros(len(use), bool)
        out.append(float(np.mean(np.asarray(values, float)[mask])) if mask.any() else float("nan"))
    return tuple(out) if len(set(present.values())) > 1 else (float("nan"), float("nan"))


def contralateral(encoder):
    """Share of predicted local vertices whose place in the picture lies on the side opposite to their hemisphere; NaN for one
    hemisphere alone."""
    factor = encoder.selectors()
    use = painted(encoder) & (factor.scale < LOCAL)
    if not use.any() or len(np.unique(encoder.hemi[use])) < 2:
        return float("nan")
    return float(np.mean((factor.space[use, 0] > 0) == (encoder.hemi[use] == 0)))


def _mean(values, entry):
    use = painted(entry.encoder)
    return float(np.mean(np.asarray(values, float)[use])) if use.any() else float("nan")


# ---------------------------------------------------------------- files


def _show(doc, name, title, maps, flat, entries, values, shows, paper="", columns=None):
    encoder = entries[0].encoder
    drawn = figures.brains(flat, maps, doc.simulated, columns, encoder.rois)
    doc.figure(name, title, drawn, vertex_rows(encoder, values), shows, paper)


def _files(doc, entry, quick):
    """The network's maps as files for other programs."""
    e, out = entry.encoder, doc.out / "maps" / safe_name(entry.name)
    out.mkdir(parents=True, exist_ok=True)
    use = painted(e)
    keep = {"score": np.asarray(e.scores["score"], float), "pearson": entry.pearson[0], "normalised": entry.normalised}
    names = {"score": "brain score R2", "pearson": "Pearson r", "normalised": "R2 / noise ceiling"}
    if e.has_selectors:
        f = e.selectors()
        x, y = f.space[:, 0], -f.space[:, 1]
        more = {
            "layer": (f.layer_argmax + 1.0, "layer with the largest weight, from 1"),
            "confidence": (f.layer_confidence, "layer confidence"),
            "scale": (f.scale, "0 local to 1 global"),
            "space": (f.space, ("x, -1 left to 1 right", "y, -1 top to 1 bottom")),
            "weights": (f.layer, [f"weight of {n}" for n in e.layer_names]),
            "eccentricity": (np.hypot(x, y) * (degrees(entry) or 1), "degrees" if degrees(entry) else "half widths"),
            "angle": (np.degrees(np.arctan2(y, x)) % 360, "degrees, counter-clockwise from the right"),
        }
        for key, (value, name) in more.items():
            keep[key] = np.where(use.reshape(-1, *[1] * (np.ndim(value) - 1)), value, np.nan)
            names[key] = name
    for key, value in keep.items():
        mesh = e.vertices.whole(value)
        for side, (letter, structure, half) in enumerate(halves(e.density)):
            if (e.hemi == side).any() and np.isfinite(value).any():
                write_func_gii(out / f"hemi-{letter}_{key}.func.gii", mesh[half], names[key], e.simulated, structure)
    if quick or not e.has_selectors:
        return
    title = f"{entry.name} on {entry.info.get('subject')}" + (" (simulated)" if e.simulated else "")
    export_maps(out, e.selectors(), e.scores["score"], use, e.vertices, e.simulated, title, e.rois)
    outlines, word = e.vertices.roi_rows(e.rois), "_simulated" if e.simulated else ""
    for key, draw in (("layer", layer_map), ("space", space_map)):
        brain_map = draw(e.selectors(), **common(entry))
        flat_svg(brain_map, out / f"flat_{key}{word}.svg", rois=outlines, simulated=e.simulated)
