"""Everything of a run to take away: pictures, drawings, files for other programs, the viewer as a page, the run itself."""

from functools import cached_property
from pathlib import Path

import numpy as np

from factortopy.archive import pack_run
from factortopy.errors import InputError
from factortopy.records import explain_os_error
from factortopy.surfaces import N_VERTICES, full_index
from factortopy.view import charts, colour, maps
from factortopy.view.brainmap import whole
from factortopy.view.flat_picture import flat_png, flat_svg
from factortopy.view.gifti import SIDES, write_func_gii, write_label_gii
from factortopy.view.html import view_html
from factortopy.view.outlines import name_places, segments
from factortopy.view.surface_picture import surface_png, turntable

__all__ = [
    "WHAT", "export_maps", "export_result", "export_run", "flat_png", "flat_svg", "name_places", "segments", "surface_png",
    "turntable", "view_html", "write_func_gii", "write_label_gii",
]  # fmt: skip


def export_maps(out_dir, selectors, score, painted, hemi, vertex, density, simulated, title, rois=None):
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
    at = {"hemi": hemi, "vertex": vertex, "density": density}
    paths = _gifti_of_run(out, selectors, score, painted, at, simulated)
    word = "_simulated" if simulated else ""
    outlines = {name: full_index(hemi, vertex, density)[np.asarray(mask, bool)] for name, mask in (rois or {}).items()}
    common = {**at, "painted": painted, "context": title}
    pictures = {
        "layer": maps.layer_map(selectors, **common),
        "space": maps.space_map(selectors, **common),
        "scale": maps.scale_map(selectors, **common),
        "score": maps.score_map(score, **common),
    }
    for name, brain_map in pictures.items():
        paths.append(flat_png(brain_map, out / f"flat_{name}{word}.png", rois=outlines, simulated=simulated))
    return paths


def _gifti_of_run(out, selectors, score, painted, at, simulated):
    n_layers = selectors.layer.shape[1]
    colours = colour.layers(n_layers)
    table = [(k + 1, f"layer {k + 1} of {n_layers}", colours[k]) for k in range(n_layers)]
    keep = lambda values: np.where(painted.reshape(-1, *[1] * (np.ndim(values) - 1)), values, np.nan)  # noqa: E731
    layer = whole(np.where(painted, selectors.layer_argmax + 1, 0), fill=0, **at)
    functions = {
        "confidence": (keep(selectors.layer_confidence), "layer confidence, 0 uniform to 1 one-hot"),
        "scale": (keep(selectors.scale), "scale, 0 local to 1 global"),
        "score": (np.asarray(score, dtype=float), "brain score R2 on test trials"),
        "space": (keep(selectors.space), ("x, -1 left to 1 right", "y, -1 top to 1 bottom")),
    }
    paths, n = [], N_VERTICES[at["density"]]
    for side, (letter, structure) in enumerate(SIDES):
        rows = slice(side * n, (side + 1) * n)
        paths.append(write_label_gii(out / f"hemi-{letter}_layer.label.gii", layer[rows], table, simulated, structure))
        for kind, (values, name) in functions.items():
            path = out / f"hemi-{letter}_{kind}.func.gii"
            paths.append(write_func_gii(path, whole(values, **at)[rows], name, simulated, structure))
    return paths


def export_result(out_dir, result, encoder):
    """Write an experiment's maps (``Result``) as GIFTI of the whole mesh and as PNG; returns the paths.

    ``hemi-{L,R}_{map}.func.gii`` and ``flat_{map}.png``; "simulated" is in the pictures' names when the subject is.
    """
    from factortopy.view.lab_maps import result_maps

    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    at = {"hemi": encoder.hemi, "vertex": encoder.vertex, "density": encoder.density}
    n, paths, word = N_VERTICES[encoder.density], [], "_simulated" if encoder.simulated else ""
    for name, values in result.maps.items():
        mesh = whole(np.asarray(values, dtype=float), **at)
        for side, (letter, structure) in enumerate(SIDES):
            path = out / f"hemi-{letter}_{name}.func.gii"
            paths.append(write_func_gii(path, mesh[side * n : (side + 1) * n], name, encoder.simulated, structure))
    title = f"{encoder.backbone_name} on {encoder.info.get('subject')}"
    outlines = {name: full_index(**at)[np.asarray(mask, bool)] for name, mask in encoder.rois.items()}
    degrees = encoder.info.get("image_degrees") or 8.4
    known = {name: values for name, values in result.maps.items() if np.isfinite(values).any()}
    drawn = result_maps(known, **at, context=title, image_degrees=degrees)
    for name, brain_map in zip(known, drawn, strict=True):
        path = out / f"flat_{name}{word}.png"
        paths.append(flat_png(brain_map, path, rois=outlines, simulated=encoder.simulated))
    return paths


# ---------------------------------------------------------------- one verb for all

WHAT = ("png", "svg", "gif", "mp4", "html", "gifti", "run")


def export_run(run, out_dir, what=WHAT[:3] + WHAT[4:], *, width=7.0, dpi=300, say=None):
    """Write a finished run in the forms asked for.

    Parameters
    ----------
    run : Run
    what : tuple of str
        png: each map flat, and on the surface in six views; svg: each map flat, and charts; gif, mp4: the layers turning;
        html: the viewer with all maps as a page; gifti: values and labels for other programs; run: all of it as one file.
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
        from factortopy.encoder import Encoder

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
        return maps.selector_maps(
            self.selectors, **self.at, painted=self.painted, score=self.score, context=self.title,
            image_degrees=self.info.get("image_degrees"),
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

    def gifti_files(self, out, width, dpi):
        if self.selectors is None:
            raise InputError(
                f"{self.run.name}: expected layers, space and scale, found a baseline without; leave out gifti"
            )
        yield from _gifti_of_run(out, self.selectors, self.score, self.painted, self.at, self.simulated)

    def run_files(self, out, width, dpi):
        yield pack_run(self.run, out, experiments=True)
