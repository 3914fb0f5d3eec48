"""Everything of a run to take away: pictures, drawings, files for other programs, the viewer as a page, the run itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factortopy.errors import InputError
from factortopy.export import charts, exchange
from factortopy.export.page import view_html
from factortopy.runs.archive import pack_run
from factortopy.storage.machine import explain_os_error
from factortopy.view.factor_maps import selector_maps
from factortopy.view.flat_picture import flat_png, flat_svg
from factortopy.view.surface_picture import surface_png, turntable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from factortopy.runs.run import Run


# ---------------------------------------------------------------- one verb for all

WHAT = ("png", "svg", "gif", "mp4", "html", "gifti", "mgh", "cifti", "bids", "csv", "run")
USUAL = ("png", "svg", "gif", "html", "gifti", "csv", "run")


def export_run(
    run: Run,
    out_dir: str | Path,
    what: Sequence[str] = USUAL,
    *,
    width: float = 7.0,
    dpi: float = 300,
    say: Callable[[Path], Any] | None = None,
) -> list[Path]:
    """Write a finished run in the forms asked for.

    Parameters
    ----------
    run : Run
    what : tuple of str
        png: each map flat, and on the surface in six views; svg: each map flat, and charts; gif, mp4: the layers turning;
        html: the viewer with all maps as a page; gifti: values and labels for other programs; mgh: the same for FreeSurfer
        (annot, mgz); cifti: a dscalar file; bids: GIFTI by BIDS names, with a description; csv: tables; run: all of it as
        one file.
    width, dpi : float, int
        Of pictures: inches, dots an inch.
    say : callable, optional
        Called with each Path as soon as it is written.

    Returns
    -------
    list of Path
        "simulated" is in the names of pictures, pages and archives when the subject is.
    """
    unknown = [one for one in what if one not in WHAT]
    if unknown or not what:
        raise InputError(f"what: expected some of {', '.join(WHAT)}; found {', '.join(unknown) or 'nothing'}")
    out = Path(out_dir)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, out) from None
    pack, paths = _Pack(run), []
    for one in WHAT:
        for path in getattr(pack, f"{one}_files")(out, width, dpi) if one in what else ():
            paths.append(path)
            if say:
                say(path)
    return paths


class _Pack:
    """What the exports of a run have in common; each method yields the paths that it writes."""

    def __init__(self, run):
        from factortopy.encoder.encoder import Encoder

        self.run, self.info, self.encoder = run, run.info, Encoder.load(run.path)
        encoder, scores = self.encoder, run.scores()
        if not scores:
            raise InputError(f"{run.path}: expected scores.safetensors, found none; train it again or copy it")
        self.score, self.painted = scores["score"], scores["predicted"].astype(bool)
        self.simulated, self.word = encoder.simulated, "_simulated" if encoder.simulated else ""
        self.title = f"{self.info['backbone']} on {self.info['subject']}" + (" (simulated)" if self.simulated else "")
        self.vertices, self.rois = encoder.vertices, encoder.vertices.roi_rows(encoder.rois)

    @cached_property
    def selectors(self):
        return self.encoder.selectors() if self.encoder.has_selectors else None

    @cached_property
    def maps(self):
        """All maps, the layers' own weights too."""
        return selector_maps(
            self.selectors, self.vertices, painted=self.painted, score=self.score, context=self.title,
            clusters=self.encoder.scores.get("clusters"), image_degrees=self.info.get("image_degrees"),
        )  # fmt: skip

    def printed(self):
        """(file name, map) of those that are printed."""
        return [(m.name.lower().replace(" ", "-"), m) for m in self.maps if m.group != "Layer weight"]

    @property
    def common(self):
        return {"rois": self.rois, "simulated": self.simulated}

    def png_files(self, out, width, dpi):
        for name, one in self.printed():
            yield flat_png(one, out / f"flat_{name}{self.word}.png", **self.common, width=width, dpi=dpi)
            yield surface_png(one, out / f"surface_{name}{self.word}.png", **self.common, width=width, dpi=dpi)

    def svg_files(self, out, width, dpi):
        for name, one in self.printed():
            yield flat_svg(one, out / f"flat_{name}{self.word}.svg", **self.common, width=width)
        rows, history = self.info.get("scores"), self.run.history()
        if rows:
            yield charts.score_chart(
                out / f"chart_score{self.word}.svg", rows, f"Brain score · {self.title}", self.simulated
            )
        if self.selectors is not None and self.painted.any():
            yield charts.layer_chart(
                out / f"chart_layers{self.word}.svg", self.selectors, self.encoder.rois, self.painted,
                f"Layer weights by region · {self.title}", self.simulated,
            )  # fmt: skip
        if history.step:
            path = out / f"chart_learning{self.word}.svg"
            yield charts.history_chart(path, history, f"Learning curve · {self.title}", self.simulated)

    def gif_files(self, out, width, dpi):
        name, first = self.printed()[0]
        yield turntable(first, out / f"turning_{name}{self.word}.gif", **self.common)

    def mp4_files(self, out, width, dpi):
        name, first = self.printed()[0]
        yield turntable(first, out / f"turning_{name}{self.word}.mp4", **self.common, width=960, frames=96)

    def html_files(self, out, width, dpi):
        score = self.vertices.whole(self.score)
        yield view_html(
            self.maps, out / f"viewer{self.word}.html", **self.common, score=score, score_label="brain score R²",
            title=self.title,
        )  # fmt: skip

    def _of(self, what):
        """The maps of the run; InputError for a baseline."""
        if self.selectors is None:
            raise InputError(
                f"{self.run.name}: expected layers, space and scale, found a baseline without; leave out {what}"
            )
        return exchange.RunMaps(self.selectors, self.score, self.painted, self.vertices, self.simulated)

    def gifti_files(self, out, width, dpi):
        yield from exchange.write_gifti(out, self._of("gifti"))

    def mgh_files(self, out, width, dpi):
        yield from exchange.write_freesurfer(out, self._of("mgh"))

    def cifti_files(self, out, width, dpi):
        yield from exchange.write_cifti(out, self._of("cifti"))

    def bids_files(self, out, width, dpi):
        yield from exchange.write_bids(out, self._of("bids"), self.info)

    def csv_files(self, out, width, dpi):
        yield from exchange.write_tables(out, self.encoder, self.info.get("scores"))

    def run_files(self, out, width, dpi):
        yield pack_run(self.run, out, experiments=True)
