"""Maps of every network side by side: layer, each layer's weight, space, scale, scores (paper, Figs. 3, 4, 12, 14–16)."""

import numpy as np

from factortopy import analysis
from factortopy.analysis.comparison import LEADS
from factortopy.analysis.curves import top_confidence
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import LEVELS
from factortopy.export.maps import export_maps
from factortopy.formats.gifti import write_func_gii
from factortopy.report import figures
from factortopy.report.document import safe_name, vertex_rows
from factortopy.report.missing import SUBJECT
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.view import angle_map, layer_map, layer_weight_map, roi_map, scale_map, space_map, value_map
from factortopy.view.flat_picture import flat_svg

LOCAL = 0.6  # scale above which the place in the picture says little


def section(doc, entries, flat, quick, levels=None):
    """All maps; the evidence is where vertices look, and their scale."""
    doc.section("Maps", "Grey: not predicted above chance, or no data. Colours mean the same in all maps of a figure.")
    shown = [e for e in entries if e.encoder.has_selectors]
    _areas(doc, entries[0], flat)
    _score_maps(doc, entries, flat)
    if shown:
        _layers(doc, shown, flat)
        doc.evidence.contralateral = _space(doc, shown, flat)
        doc.evidence.scale = _scale(doc, shown, flat, levels)
        for entry in shown:
            _weights(doc, entry, flat)
    for entry in entries:
        _files(doc, entry, quick)
    word = "as GIFTI of the whole mesh" + ("" if quick else ", as PNG and as SVG")
    doc.sentences(f"The folder maps/ holds every network's maps {word}.")


def common(entry):
    """(Vertices, options) that all maps of a network's encoder share."""
    return entry.encoder.vertices, {"painted": painted(entry.encoder), "context": entry.name}


def degrees(entry):
    """Degrees of visual angle of half a picture, or None."""
    width = entry.info.get("image_degrees")
    return width / 2 if width else None


# ---------------------------------------------------------------- figures


def _areas(doc, entry, flat):
    rois = entry.encoder.rois
    if not rois:
        doc.note(
            "This subject has no regions of interest: tables by ROI have the row of all vertices alone, and there is no hierarchy slope.",
            SUBJECT,
            "everything by ROI (Tables 1, 2, 13): it has no regions of interest",
        )
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
    maps = {}
    for e in entries:
        vertices, same = common(e)
        maps[e.name] = value_map(
            values[e.name], vertices, name="Brain score", label="brain score R²", low=0.0, high=top, **same
        )
    sentences = [f"{e.name} predicts {painted(e.encoder).mean():.0%} of the vertices above chance" for e in entries]
    _show(
        doc,
        "score-maps",
        "Brain score",
        maps,
        flat,
        entries,
        values,
        f"{'; '.join(sentences)}.",
        "After Figs. 3 and 12 (R² maps)",
    )
    if len(entries) > 1:
        best = analysis.best_network({e.name: e.encoder for e in entries})
        clear = np.nan_to_num(analysis.lead({e.name: e.encoder for e in entries})) >= LEADS
        clear, best = clear[best >= 0], best[best >= 0]
        sentences = [
            f"{e.name} at {np.mean(best == k):.0%} (by {LEADS} R² or more at {np.mean((best == k) & clear):.0%})"
            for k, e in enumerate(entries)
        ]
        doc.sentences(f"Of the vertices that any network predicts, the best one is {', '.join(sentences)}.")


def _layers(doc, entries, flat):
    top = top_confidence([e.encoder for e in entries])
    maps, sure = {}, {}
    for e in entries:
        vertices, same = common(e)
        maps[e.name] = layer_map(e.encoder.selectors(), vertices, confidence_top=top, **same)
        sure[e.name] = value_map(
            e.encoder.selectors().layer_confidence,
            vertices,
            name="Confidence",
            label="layer confidence",
            palette="inferno",
            low=0.0,
            high=top,
            **same,
        )
    values = {
        f"{e.name}: {word}": column
        for e in entries
        for word, column in (
            ("layer", e.encoder.selectors().layer_argmax + 1),
            ("mean layer (0 to 1)", e.encoder.selectors().layer_mean),
        )
    }
    means = [f"{e.name} {_mean(e.encoder.selectors().layer_mean, e):.2f}" for e in entries]
    _show(
        doc,
        "layer-maps",
        "Layer that predicts each vertex",
        maps,
        flat,
        entries,
        values,
        f"Mean layer over predicted vertices (0 first, 1 last): {', '.join(means)}; brightness is the confidence.",
        "After Fig. 4 and Figs. 17–22 (layer selector)",
    )
    values = {e.name: e.encoder.selectors().layer_confidence for e in entries}
    means = [f"{e.name} {_mean(values[e.name], e):.2f}" for e in entries]
    kinds = {e.info.get("recipe") for e in entries}
    more = " Confidences of different recipes do not compare." if len(kinds) > 1 else ""
    _show(
        doc,
        "confidence-maps",
        "Layer confidence",
        sure,
        flat,
        entries,
        values,
        f"Mean confidence (0 uniform, 1 one layer): {', '.join(means)}.{more}",
    )


def _weights(doc, entry, flat):
    """Every layer's weight at every vertex."""
    factor, (vertices, same) = entry.encoder.selectors(), common(entry)
    n = factor.layer.shape[1]
    maps = {entry.encoder.layer_names[k]: layer_weight_map(factor, k, vertices, **same) for k in range(n)}
    strip = next(iter(maps.values())).legend | {"label": "weight of the layer"}
    maps = {name: _with_legend(m, strip) for name, m in maps.items()}
    values = {name: factor.layer[:, k] for k, name in enumerate(maps)}
    most = int(np.argmax([_mean(factor.layer[:, k], entry) for k in range(n)]))
    _show(
        doc,
        f"weights-{safe_name(entry.name)}",
        f"Weight of every layer: {entry.name}",
        maps,
        flat,
        [entry],
        values,
        f"On average layer {most + 1} of {n} has the largest weight, {_mean(factor.layer[:, most], entry):.2f}.",
        "After Figs. 14–16 (raw layer weights)",
        columns=min(n, 4),
    )


def _space(doc, entries, flat):
    maps, far, turn, values, opposite = {}, {}, {}, {}, {}
    unit = all(degrees(e) for e in entries)
    for e in entries:
        vertices, same = common(e)
        factor, size = e.encoder.selectors(), degrees(e) if unit else 1.0
        maps[e.name] = space_map(factor, vertices, image_degrees=e.info.get("image_degrees"), **same)
        x, y = factor.space[:, 0], -factor.space[:, 1]
        local = factor.scale < LOCAL
        r = np.where(local, np.hypot(x, y) * size, np.nan)
        angle = np.where(local, np.degrees(np.arctan2(y, x)) % 360, np.nan)
        high = max((degrees(n) if unit else 1.0) for n in entries)
        far[e.name] = value_map(
            r,
            vertices,
            name="Eccentricity",
            label="eccentricity",
            unit="°" if unit else "share of half a width",
            low=0.0,
            high=high,
            **same,
        )
        turn[e.name] = angle_map(angle, vertices, **same)
        values |= {f"{e.name}: {w}": v for w, v in (("x", x), ("y up", y), ("eccentricity", r), ("polar angle", angle))}
        opposite[e.name] = contralateral(e.encoder)
    shares = [f"{name} {share:.0%}" for name, share in opposite.items() if np.isfinite(share)]
    shows = (
        "Share of the local vertices that look at the other side of the picture than their hemisphere's own: "
        + ", ".join(shares)
    )
    shows = (
        f"{shows}."
        if shares
        else "No vertex reads local tokens mostly, or one hemisphere alone is here: where they look says little."
    )
    _show(
        doc,
        "space-maps",
        "Where in the picture each vertex looks",
        maps,
        flat,
        entries,
        values,
        shows,
        "After Fig. 4 (space selector)",
    )
    sub = {k: v for k, v in values.items() if k.endswith(("eccentricity", "polar angle"))}
    note = f"Vertices with a scale below {LOCAL} only; above it the place in the picture says little."
    _show(doc, "eccentricity", "Eccentricity", far, flat, entries, sub, note, "Space selector in polar coordinates")
    _show(doc, "polar-angle", "Polar angle", turn, flat, entries, sub, note, "Space selector in polar coordinates")
    return opposite


def _scale(doc, entries, flat, levels=None):
    maps, ends = {}, {}
    for e in entries:
        vertices, same = common(e)
        maps[e.name] = scale_map(e.encoder.selectors(), vertices, **same)
        ends[e.name] = early_and_late(e.encoder, e.encoder.selectors().scale, levels)
    values = {e.name: e.encoder.selectors().scale for e in entries}
    means = [f"{n} {a:.2f} and {b:.2f}" for n, (a, b) in ends.items() if np.isfinite(a + b)]
    shows = (
        f"Mean scale (0 local, 1 global) of early and of late areas: {', '.join(means)}."
        if means
        else "Scale, 0 local to 1 global."
    )
    _show(
        doc,
        "scale-maps",
        "Detail or the whole picture",
        maps,
        flat,
        entries,
        values,
        shows,
        "After Fig. 4 (scale selector)",
    )
    return ends


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


def _with_legend(brain_map, legend):
    from dataclasses import replace

    return replace(brain_map, legend=legend)


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
    n = N_VERTICES[e.density]
    for key, value in keep.items():
        mesh = e.vertices.whole(value)
        for side, (letter, structure) in enumerate((("L", "CortexLeft"), ("R", "CortexRight"))):
            if (e.hemi == side).any() and np.isfinite(value).any():
                path = out / f"hemi-{letter}_{key}.func.gii"
                write_func_gii(path, mesh[side * n : (side + 1) * n], names[key], e.simulated, structure)
    if quick or not e.has_selectors:
        return
    title = f"{entry.name} on {entry.info.get('subject')}" + (" (simulated)" if e.simulated else "")
    export_maps(out, e.selectors(), e.scores["score"], use, e.vertices, e.simulated, title, e.rois)
    outlines, (vertices, same) = e.vertices.roi_rows(e.rois), common(entry)
    word = "_simulated" if e.simulated else ""
    for key, brain_map in (
        ("layer", layer_map(e.selectors(), vertices, **same)),
        ("space", space_map(e.selectors(), vertices, **same)),
    ):
        flat_svg(brain_map, out / f"flat_{key}{word}.svg", rois=outlines, simulated=e.simulated)
