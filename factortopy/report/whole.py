"""The whole report of fitted networks into one folder: new fits first, then every section in its order."""

import time
from pathlib import Path

from factortopy.errors import Stopped
from factortopy.report import findings, gathered, plan, slopes
from factortopy.report.document import Document, begin, text
from factortopy.report.entries import read_entries
from factortopy.report.levels import check_levels
from factortopy.report.missing import NOT_ASKED, RUNS, Missing
from factortopy.report.refits import Refits
from factortopy.subjects.subset import learnt_pictures

TITLE = "Reading the encoder"
# Of the drawing's time.
SHARES = {"scores": 1, "maps": 8, "answers": 4, "tuning": 1, "diffusion": 1, "studies": 4, "channels": 26}


def report(
    runs, out, quick=False, steps=None, on_progress=None, say=None, accuracy=None, levels=None, fits=None, refits=None
):
    """Write the report of some finished runs.

    Parameters
    ----------
    runs : list of Run
    out : path
        New, empty, or an earlier report's: report.html, figures/ (PNG, SVG, CSV), maps/ (GIFTI); runs/ with new fits unless ``quick``.
    quick : bool
        Only what the run folders hold.
    steps : int, optional
        Optimiser steps of the new fits; the first run's own when None.
    on_progress : callable, optional
        Gets a dict (stage, step, total, …): of each new fit what ``train_run`` tells with fit, fits and doing (which one of how many),
        then the stage "drawing". Returning False stops.
    say : callable, optional
        Gets one line for each thing that happens.
    accuracy : path, optional
        CSV table of networks' accuracy on another task (columns network, accuracy); None: what fine-tuned networks say.
    levels : {ROI: float}, optional
        Order of the areas for the hierarchy slope, 0 early … 1 late; None the paper's.
    fits : path, optional
        Where new fits are kept; out/runs when None.
    refits : int, optional
        New fits of each network for its slope's interval (``slopes``); 20 when None, none when ``quick``.

    Returns
    -------
    Path
        Of report.html.

    Raises
    ------
    InputError
        For runs that cannot be compared, or a folder that cannot be written or holds other files.
    Stopped, KeyboardInterrupt
        When it was asked to stop; finished fits are kept, and the same call goes on.
    """
    from factortopy.report import answers, channels, diffusion, mapping, scoring, tuning
    from factortopy.report.flatmap import Flat

    start, entries = time.monotonic(), read_entries(runs)
    tuning.accuracies(entries, accuracy)  # a table that cannot be read is said before anything is drawn
    encoder, simulated = entries[0].encoder, any(e.simulated for e in entries)
    levels = check_levels(levels, encoder.rois)
    begin(out)
    first = None if quick else plan.refitted(entries)
    refits = None if quick else slopes.check_count(slopes.REFITS if refits is None else refits)
    again, unfitted = _fit(entries, first, Path(fits or Path(out) / "runs"), steps, refits, on_progress, say)
    drawing = _Drawing(on_progress, say, SHARES.values())
    doc = Document(out, TITLE, _subtitle(entries), simulated, drawing.say)
    _opening(doc, simulated)
    flat = Flat(encoder.vertices)
    doc.evidence = gathered.evidence(entries, levels)

    parts = {
        "scores": lambda: scoring.section(doc, entries, levels, unfitted),
        "maps": lambda: mapping.section(doc, entries, flat, quick, levels),
        "answers": lambda: answers.section(doc, entries),
        "tuning": lambda: tuning.section(doc, entries, flat, accuracy),
        "diffusion": lambda: diffusion.section(doc, entries),
        "studies": lambda: _studies(doc, entries, flat, first, again, quick, levels),
        "channels": lambda: channels.section(doc, entries, flat, quick),
    }
    drawing.tell("")
    for draw in parts.values():
        draw()
        drawing.after_part()
    findings.section(doc)
    doc.sentences(
        f"Made in {time.monotonic() - start:.0f} s{' with --quick' if quick else ', with the new fits that were not kept from before'}."
    )
    return doc.write()


def _fit(entries, first, folder, steps, refits, on_progress, say):
    """All new fits, made or found: (``Refits`` of the first network or None, why others have no interval)."""
    tasks, again, runs = [], None, [e.runs[0] for e in slopes.refittable(entries)] if refits else []
    if first is not None:
        again = Refits(folder, first.runs[0], steps, None, say)
        tasks.append(
            (again, plan.plan(again, first.first.selectors().layer.shape[1], learnt_pictures(again.subject())))
        )
    if say is not None and runs and (price := plan.slope_cost(entries, refits)):
        say(f"intervals of the hierarchy slope: {price.sentence()}")
    return again, slopes.make(runs, refits or 0, on_progress, say, tasks)


def _studies(doc, entries, flat, first, refits, quick, levels):
    from factortopy.report import studies

    if refits is not None:
        return studies.section(doc, first, refits, flat, levels)
    doc.section("What each part of the method does")
    given = any(e.others and e.encoder.has_selectors for e in entries)
    why = "--quick was asked for" if quick else "it needs a trained factorized network"
    what = studies.IN_WORDS.removeprefix("seeds, ") if given else studies.IN_WORDS
    doc.note(f"Left out, for {why}: {what}. They need new fits: run the report without --quick.")
    if given:
        studies.seeds_of_entries(doc, entries, flat)
    missing = Missing(NOT_ASKED, "needs new fits") if quick else Missing(RUNS, "needs a trained factorized network")
    doc.evidence.unfitted = dict.fromkeys(studies.STUDIES, missing)


class _Drawing:
    """Tells how far the drawing is, figure by figure, and stops it when that was asked for.

    shares : of the time, one a part, in their order
    """

    def __init__(self, on_progress, say, shares):
        self.on_progress, self.log, self.total = on_progress, say, sum(shares)
        self.left, self.done, self.within = list(shares), 0.0, 0.0

    def after_part(self):
        """A part is done."""
        self.done, self.within = self.done + self.left.pop(0), 0.0
        self.tell("")

    def say(self, title):
        """A figure or a table is done."""
        if self.log is not None:
            self.log(title)
        if self.left:  # how many figures a part has is not known: each brings it a tenth nearer to its end
            self.within += 0.1 * (self.left[0] - self.within)
        self.tell(title)

    def tell(self, title):
        share = round(100 * (self.done + self.within) / self.total)
        progress = {"stage": "drawing", "step": share, "total": 100, "doing": title}
        if self.on_progress is not None and self.on_progress(progress) is False:
            raise Stopped


# ---------------------------------------------------------------- the beginning

WORDS_USED = {
    "brain score R²": "share of a vertex's response to new pictures that the encoder predicts; 1 perfect, 0 no better than the mean",
    "noise ceiling": "the best R² that any model could reach, given the noise of the measurement",
    "predicted above chance": "vertices that maps paint: predictions beat shuffled ones (false discovery rate 5 %)",
    "ROI": "region of interest, an area of the cortex such as V1",
    "mean layer": "the layers' depth weighted by what a vertex reads, 0 the first layer to 1 the last",
    "confidence": "1 where one layer alone is read, 0 where all are alike",
    "scale": "0 where a detail of the picture is read, 1 where the picture as a whole",
    "hierarchy slope": "how much later the layers of late areas are than those of early ones: 1 wholly ordered, 0 not at all",
    "95 % interval": "a range made to hold, in 95 of 100 studies like this one, what these find on average; one fit's slope has none",
    "untrained": "the same network with random weights: what the architecture alone predicts",
    "linear probe": "a linear classifier on a frozen network: how often it is right tells what the network knows already",
}


def _opening(doc, simulated):
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
        "Its own numbers are not repeated here.",
    )
    lines = "".join(f"<li><b>{text(word)}</b>: {text(meaning)}</li>" for word, meaning in WORDS_USED.items())
    doc.raw(f"<details><summary>Words that are used</summary><ul>{lines}</ul></details>")


def _subtitle(entries):
    names = ", ".join(e.name for e in entries)
    subjects = ", ".join(dict.fromkeys(str(e.info.get("subject")) for e in entries))
    encoder = entries[0].encoder
    return f"{names}; subject {subjects}; {encoder.n_vertices:,} vertices, fsaverage {encoder.density}."
