"""FactorTopy's own folder layout: responses on fsaverage, pictures or films, and one small text each that says what they are.

    mydata/dataset.json                     subject, space, density, normalised, averaged, …
    mydata/images/*.png, *.jpg              or stimuli/ with films or folders of frames (``movies``)
    mydata/trials.tsv                       a row for each row of responses; missing: sorted file names are the rows
    mydata/responses/hemi-{L,R}.npy         (trials, vertices); or .func.gii, .shape.gii, .mgh, .mgz, or one CIFTI file
    mydata/vertices/hemi-{L,R}.npy          0-based mesh indices; missing for whole hemispheres
    mydata/roi/hemi-{L,R}_<set>.npy, <set>.tsv          labels, and their names (index, name)
    mydata/noise/hemi-{L,R}_{ncsnr,noise_ceiling}.npy
    mydata/maps/hemi-{L,R}_<name>.npy       measured maps

``examine`` looks at everything and lists every problem; ``load`` is ``examine``, then the first problem that stops, or
the subject. docs/folder.md describes the layout for people.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factortopy.formats.npy import row_blocks
from factortopy.formats.problems import DataError, close_to, stop
from factortopy.subjects.examination import Examined, Known
from factortopy.subjects.folder import trials as folder_trials
from factortopy.subjects.folder import vertices as folder_vertices
from factortopy.subjects.folder.responses import (
    CIFTI,
    ENDINGS,
    check_memory,
    files_in,
    is_volume,
    open_cifti,
    open_rows,
    volume,
)
from factortopy.subjects.folder.tables import COLUMNS, read_about, read_table
from factortopy.subjects.folder.trials import SPLITS
from factortopy.subjects.names import DENSITY
from factortopy.subjects.progress import each
from factortopy.subjects.response_arrays import z_score
from factortopy.subjects.split import Split, default_split
from factortopy.subjects.subject import Subject
from factortopy.subjects.surface_beside import add_surface
from factortopy.surfaces.coordinates import checked_density
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few, safe_label

LAYOUT = "FactorTopy's folder layout"
LOOKED_FOR = "dataset.json and responses/ (folder layout)"
PARTS = ("images", "stimuli", "responses", "vertices", "roi", "noise", "maps")  # folders inside a subject
HEMISPHERES = ("L", "R")
SIDES = {"L": "left", "R": "right"}
EXAMPLE = (
    '{"subject": "anna", "space": "fsaverage", "density": "164k", "normalised": "session", "averaged": false} with your own '
    "values (density 10k, 41k or 164k; normalised session, or none for responses that are not z-scored); docs/folder.md"
)
_TYPICAL = 20.0  # z-scores beyond this, on the median, are none


def is_subject_folder(folder):
    """True where the folder holds one subject of this layout, complete or not."""
    folder = Path(folder)
    if (folder / "dataset.json").is_file():
        return any((folder / part).is_dir() for part in ("responses", "images"))
    shown = any((folder / part).exists() for part in ("images", "stimuli", "trials.tsv"))
    return shown and any(name.startswith("hemi-") and name.endswith(ENDINGS) for name in files_in(folder / "responses"))


@dataclass
class Examination(Examined):
    """What a subject's folder holds, and everything that is wrong with it.

    about : dict, what dataset.json says; table : {column: list of str} of trials.tsv, or None
    rows : {hemisphere: Rows}; vertices : {hemisphere: (n,) mesh indices}
    images : list of Path; image_index : (T,); session : (T,) or None; film : movies.Film or None
    rois : {name: {hemisphere: (n,) bool}}; ceiling : {hemisphere: (n,)}; maps : {name: {hemisphere: (n,)}}
    """

    folder: Path
    name: str
    about: dict = field(default_factory=dict)
    table: dict | None = None
    rows: dict = field(default_factory=dict)
    vertices: dict = field(default_factory=dict)
    images: list = field(default_factory=list)
    image_index: np.ndarray | None = None
    session: np.ndarray | None = None
    film: object = None
    rois: dict = field(default_factory=dict)
    ceiling: dict = field(default_factory=dict)
    maps: dict = field(default_factory=dict)

    @property
    def hemispheres(self):
        """Those whose responses are here."""
        return [hemi for hemi in HEMISPHERES if hemi in self.rows]

    def known(self):
        """``Known``: what could be read."""
        sides, there = [None, None], [hemi for hemi in HEMISPHERES if hemi in self.vertices]
        for k, hemi in enumerate(HEMISPHERES):
            if hemi in self.rows:
                sides[k] = len(self.vertices[hemi]) if hemi in self.vertices else self.rows[hemi].shape[1]
        pictures = None if self.film else len(self.images)
        rois = {name: [masks[hemi] for hemi in there] for name, masks in self.rois.items()}
        trials = max((rows.shape[0] for rows in self.rows.values()), default=None)
        return Known.of(trials, pictures, sides, rois, [self.ceiling[hemi] for hemi in there if hemi in self.ceiling])

    @property
    def n_rows(self):
        """Rows of responses, or None where they are unknown or differ."""
        lengths = {rows.shape[0] for rows in self.rows.values()}
        return lengths.pop() if len(lengths) == 1 else None


# ---------------------------------------------------------------- looking


def examine(folder, thorough=False):
    """Look at every file of a subject; of large responses only some rows are read.

    Parameters
    ----------
    folder : path
        The folder that holds dataset.json.
    thorough : bool
        Decode every picture and frame, not some.

    Returns
    -------
    Examination
    """
    folder = Path(os.path.abspath(folder))
    about, problems = {}, []
    try:
        if not os.path.lexists(folder / "dataset.json"):
            raise stop(folder, "dataset.json, as this looks like the folder layout", "none", f"write it: {EXAMPLE}")
        about = read_about(folder / "dataset.json", problems)
    except DataError as error:
        problems.append(error.problem)
    name = about.get("subject") or safe_label(folder.name)
    found = Examination(folder, name, about, problems=problems, thorough=thorough)
    _examine_responses(found)
    table = folder / "trials.tsv"
    if table.exists() or table.is_symlink():
        found.table = found.try_to(read_table, table, (), COLUMNS)
    if found.table is not None or not (table.exists() or table.is_symlink()):
        folder_trials.examine(found)
    for hemi in found.hemispheres:
        vertices = found.try_to(folder_vertices.vertices, found, hemi)
        if vertices is not None:
            found.vertices[hemi] = vertices
    if found.hemispheres and len(found.vertices) == len(found.rows):
        folder_vertices.examine_rois(found)
        folder_vertices.examine_ceiling(found)
        folder_vertices.examine_maps(found)
    return found


def _examine_responses(found):
    folder = found.folder / "responses"
    files = files_in(folder)
    volumes = [path for path in files.values() if is_volume(path)]
    for path in volumes:
        found.problems.append(volume(path, path.name).problem)
    both = [path for name, path in files.items() if name.endswith(CIFTI)]
    sides = {hemi: [files[f"hemi-{hemi}{e}"] for e in ENDINGS if f"hemi-{hemi}{e}" in files] for hemi in HEMISPHERES}
    several = [paths for paths in [*sides.values(), both] if len(paths) > 1]
    for paths in several:
        found.stop(folder, "one file of responses a hemisphere", first_few(p.name for p in paths), "remove the others")
    if both and any(sides.values()):
        found.stop(folder, "hemi-L and hemi-R files or one CIFTI file", "both kinds", "remove one of them")
    elif not both and not any(sides.values()) and not volumes:
        have = first_few(map(safe_label, files)) or ("an empty folder" if folder.is_dir() else "no such folder")
        found.stop(folder, "hemi-L.npy and hemi-R.npy (or .func.gii, .mgh, …)", have, "copy or rename the responses")
    elif both and not several:
        found.rows = found.try_to(open_cifti, both[0]) or {}
    elif not several:
        for hemi, paths in sides.items():
            rows = found.try_to(open_rows, paths[0]) if paths else None
            if rows is not None:
                found.rows[hemi] = rows
        _examine_lost(found, sides, files)
    lengths = {hemi: rows.shape[0] for hemi, rows in found.rows.items()}
    if len(set(lengths.values())) > 1:
        text = f"{lengths['L']:,} rows left, {lengths['R']:,} right"
        found.stop(folder, "the same number of rows in both hemispheres", text, "copy or save both again")
    if len(found.hemispheres) == 1:
        found.remarks.append(f"{SIDES[found.hemispheres[0]]} hemisphere alone")
    for rows in found.rows.values():
        _examine_values(found, rows)


def _examine_lost(found, sides, files):
    """Warn of a hemisphere without responses for which there is something else."""
    for hemi in (hemi for hemi in HEMISPHERES if not sides[hemi] and any(sides.values())):
        parts = ("vertices", "roi", "noise", "maps")
        others = [
            f"{part}/{safe_label(n)}"
            for part in parts
            for n in files_in(found.folder / part)
            if n.startswith(f"hemi-{hemi}")
        ]
        if others:
            path = found.folder / "responses" / f"hemi-{hemi}.npy"
            expected = f"responses of the {SIDES[hemi]} hemisphere, as there is {first_few(others, 3)}"
            remedy = "the other hemisphere is used alone: copy it, or remove those files"
            found.warn(path, expected, "none" + close_to(path.name, files), remedy)


def _examine_values(found, rows):
    """Do the numbers look like what dataset.json says? Some rows are looked at."""
    normalised = found.about.get("normalised")
    if rows.dtype.kind != "f":
        remedy = "scaled by 300 as NSD's files are? divide first; they are used as they are"
        found.warn(rows.path, "responses as float32", f"whole numbers ({rows.dtype.name})", remedy)
    values = rows.some()
    values = np.abs(values[np.isfinite(values)])
    if values.size == 0 or not values.any():
        return
    typical, extreme = float(np.median(values)), float(values.max())
    if extreme > 1e9 or extreme < 1e-9:
        remedy = "bytes swapped or damaged: copy or save it again"
        found.stop(rows.path, "responses of an ordinary size", f"values up to {extreme:.3g}", remedy)
    elif normalised == "session" and typical > _TYPICAL:
        remedy = "int16-scaled (×300), or not z-scored? correct 'normalised' in dataset.json, or divide them"
        found.warn(rows.path, "z-scores, mostly between −3 and 3", f"values of typically {typical:.3g}", remedy)


# ---------------------------------------------------------------- loading


def load(folder, density=DENSITY):
    """A subject of the folder layout.

    Parameters
    ----------
    folder : path
        The folder that holds dataset.json.
    density : "10k", "41k" or "164k"
        At which it is drawn and trained: vertices beyond this mesh are left out. No finer than the data's own.

    Raises
    ------
    InputError
        The first problem that ``examine`` finds and that stops.
    """
    return to_subject(examine(folder), density)


def to_subject(found, density=DENSITY):
    """The Subject of an Examination; raises the first problem that stops."""
    problem = found.first_stop()
    if problem:
        raise DataError(problem)
    density = min(checked_density(density), found.about["density"], key=N_VERTICES.get)
    keep = {hemi: vertices < N_VERTICES[density] for hemi, vertices in found.vertices.items()}
    if not any(mask.any() for mask in keep.values()):
        raise stop(found.folder / "vertices", f"vertices on the {density} mesh", "none", "choose a higher density")
    film = found.film
    images, image_index = (film.images(), film.image_index) if film else (found.images, found.image_index)
    rois = {name: _joined(masks, keep) for name, masks in found.rois.items()}
    lost = [name for name, mask in rois.items() if not mask.any() and any(m.any() for m in found.rois[name].values())]
    subject = Subject(
        _responses(found, keep),
        images,
        hemi=np.repeat([0, 1], [int(keep[hemi].sum()) if hemi in keep else 0 for hemi in HEMISPHERES]),
        vertex=_joined(found.vertices, keep),
        rois={name: mask for name, mask in rois.items() if name not in lost},
        noise_ceiling=_joined(found.ceiling, keep) if found.ceiling else None,
        image_index=image_index,
        split=_split(found, image_index),
        name=found.name,
        simulated=found.about["simulated"],
        density=density,
        image_degrees=found.about["image_degrees"] or 8.4,
        session=found.session,
        onset=film.onset if film else None,
        tr=found.about["tr"] if film else None,
        maps={name: _joined(parts, keep) for name, parts in found.maps.items()},
        film=film,
    )
    n, total = sum(int(mask.sum()) for mask in keep.values()), sum(len(v) for v in found.vertices.values())
    if n < total:
        subject.remark(f"drawn and trained at {density}: {n:,} of {total:,} vertices")
    add_surface(subject, found.folder, found.folder.parent)
    if lost:
        subject.remark(f"too small to have a vertex at {density}: {first_few(lost, 20)}")
    for remark in found.remarks:
        subject.remark(remark)
    subject.warnings[:0] = found.problems
    return subject


def _split(found, image_index):
    if found.film is not None:
        return found.film.split(found.table.get("split"))
    labels = found.table.get("split") if found.table is not None else None
    if labels is None:
        return None
    rows = {part: np.flatnonzero(np.array(labels) == part) for part in SPLITS}
    if len(rows["test"]) and not len(rows["val"]):
        return default_split(image_index, test=rows["test"])
    return Split(**rows)


def _responses(found, keep):
    """(T, N) float32: both hemispheres side by side, z-scored per session where dataset.json says that they are not.

    A single hemisphere that needs neither stays a memory map of its file.
    """
    raw = found.about["normalised"] == "none" and found.session is not None
    if len(keep) == 1 and not raw:
        ((hemi, mask),) = keep.items()
        source = found.rows[hemi].source
        if isinstance(source, np.memmap) and mask.all() and source.dtype == np.float32 and source.dtype.isnative:
            return source
    n = sum(int(mask.sum()) for mask in keep.values())
    check_memory(found.folder / "responses", 4 * found.n_rows * n, "choose fewer sessions or vertices (an ROI)")
    out, start = np.empty((found.n_rows, n), dtype=np.float32), 0
    for hemi in found.hemispheres:
        mask = keep[hemi]
        columns = slice(0, int(mask.sum())) if mask[: int(mask.sum())].all() else np.flatnonzero(mask)
        stop_at = start + int(mask.sum())
        told = f"reading the responses of the {SIDES[hemi]} hemisphere"
        for rows, block in each(found.rows[hemi].blocks(), told, len(row_blocks(*found.rows[hemi].shape))):
            out[rows, start:stop_at] = block[:, columns]
        start = stop_at
    if raw:
        for label in np.unique(found.session):
            rows = np.flatnonzero(found.session == label)
            for first in range(0, n, 4096):
                with np.errstate(invalid="ignore", over="ignore"):  # vertices with missing values are dropped later
                    out[rows, first : first + 4096] = z_score(out[rows, first : first + 4096])
        found.remarks.append("z-scored by session" if "session" in found.table else "z-scored by run")
    elif found.about["normalised"] == "session":
        found.remarks.append("already z-scored by session (dataset.json): not again")
    else:
        path = found.folder / "trials.tsv"
        remedy = "used as they are, and scores may suffer: add it, or z-score them and say 'normalised': 'session'"
        found.warn(path, "a column 'session' to z-score by (dataset.json: normalised none)", "none", remedy)
    return out


def _joined(parts, keep):
    return np.concatenate([parts[hemi][keep[hemi]] for hemi in HEMISPHERES if hemi in keep])
