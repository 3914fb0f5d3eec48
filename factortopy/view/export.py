"""Everything of a run to take away: pictures, drawings, files for other programs, the viewer as a page, the run itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.archive import pack_run
from factortopy.errors import InputError
from factortopy.formats.gifti import SIDES, write_func_gii, write_label_gii
from factortopy.storage.machine import explain_os_error
from factortopy.surfaces.coordinates import full_index
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.view import charts, exchange
from factortopy.view.brainmap import whole
from factortopy.view.factor_maps import layer_map, scale_map, selector_maps, space_map
from factortopy.view.flat_picture import flat_png, flat_svg
from factortopy.view.html import view_html
from factortopy.view.maps import score_map
from factortopy.view.outlines import name_places, segments
from factortopy.view.surface_picture import surface_png, turntable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from factortopy.encoder.encoder import Encoder
    from factortopy.encoder.selectors import Selectors
    from factortopy.experiments.result import Result
    from factortopy.runs import Run

__all__ = [
    "WHAT", "export_maps", "export_result", "export_run", "flat_png", "flat_svg", "name_places", "segments", "surface_png",
    "turntable", "view_html", "write_func_gii", "write_label_gii",
]  # fmt: skip


def export_maps(
    out_dir: str | Path,
    selectors: Selectors,
    score: np.ndarray,
    painted: np.ndarray,
    hemi: np.ndarray,
    vertex: np.ndarray,
    density: str,
    simulated: bool,
    title: str,
    rois: Mapping[str, np.ndarray] | None = None,
) -> list[Path]:
    """Write a fitted encoder's maps into a folder.

    Parameters
    ----------
    selectors : Selectors
    score : (N,) float
        Brain score on test trials.
    painted : (N,) bool
        Vertices predicted above chance; the selectors' maps hold these alone, the score holds all.
    title : str
        Which network on whom, for the pictures' sentences.
    rois : dict of name to (N,) bool, optional

    Returns
    -------
    list of Path
        ``hemi-{L,R}_layer.label.gii``, ``hemi-{L,R}_{confidence,scale,score,space}.func.gii`` and a PNG a map, whose
        name holds "simulated" when the data are.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    painted = np.asarray(painted, dtype=bool)
    at: dict[str, Any] = {"hemi": hemi, "vertex": vertex, "density": density}
    paths = list(exchange.write_gifti(out, exchange.RunMaps(selectors, score, painted, **at, simulated=simulated)))
    word = "_simulated" if simulated else ""
    outlines = {name: full_index(hemi, vertex, density)[np.asarray(mask, bool)] for name, mask in (rois or {}).items()}
    common: dict[str, Any] = {**at, "painted": painted, "context": title}
    pictures = {
        "layer": layer_map(selectors, **common),
        "space": space_map(selectors, **common),
        "scale": scale_map(selectors, **common),
        "score": score_map(score, **common),
    }
    for name, brain_map in pictures.items():
        paths.append(flat_png(brain_map, out / f"flat_{name}{word}.png", rois=outlines, simulated=simulated))
    return paths


def export_result(
    out_dir: str | Path, result: Result, encoder: Encoder, say: Callable[[Path], None] | None = None
) -> list[Path]:
    """Write an experiment's maps (``Result``) as GIFTI of the whole mesh, as one table and as pictures; returns the paths.

    ``hemi-{L,R}_{map}.func.gii``, ``maps.csv`` (a row a vertex) and ``flat_{map}.png`` and ``.svg``. When the subject is
    simulated, "simulated" is in the names of pictures and table, in a column of the table and in the GIFTI's own words.
    ``say`` is called with each path when it is written.
    """
    from factortopy.view.lab_maps import result_maps

    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    at: dict[str, Any] = {"hemi": encoder.hemi, "vertex": encoder.vertex, "density": encoder.density}
    n, word = N_VERTICES[encoder.density], "_simulated" if encoder.simulated else ""
    paths: list[Path] = []

    def written(path):
        paths.append(path)
        if say is not None:
            say(path)

    written(exchange.write_vertices(out / f"maps{word}.csv", encoder, result.maps))
    for name, values in result.maps.items():
        mesh = whole(np.asarray(values, dtype=float), **at)
        for side, (letter, structure) in enumerate(SIDES):
            path = out / f"hemi-{letter}_{name}.func.gii"
            written(write_func_gii(path, mesh[side * n : (side + 1) * n], name, encoder.simulated, structure))
    title = f"{encoder.backbone_name} on {encoder.info.get('subject')}"
    outlines = {name: full_index(**at)[np.asarray(mask, bool)] for name, mask in encoder.rois.items()}
    degrees = encoder.info.get("image_degrees") or 8.4
    known = {name: values for name, values in result.maps.items() if np.isfinite(values).any()}
    drawn = result_maps(known, **at, context=title, image_degrees=degrees)
    for name, brain_map in zip(known, drawn, strict=True):
        for draw, ending in ((flat_png, "png"), (flat_svg, "svg")):
            path = out / f"flat_{name}{word}.{ending}"
            written(draw(brain_map, path, rois=outlines, simulated=encoder.simulated))
    return paths


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
        self.at = {"hemi": encoder.hemi, "vertex": encoder.vertex, "density": encoder.density}
        self.simulated, self.word = encoder.simulated, "_simulated" if encoder.simulated else ""
        self.title = f"{self.info['backbone']} on {self.info['subject']}" + (" (simulated)" if self.simulated else "")
        rows = full_index(**self.at)
        self.rois = {name: rows[np.asarray(mask, bool)] for name, mask in encoder.rois.items()}

    @cached_property
    def selectors(self):
        return self.encoder.selectors() if self.encoder.has_selectors else None

    @cached_property
    def maps(self):
        """All maps, the layers' own weights too."""
        return selector_maps(
            self.selectors, **self.at, painted=self.painted, score=self.score, context=self.title,
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
        score = whole(self.score, **self.at)
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
        return exchange.RunMaps(self.selectors, self.score, self.painted, **self.at, simulated=self.simulated)

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
