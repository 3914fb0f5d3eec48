"""``report`` and ``compare``: the whole report of fitted networks into one folder, and its tables on a terminal."""

import time
from pathlib import Path

from factortopy.analysis.checklist import FAILS, HOLDS, OPEN, checklist
from factortopy.errors import InputError
from factortopy.files import write_atomic
from factortopy.records import explain_os_error
from factortopy.report.document import Document, as_csv, number, text
from factortopy.report.entries import entries as read_entries

TITLE = "Reading the encoder"
WORDS = {HOLDS: ("holds", "hold"), FAILS: ("does not hold", "do not hold"), OPEN: (OPEN, OPEN)}
CLASSES = {HOLDS: "holds", FAILS: "fails"}


def report(runs, out, quick=False, steps=None, on_progress=None, say=None, accuracy=None):
    """Write the report of some finished runs.

    Parameters
    ----------
    runs : list of Run
    out : path
        report.html, figures/ (PNG, SVG, CSV), maps/ (GIFTI); runs/ with new fits unless ``quick``.
    quick : bool
        Only what the run folders hold.
    steps : int, optional
        Optimiser steps of the new fits; the first run's own when None.
    accuracy : path, optional
        CSV table of networks' accuracy on another task (columns network, accuracy); None: what fine-tuned networks say.

    Returns
    -------
    Path
        Of report.html.

    Raises
    ------
    InputError
        For runs that cannot be compared, or a folder that cannot be written.
    """
    from factortopy.report import answers, channels, diffusion, mapping, scoring, studies, tuning
    from factortopy.report.flatmap import Flat

    begun, found = time.monotonic(), read_entries(runs)
    tuning.accuracies(found, accuracy)  # a table that cannot be read is said before anything is drawn
    encoder, simulated = found[0].encoder, any(e.simulated for e in found)
    subjects = ", ".join(dict.fromkeys(str(e.info.get("subject")) for e in found))
    doc = Document(out, TITLE, _subtitle(found, subjects), simulated, say)
    if simulated:
        doc.sentences(
            "These data are simulated. They show that every analysis works, and say nothing about human brains; nothing here may be "
            "compared with the figures of the paper. A simulated subject's areas answer as they were built to: networks trained on the "
            "categories of its pictures have an advantage by construction."
        )
    doc.sentences(
        "An encoder predicts the response of every point (vertex) of the visual cortex to a picture from all layers of a network. Each "
        "vertex learns which layer it reads, where in the picture, a detail or the whole, and which channels. This report reads those "
        "choices: first how well each network predicts, then what the choices look like on the brain, what changes them, and in the end "
        "which of the paper's findings hold here.",
        'Figures and tables are named after those of "Brain Decodes Deep Nets" (Yang, Gee and Shi, CVPR 2024) that ask the same question. '
        "The numbers of the paper's figures are given from memory and may be off by one.",
    )
    doc.raw(_words())
    seen = {"networks": {e.name: {"trained": e.trained} for e in found}}
    flat = Flat(encoder.hemi, encoder.vertex, encoder.density)
    seen |= scoring.section(doc, found)
    seen |= mapping.section(doc, found, flat, quick)
    answers.section(doc, found)
    seen |= tuning.section(doc, found, flat, accuracy)
    seen |= diffusion.section(doc, found)
    first = next((e for e in found if e.encoder.has_selectors and e.trained), None)
    given = any(e.others and e.encoder.has_selectors for e in found)
    if quick or first is None:
        doc.section("What each part of the method does")
        why = "--quick was asked for" if quick else "it needs a trained factorized network"
        what = studies.STUDIES.removeprefix("seeds, ") if given else studies.STUDIES
        doc.note(f"Left out, for {why}: {what}. They need new fits: run the report without --quick.")
        if given:
            seen["seeds"] = studies.seeds_of_entries(doc, found, flat)
    else:
        from factortopy.report.refits import Refits

        refits = Refits(doc.out / "runs", first.runs[0], steps, on_progress, say)
        seen |= studies.section(doc, first, refits, flat)
    seen |= channels.section(doc, found, flat, quick)
    _checklist(doc, seen)
    doc.sentences(f"Made in {time.monotonic() - begun:.0f} s{' with --quick' if quick else ', new fits included'}.")
    return doc.write()


WORDS_USED = {
    "brain score R²": "share of a vertex's response to new pictures that the encoder predicts; 1 perfect, 0 no better than the mean",
    "noise ceiling": "the best R² that any model could reach, given the noise of the measurement",
    "predicted above chance": "vertices that maps paint: predictions beat shuffled pictures (false discovery rate 5 %)",
    "ROI": "region of interest, an area of the cortex such as V1",
    "mean layer": "the layers' depth weighted by what a vertex reads, 0 the first layer to 1 the last",
    "confidence": "1 where one layer alone is read, 0 where all are alike",
    "scale": "0 where a detail of the picture is read, 1 where the picture as a whole",
    "hierarchy slope": "how much later the layers of late areas are than those of early ones: 1 wholly ordered, 0 not at all",
    "untrained": "the same network with random weights: what the architecture alone predicts",
    "linear probe": "a linear classifier on a frozen network: how often it is right tells what the network knows already",
}


def _words():
    """The words of the report, folded away."""
    lines = "".join(f"<li><b>{text(word)}</b>: {text(meaning)}</li>" for word, meaning in WORDS_USED.items())
    return f"<details><summary>Words that are used</summary><ul>{lines}</ul></details>"


def _subtitle(found, subjects):
    names = ", ".join(e.name for e in found)
    return (
        f"{names}; subject {subjects}; {found[0].encoder.n_vertices:,} vertices, fsaverage {found[0].encoder.density}."
    )


def _checklist(doc, seen):
    """Findings with the figures that test them."""
    findings = checklist(seen)
    count = {v: sum(f.verdict == v for f in findings) for v in WORDS}
    doc.section(
        "The paper's findings on these data",
        "After the paper's Table 5 and text, from memory: wording and numbering may differ. Each verdict "
        "follows from the stated rule alone.",
    )
    doc.sentences(f"Of {len(findings)}: {', '.join(f'{n} {WORDS[v][n != 1]}' for v, n in count.items() if n)}.")
    lines = []
    for f in findings:
        links = ", ".join(link for name in f.figures if (link := doc.link(name))) or "–"
        kind = CLASSES.get(f.verdict, "open")
        cells = [
            f'{text(f.claim)}<br><span class="paper">{text(f.source)}</span>',
            f'<span class="{kind}">{text(f.verdict)}</span>',
            text(f.told),
            text(f.rule),
            links,
        ]
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{word}</th>" for word in ("Finding", "Verdict", "Numbers", "Rule", "Figure"))
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    doc.raw(f'<div class="wide"><table class="findings">{body}</table></div>')
    rows = [
        {"finding": f.claim, "source": f.source, "verdict": f.verdict, "numbers": f.told, "rule": f.rule}
        for f in findings
    ]
    doc.keep("findings", rows)


# ---------------------------------------------------------------- verbs


def report_verb(options):
    """``python -m factortopy report``."""
    from factortopy.commands import Ticker

    runs = _runs(options.runs)
    ticker = Ticker()
    try:
        path = report(runs, options.out, options.quick, options.steps, ticker, ticker.say, options.accuracy)
    finally:
        ticker.finish()
    print(f"written: {path}")
    return 0


def compare_verb(options):
    """``python -m factortopy compare``."""
    from factortopy.report import scoring

    found = read_entries(_runs(options.runs))
    made, told = scoring.tables(found)
    if any(e.simulated for e in found):
        print("simulated data: these figures do not compare with those of measured brains")
    rows = []
    for key, (title, table, _) in made.items():
        print(f"\n{title}")
        print(on_terminal(table))
        rows += [{"table": key, **row} for row in table]
    for line in told:
        print(f"no hierarchy slope: {line}")
    if options.csv:
        simulated = any(e.simulated for e in found)
        try:
            write_atomic(Path(options.csv), as_csv([{"simulated": simulated, **row} for row in rows]))
        except OSError as error:
            raise explain_os_error(error, options.csv) from None
        print(f"\nwritten: {options.csv}")
    return 0


def on_terminal(rows):
    """Rows as aligned columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([number(row.get(c)) for c in columns] for row in rows)]
    width = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    wordy = [isinstance(rows[0].get(c), str) for c in columns]
    return "\n".join(
        "  ".join(w.ljust(n) if left else w.rjust(n) for w, n, left in zip(line, width, wordy, strict=True)).rstrip()
        for line in cells
    )


def _runs(names):
    """Finished runs of paths or names, without repeats of one folder."""
    from factortopy.commands import _finished

    runs = [_finished(name)[0] for name in names]
    folders = [run.path.resolve() for run in runs]
    for k, folder in enumerate(folders):
        if folder in folders[:k]:
            raise InputError(f"{runs[k].path}: expected different runs, found this one twice; give it once")
    return runs
