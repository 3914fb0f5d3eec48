"""A diffusion network's time steps in the report: scores by step, and steps as layers (paper, Fig. 5, Table 13)."""

from factortopy.analysis.slope import LEVELS
from factortopy.analysis.time_steps import by_step, chosen_steps, step_of
from factortopy.report import figures
from factortopy.report.document import safe_name
from factortopy.report.missing import RUNS


def section(doc, entries):
    """Time steps, which are the evidence; says nothing where no diffusion network is here."""
    parts, over_time = {}, []
    for e in entries:
        seen = step_of(e.info.get("backbone"))
        if seen is None or e.info.get("finetuned"):
            continue
        if seen[1] is None:
            over_time.append(e)
        else:
            parts.setdefault(seen[0] or "all layers", {})[seen[1]] = e
    if not parts and not over_time:
        return
    doc.section(
        "Time steps of a diffusion network",
        "The picture is turned into noise step by step: T = 50 is the clean picture, T = 0 noise. Scores of runs at several T, and maps of "
        "one layer followed over time, whose layers are the steps.",
    )
    doc.evidence.steps = {part: {step: e.name for step, e in of.items()} for part, of in parts.items()}
    doc.evidence.over_time = [e.name for e in over_time]
    for part, of in parts.items():
        _scores(doc, part, of)
    for e in over_time:
        _chosen(doc, e)


def _scores(doc, part, of):
    """Scores by ROI of runs at several steps."""
    if len(of) < 2:
        alone = f"one time step alone (T = {next(iter(of))})"
        doc.note(f"sd-1.5, {part}: {alone}; scores by step need runs at two or more.", RUNS)
        return
    rows = by_step({step: e.encoder for step, e in of.items()})
    steps = sorted(of)
    shown = rows if len(rows) <= 8 else [row for row in rows if row["roi"] in (*LEVELS, "all")] or rows[-8:]
    series = {row["roi"]: (steps, [row[f"T {t}"] for t in steps]) for row in shown}
    whole = rows[-1]
    early, late = _ends(rows)
    shows = f"Over all vertices T = {whole['best']} has the largest mean R²"
    if early:
        shows += f"; in {early['roi']} T = {early['best']}, in {late['roi']} T = {late['best']}"
    title = f"Brain score by time step: sd-1.5, {part}"
    ticks, xlabel = (steps, [str(t) for t in steps]), "T (0 noise, 50 the clean picture)"
    drawn = figures.lines([("mean R²", series)], doc.simulated, xlabel, ticks=ticks, height=3.4, columns=1)
    doc.figure(f"time-scores-{safe_name(part)}", title, drawn, rows, f"{shows}.", "After Table 13 and Fig. 5")


def _chosen(doc, entry):
    """Which steps each ROI reads, of one layer followed over time."""
    rows = chosen_steps(entry.encoder)
    steps = [key for key in rows[0] if key.startswith("T ")] if rows else []
    if not rows:
        doc.note(f"{entry.name}: no vertex is predicted above chance, so no step is chosen.")
        return
    early, late = _ends(rows)
    shows = f"Mean step over predicted vertices: {rows[-1]['mean step']:.1f}"
    shows += f"; {early['roi']} {early['mean step']:.1f}, {late['roi']} {late['mean step']:.1f}." if early else "."
    weights, names = [[row[s] for s in steps] for row in rows], [row["roi"] for row in rows]
    drawn = figures.heat(weights, names, steps, "mean weight", doc.simulated, 0, palette="inferno")
    title, paper = f"Time steps chosen like layers: {entry.name}", "After Fig. 5; its layer map stands among the maps"
    doc.figure(f"time-steps-{safe_name(entry.name)}", title, drawn, rows, shows, paper)


def _ends(rows):
    """The rows of the lowest and the highest area of the hierarchy; (None, None) where fewer than two are here."""
    ordered = sorted((row for row in rows if row["roi"] in LEVELS), key=lambda row: LEVELS[row["roi"]])
    differ = len(ordered) > 1 and LEVELS[ordered[0]["roi"]] < LEVELS[ordered[-1]["roi"]]
    return (ordered[0], ordered[-1]) if differ else (None, None)
