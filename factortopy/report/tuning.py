"""Fine-tuning in the report: before and after, slope against what was lost, accuracy (short paper, Fig. 6, Tables 1 and 14, 4.1)."""

from pathlib import Path

import numpy as np

from factortopy import analysis
from factortopy.analysis.curves import top_confidence
from factortopy.analysis.scores import painted
from factortopy.errors import unexpected
from factortopy.formats.tables import read_table
from factortopy.report import figures
from factortopy.report.document import safe_name, vertex_rows
from factortopy.report.entries import alike, pairs
from factortopy.report.mapping import common
from factortopy.report.missing import RUNS
from factortopy.view import layer_map, value_map

MISSING = (
    "No network is here before and after fine-tuning. Fine-tune one (factortopy finetune --backbone demo-vit --images DIR --out TUNED), "
    "fit it (factortopy train --weights TUNED/finetuned.safetensors …), and give the report both runs."
)
NO_ACCURACY = (
    "No network's accuracy is known. It comes with a network that was fine-tuned, or from a table: report --accuracy FILE.csv with the "
    "columns network and accuracy."
)


def section(doc, entries, flat, table=None):
    """Everything about fine-tuning; the evidence is losses and accuracies."""
    both, accuracy = pairs(entries), accuracies(entries, table)
    doc.section(
        "Fine-tuning and accuracy",
        "Fine-tuning trains the whole network, with a linear head on one of its layers, to name the classes of other pictures.",
    )
    if not both:
        figures_of_it = "Figs. 6, 23, Table 14, short paper's Table 1"
        doc.note(MISSING, RUNS, f"before and after fine-tuning ({figures_of_it}): needs a network before and after it")
    for name, (before, after) in both.items():
        _before_after(doc, name, before, after, flat)
    if both:
        doc.evidence.tuning = _lost(doc, both)
    _table(doc, entries)
    _head_layers(doc, entries)
    if accuracy:
        doc.evidence.accuracy, doc.evidence.accuracies = _against(doc, entries, accuracy), accuracy[0]
    else:
        doc.note(NO_ACCURACY)


def accuracies(entries, table=None):
    """({network: accuracy}, where it is from) of the entries; {} where none is known.

    From ``table`` (CSV with network and accuracy) where one is given. Else the linear probe of each network, as it was, on the data that
    a network here was fine-tuned on (the data of most networks); where only fine-tuned ones are here, theirs. Of several fits of one
    network one counts (``entries.alike``).
    """
    if table is not None:
        return _read(table, {e.name for e in entries}), f"accuracy as {Path(table).name} tells it"
    probes, fine_tuned = {}, {}
    for e in entries:
        tuned = e.info.get("finetuned")
        if tuned and tuned.get("accuracy"):
            before, after = (tuned["accuracy"][part]["all"] for part in ("before", "after"))
            probes.setdefault(tuned["data"], {})[str(tuned.get("began_as") or tuned["base"])] = before
            fine_tuned.setdefault(tuned["data"], {})[e.name] = after
    if not probes:
        return {}
    data = max(probes, key=lambda name: len(probes[name]))
    names = {e.name: str(e.info.get("backbone")) for e in alike([e for e in entries if not e.info.get("finetuned")])}
    accuracy = {name: probes[data][backbone] for name, backbone in names.items() if backbone in probes[data]}
    if accuracy:
        return accuracy, f"accuracy is that of a linear probe of the networks as they were, on {data}"
    counted = {e.name for e in alike([e for e in entries if e.name in fine_tuned[data]])}
    accuracy = {name: value for name, value in fine_tuned[data].items() if name in counted}
    return accuracy, f"accuracy is that of the fine-tuned networks on {data}"


def _read(path, names):
    table = read_table(path, ("network", "accuracy"), hint="write the columns network and accuracy")
    values, accuracy = table.numbers("accuracy", missing=np.nan), {}
    for k, name in enumerate(table["network"]):
        if name not in names:
            continue
        if not np.isfinite(values[k]):
            raise table.wrong("accuracy", k, "a number")
        if accuracy.setdefault(name, values[k]) != values[k]:
            raise table.wrong("network", k, "every network once", "remove one of its rows")
    accuracy = {name: float(value) for name, value in accuracy.items()}
    if not accuracy:
        expected = f"a row for one of {', '.join(sorted(names))}"
        raise unexpected(path, expected, "none", "name networks as the report does")
    return accuracy


# ---------------------------------------------------------------- before and after


def _before_after(doc, name, before, after, flat):
    """Fig. 6 and the short paper's Table 1 for one network."""
    a, b, key = before.encoder, after.encoder, safe_name(name)
    rows = analysis.before_after(a, b)
    whole, areas = rows[-1], [row for row in rows if row["roi"] != "all"]
    tuned = after.info["finetuned"]
    right = tuned.get("accuracy") or {}
    shows = f"Mean R² over all {whole['vertices']:,} vertices {whole['before']:.3f} before, {whole['after']:.3f} after"
    if areas:
        most = min(areas, key=lambda row: row["change"])
        shows += f"; the largest loss of an area is in {most['roi']}" if most["change"] < 0 else "; no area lost"
        shows += f" ({most['change']:+.3f})".replace("-", "−") if most["change"] < 0 else ""
    if right:
        shows += f". Accuracy on {tuned['data']} {right['before']['all']:.0%} (linear probe) before, {right['after']['all']:.0%} after"
    paper = "After the short paper's Table 1 and Fig. 6"
    scores = {word: [row[word] for row in rows] for word in ("before", "after")}
    drawn = figures.bars([row["roi"] for row in rows], list(scores), [("mean R²", scores)], doc.simulated)
    doc.figure(f"tuning-{key}", f"Score before and after: {name}", drawn, rows, f"{shows}.", paper)
    shows += ". Layers run from 0, the first, to 1."
    doc.table(f"tuning-table-{key}", f"Before and after by ROI: {name}", rows, shows, paper)
    if not (a.has_selectors and b.has_selectors):
        return
    both, top = painted(a) & painted(b), top_confidence((a, b))
    pair = {"before": before, "after": after}
    maps = {word: layer_map(e.encoder.selectors(), confidence_top=top, **common(e)) for word, e in pair.items()}
    shift = analysis.layer_shift(a, b)
    values = {"layer before": a.selectors().layer_mean, "layer after": b.selectors().layer_mean, "shift": shift}
    moved = float(np.nanmean(np.abs(shift))) if both.any() else float("nan")
    shows = f"The mean layer moved by {moved:.1%} of the depth on average over the {int(both.sum()):,} vertices that both predict"
    finite = [row for row in areas if np.isfinite(row.get("moved", np.nan))]
    if finite:
        far = max(finite, key=lambda row: row["moved"])
        shows += f", most in {far['roi']} ({far['moved']:.1%})"
    shows = f"{shows}." if both.any() else "No vertex is predicted both before and after."
    drawn, rows = figures.brains(flat, maps, doc.simulated, None, a.rois), vertex_rows(a, values)
    doc.figure(f"tuning-maps-{key}", f"Layers before and after: {name}", drawn, rows, shows, "After Fig. 6")
    label = "shift of the mean layer, share of the depth"
    shown = common(before) | {"painted": both}
    one = value_map(shift, name="Layer shift", label=label, palette="blue-red", symmetric=True, **shown)
    drawn = figures.brains(flat, {"later (red) or earlier (blue) layers after": one}, doc.simulated, None, a.rois)
    rows = vertex_rows(a, {"shift": shift})
    doc.figure(f"tuning-shift-{key}", f"Which layers moved, and where: {name}", drawn, rows, shows, "After Fig. 6")


def _lost(doc, both):
    rows, r = analysis.lost({name: (before.encoder, after.encoder) for name, (before, after) in both.items()})
    befores = {before.name: before for before, _ in both.values()}
    once = {e.name for e in alike(list(befores.values()))}  # of several fits of one network one counts
    counted = {name: pair for name, pair in both.items() if pair[0].name in once}
    if len(counted) < len(both):
        r = analysis.lost({name: (before.encoder, after.encoder) for name, (before, after) in counted.items()})[1]
    for row, (_, after) in zip(rows, both.values(), strict=True):
        right = after.info["finetuned"].get("accuracy") or {}
        row |= {f"accuracy {w}": right[w]["all"] if w in right else None for w in ("before", "after")}
    points = {row["network"]: (row["slope"], row["share lost"]) for row in rows}
    n = len({id(before) for before, _ in counted.values()})
    shows = f"Rank correlation of slope and loss over {n} networks: {r:.2f}.".replace("-", "−")
    shows = shows if np.isfinite(r) else f"{n} network{'s' * (n > 1)}: a correlation needs three."
    drawn = figures.points([("share of the score that was lost", points)], doc.simulated, "hierarchy slope before")
    paper = "After the short paper (slope against the score lost by fine-tuning)"
    doc.figure("slope-lost", "Do networks ordered as the brain is forget less?", drawn, rows, shows, paper)
    return [
        row | {"base": before.name, "family": before.network.name.split("-")[0], "moved": _moved(before, after)}
        for row, (before, after) in zip(rows, both.values(), strict=True)
        if row["network"] in counted
    ]


def _moved(before, after):
    """How far the mean layer of a network moved on average, from seed to seed; none where it has no selectors."""
    if not (before.encoder.has_selectors and after.encoder.has_selectors):
        return []
    pairs = [(before.encoder, after.encoder)]
    pairs += [(before.others[seed], after.others[seed]) for seed in before.others if seed in after.others]
    return [
        float(np.nanmean(np.abs(shift))) for a, b in pairs if np.isfinite(shift := analysis.layer_shift(a, b)).any()
    ]


# ---------------------------------------------------------------- accuracy


def _table(doc, entries):
    """Table 14."""
    rows = []
    for e in entries:
        tuned = e.info.get("finetuned") or {}
        if tuned.get("accuracy"):
            before, after = (tuned["accuracy"][w] for w in ("before", "after"))
            rows.append(
                {"network": e.name, "data": tuned["data"], "classes": len(tuned.get("classes", ())),
                 "training pictures": tuned.get("train_pictures"),
                 "held-out pictures": tuned.get("held_out_pictures"), "chance": tuned.get("chance"), "linear probe before": before["all"],
                 "fine-tuned": after["all"], "mean of classes": after["mean of classes"], "rendered pictures": bool(tuned.get("simulated"))}
            )  # fmt: skip
    if rows:
        best = max(rows, key=lambda row: row["fine-tuned"])
        shows = f"Share of held-out pictures that are named rightly; the most by {best['network']}, {best['fine-tuned']:.1%} "
        shows += f"(chance {best['chance']:.0%})."
        doc.table("accuracy", "Accuracy of fine-tuned networks", rows, shows, "After Table 14")


def _head_layers(doc, entries):
    """Fig. 23: one network, one data set, heads on several layers."""
    groups = {}
    for e in entries:
        tuned = e.info.get("finetuned") or {}
        if tuned.get("accuracy"):
            groups.setdefault((tuned["base"], tuned["data"]), {})[tuned["layer"]] = e
    for (base, data), by_layer in groups.items():
        if len(by_layer) < 2:
            continue
        layers = sorted(by_layer)
        rows = [
            {"layer": k, "accuracy": by_layer[k].info["finetuned"]["accuracy"]["after"]["all"],
             "mean R²": float(np.nanmean(by_layer[k].encoder.scores["score"]))}
            for k in layers
        ]  # fmt: skip
        titles = {"accuracy": f"accuracy on {data}", "mean R²": "mean R²"}
        panels = [(title, {base: (layers, [row[key] for row in rows])}) for key, title in titles.items()]
        best = max(rows, key=lambda row: row["accuracy"])
        shows = f"A head on layer {best['layer']} names most held-out pictures, {best['accuracy']:.1%}."
        name = f"head-layers-{safe_name(base)}-{safe_name(data)}"
        title = f"Which layer the head reads: {base} on {data}"
        drawn = figures.lines(panels, doc.simulated, "layer of the head")
        doc.figure(name, title, drawn, rows, shows, "After Fig. 23")


def _against(doc, entries, accuracy):
    """4.1: an area's score against networks' accuracy."""
    values, origin = accuracy
    encoders = {e.name: e.encoder for e in entries if e.name in values}
    rows = analysis.score_against(values, encoders)
    names = list(encoders)
    shown = sorted(rows, key=lambda row: row["roi"] == "all")
    panels = [(f"mean R² of {row['roi']}", {n: (values[n], row[n]) for n in names}) for row in shown]
    rated = {row["roi"]: row["r"] for row in rows if np.isfinite(row["r"])}
    if rated:
        top, low = max(rated, key=rated.get), min(rated, key=rated.get)
        shows = f"Over {len(names)} networks the score of {top} goes along with accuracy most (r = {rated[top]:.2f})"
        shows += f", that of {low} least (r = {rated[low]:.2f})"
    else:
        shows = f"{len(names)} network{'s' * (len(names) > 1)} with a known accuracy: a correlation needs three"
    table = [{"network": n, "accuracy": values[n]} for n in names]
    doc.figure(
        "score-accuracy", "Does an area's score go along with accuracy on another task?", figures.points(panels, doc.simulated, "accuracy"),
        [("", rows), ("accuracy", table)], f"{shows}. {origin[0].upper()}{origin[1:]}.".replace("= -", "= −"), "After section 4.1",
    )  # fmt: skip
    return rows
