"""FactorTopy's own folder layout: responses on fsaverage, pictures or films, and one small text each that says what they are.

    mydata/dataset.json                     subject, space, density, normalised, averaged, …
    mydata/images/*.png, *.jpg              or stimuli/ with films or folders of frames (``films``)
    mydata/trials.tsv                       a row for each row of responses; missing: sorted file names are the rows
    mydata/responses/hemi-{L,R}.npy         (trials, vertices); or .func.gii, .shape.gii, .mgh, .mgz, or one CIFTI file
    mydata/vertices/hemi-{L,R}.npy          0-based mesh indices; missing for whole hemispheres
    mydata/roi/hemi-{L,R}_<set>.npy, <set>.tsv          labels, and their names (index, name)
    mydata/noise/hemi-{L,R}_{ncsnr,noise_ceiling}.npy
    mydata/maps/hemi-{L,R}_<name>.npy       measured maps

``examine`` looks at everything and lists every problem; ``to_subject`` raises the first that stops, or gives the subject.
docs/folder.md describes the layout for people.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factortopy.formats.files import check_memory
from factortopy.formats.problems import DataError, close_to, stop
from factortopy.formats.tables import Table, read_table
from factortopy.formats.twins import alike_where_both
from factortopy.subjects.ceilings import estimate_ceiling
from factortopy.subjects.drifts import without_drifts
from factortopy.subjects.examination import Examination, Summary, warn_of_likeness
from factortopy.subjects.folder import responses
from factortopy.subjects.folder import trials as folder_trials
from factortopy.subjects.folder import vertices as folder_vertices
from factortopy.subjects.folder.responses import ENDINGS, files_in
from factortopy.subjects.folder.tables import COLUMNS, read_about
from factortopy.subjects.names import DENSITY
from factortopy.subjects.progress import each
from factortopy.subjects.response_arrays import z_score
from factortopy.subjects.split import SPLIT_PARTS, Split, default_split
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


def is_here(folder):
    """True where the folder holds one subject of this layout, complete or not."""
    folder = Path(folder)
    if (folder / "dataset.json").is_file():
        return any((folder / part).is_dir() for part in ("responses", "images"))
    shown = any((folder / part).exists() for part in ("images", "stimuli", "trials.tsv"))
    return shown and any(name.startswith("hemi-") and name.endswith(ENDINGS) for name in files_in(folder / "responses"))


@dataclass
class FolderExamination(Examination):
    """What a subject's folder holds, and everything that is wrong with it.

    about : dict, what dataset.json says; table : Table of trials.tsv, or None; table_missing : True where there is none
    rows : {hemisphere: SurfaceValues}; vertices : {hemisphere: (n,) mesh indices}
    images : list of Path; image_index : (T,); session : (T,) or None; film : films.Film or None
    ceiling : {hemisphere: (n,)}; maps : {name: {hemisphere: (n,)}}
    """

    folder: Path
    name: str
    about: dict = field(default_factory=dict)
    table: Table | None = None
    table_missing: bool = False
    rows: dict = field(default_factory=dict)
    vertices: dict = field(default_factory=dict)
    images: list = field(default_factory=list)
    image_index: np.ndarray | None = None
    session: np.ndarray | None = None
    film: object = None
    ceiling: dict = field(default_factory=dict)
    maps: dict = field(default_factory=dict)

    @property
    def hemispheres(self):
        """Those whose responses are here."""
        return [hemi for hemi in HEMISPHERES if hemi in self.rows]

    def summary(self):
        """``Summary`` of what could be read."""
        sides, there = [None, None], [hemi for hemi in HEMISPHERES if hemi in self.vertices]
        for k, hemi in enumerate(HEMISPHERES):
            if hemi in self.rows:
                sides[k] = len(self.vertices[hemi]) if hemi in self.vertices else self.rows[hemi].shape[1]
        pictures = None if self.film else len(self.images)
        rois = {name: [masks[hemi] for hemi in there] for name, masks in self.rois.items()}
        trials = max((rows.shape[0] for rows in self.rows.values()), default=None)
        return Summary.of(trials, pictures, sides, rois, [self.ceiling[hemi] for hemi in there if hemi in self.ceiling])

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
    FolderExamination
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
    examination = FolderExamination(folder, name, about, problems=problems, thorough=thorough)
    _examine_responses(examination)
    table = examination.try_to(folder_trials.table_file, examination)
    if table is not None:
        examination.table = examination.try_to(read_table, table, (), COLUMNS)
        examination.problems += examination.table.notes if examination.table is not None else ()
    if examination.table is not None or examination.table_missing:
        folder_trials.examine(examination)
    for hemi in examination.hemispheres:
        vertices = examination.try_to(folder_vertices.vertices, examination, hemi)
        if vertices is not None:
            examination.vertices[hemi] = vertices
    _examine_likeness(examination)
    if examination.hemispheres and len(examination.vertices) == len(examination.rows):
        folder_vertices.examine_rois(examination)
        folder_vertices.examine_ceiling(examination)
        folder_vertices.examine_maps(examination)
    return examination


def _examine_responses(examination):
    folder = examination.folder / "responses"
    files = files_in(folder)
    both = [path for path in files.values() if responses.holds_both(path)]
    sides = {
        hemi: [files[f"hemi-{hemi}{e}"] for e in ENDINGS if files.get(f"hemi-{hemi}{e}") not in (None, *both)]
        for hemi in HEMISPHERES
    }
    sided = [path for paths in sides.values() for path in paths]
    volumes = [path for path in files.values() if responses.is_volume(path) and path not in (*both, *sided)]
    examination.problems += [responses.unnamed(path).problem for path in volumes]
    several = [paths for paths in [*sides.values(), both] if len(paths) > 1]
    for paths in several:
        names = first_few(path.name for path in paths)
        examination.stop(folder, "one file of responses a hemisphere", names, "remove the others")
    if both and any(sides.values()):
        examination.stop(folder, "hemi-L and hemi-R files or one CIFTI file", "both kinds", "remove one of them")
    elif not both and not any(sides.values()) and not volumes:
        have = first_few(map(safe_label, files)) or ("an empty folder" if folder.is_dir() else "no such folder")
        expected = "hemi-L.npy and hemi-R.npy (or .func.gii, .mgh, …)"
        packed = any(name.lower().endswith((".npz", ".mat", ".h5", ".hdf5")) for name in files)
        remedy = "save its arrays: np.save('hemi-L.npy', …)" if packed else "copy or rename the responses"
        examination.stop(folder, expected, have, remedy)
    elif both and not several:
        examination.rows = examination.try_to(responses.open_cifti, both[0]) or {}
    elif not several:
        for side, (hemi, paths) in enumerate(sides.items()):
            rows = examination.try_to(responses.open_rows, paths[0], side) if paths else None
            if rows is not None:
                examination.rows[hemi] = rows
        _examine_lost(examination, sides, files)
    lengths = {hemi: rows.shape[0] for hemi, rows in examination.rows.items()}
    if len(set(lengths.values())) > 1:
        text = f"{lengths['L']:,} rows left, {lengths['R']:,} right"
        examination.stop(folder, "the same number of rows in both hemispheres", text, "copy or save both again")
    if len(examination.hemispheres) == 1:
        examination.remarks.append(f"{SIDES[examination.hemispheres[0]]} hemisphere alone")
    for rows in examination.rows.values():
        _examine_values(examination, rows)
        examination.remarks += [note for note in rows.notices if note not in examination.remarks]


def _examine_lost(examination, sides, files):
    """Warn of a hemisphere without responses for which there is something else."""
    for hemi in (hemi for hemi in HEMISPHERES if not sides[hemi] and any(sides.values())):
        others = [
            f"{part}/{safe_label(name)}"
            for part in ("vertices", "roi", "noise", "maps")
            for name in files_in(examination.folder / part)
            if name.startswith(f"hemi-{hemi}")
        ]
        if others:
            path = examination.folder / "responses" / f"hemi-{hemi}.npy"
            expected = f"responses of the {SIDES[hemi]} hemisphere, as there is {first_few(others, 3)}"
            remedy = "the other hemisphere is used alone: copy it, or remove those files"
            examination.warn(path, expected, "none" + close_to(path.name, files), remedy)


def _examine_likeness(examination):
    """Warn where both hemispheres hold the same numbers, or the same part of the mesh."""
    if len(examination.vertices) < 2:
        return
    rows, vertices = examination.rows, examination.vertices
    if len({part.shape[0] for part in rows.values()}) == 1:
        parts = [(rows[hemi].sample(8), vertices[hemi]) for hemi in HEMISPHERES]
        if alike_where_both(*parts[0], *parts[1]):
            warn_of_likeness(examination, rows["L"].path, rows["R"].path)
    index = [folder_vertices.index_file(examination, hemi) for hemi in HEMISPHERES]
    if all(path.exists() for path in index) and np.array_equal(vertices["L"], vertices["R"]):
        if len(vertices["L"]) > 2 and np.ptp(np.diff(vertices["L"])):  # every vertex, or every tenth, may be meant
            warn_of_likeness(examination, *index)


def _examine_values(examination, rows):
    """Do the numbers look like what dataset.json says? Some rows are looked at."""
    normalised = examination.about.get("normalised")
    if rows.dtype.kind != "f":
        remedy = "scaled by 300 as NSD's files are? divide first; they are used as they are"
        examination.warn(rows.path, "responses as float32", f"whole numbers ({rows.dtype.name})", remedy)
    values = rows.sample()
    values = np.abs(values[np.isfinite(values)])
    if values.size == 0 or not values.any():
        return
    typical, extreme = float(np.median(values)), float(values.max())
    if extreme > 1e9 or extreme < 1e-9:
        remedy = "bytes swapped or damaged: copy or save it again"
        examination.stop(rows.path, "responses of an ordinary size", f"values up to {extreme:.3g}", remedy)
    elif normalised == "session" and typical > _TYPICAL:
        remedy = "int16-scaled (×300), or not z-scored? correct 'normalised' in dataset.json, or divide them"
        examination.warn(rows.path, "z-scores, mostly between −3 and 3", f"values of typically {typical:.3g}", remedy)


# ---------------------------------------------------------------- loading


def to_subject(examination, density=DENSITY):
    """The Subject of an examination, no finer than the data's own density; raises the first problem that stops."""
    examination.raise_first_stop()
    folder, about = examination.folder, examination.about
    density = min(checked_density(density), about["density"], key=N_VERTICES.get)
    keep = {hemi: vertices < N_VERTICES[density] for hemi, vertices in examination.vertices.items()}
    if not any(mask.any() for mask in keep.values()):
        raise stop(folder / "vertices", f"vertices on the {density} mesh", "none", "choose a higher density")
    film = examination.film
    images, image_index = (film.pictures if film else examination.images), (film or examination).image_index
    rois, lost = examination.joined_rois(lambda masks: _joined(masks, keep))
    subject = Subject(
        _responses(examination, keep),
        images,
        hemi=np.repeat([0, 1], [int(keep[hemi].sum()) if hemi in keep else 0 for hemi in HEMISPHERES]),
        vertex=_joined(examination.vertices, keep),
        rois=rois,
        noise_ceiling=_joined(examination.ceiling, keep) if examination.ceiling else None,
        image_index=image_index,
        split=_split(examination, image_index),
        name=examination.name,
        simulated=about["simulated"],
        density=density,
        image_degrees=about["image_degrees"] or 8.4,
        session=examination.session,
        onset=film.onset if film else None,
        tr=about["tr"] if film else None,
        maps={name: _joined(parts, keep) for name, parts in examination.maps.items()},
        film=film,
    )
    n, total = sum(int(mask.sum()) for mask in keep.values()), sum(len(v) for v in examination.vertices.values())
    if n < total:
        subject.remark(f"drawn and trained at {density}: {n:,} of {total:,} vertices")
    estimate_ceiling(subject)
    add_surface(subject, folder, folder.parent)
    if lost:
        subject.remark(f"too small to have a vertex at {density}: {first_few(lost, 20)}")
    examination.hand_on(subject)
    return subject


def _split(examination, image_index):
    if examination.film is not None:
        return examination.film.split(examination.table.get("split"))
    labels = examination.table.get("split") if examination.table is not None else None
    if labels is None:
        return None
    rows = {part: np.flatnonzero(np.array(labels) == part) for part in SPLIT_PARTS}
    if len(rows["test"]) and not len(rows["val"]):
        return default_split(image_index, test=rows["test"])
    return Split(**rows)


def _responses(examination, keep):
    """(T, N) float32: both hemispheres side by side; of a film without slow drifts; z-scored per session where dataset.json says
    that they are not.

    A single hemisphere that needs none of it stays a memory map of its file.
    """
    raw = examination.about["normalised"] == "none" and examination.session is not None
    cutoff = examination.about["high_pass"] if examination.film is not None else 0
    if len(keep) == 1 and not raw and not cutoff:
        ((hemi, mask),) = keep.items()
        if mask.all() and examination.rows[hemi].as_it_lies:
            return examination.rows[hemi].source
    n = sum(int(mask.sum()) for mask in keep.values())
    size, remedy = 4 * examination.n_rows * n, "choose fewer sessions or vertices (an ROI)"
    check_memory(examination.folder / "responses", size, remedy)
    out, start = np.empty((examination.n_rows, n), dtype=np.float32), 0
    for hemi in examination.hemispheres:
        source, mask, n_kept = examination.rows[hemi], keep[hemi], int(keep[hemi].sum())
        columns = slice(0, n_kept) if mask[:n_kept].all() else np.flatnonzero(mask)
        words = f"reading the responses of the {SIDES[hemi]} hemisphere"
        for rows, block in each(source.blocks(), words, source.n_blocks):
            out[rows, start : start + n_kept] = block[:, columns]
        start += n_kept
    if examination.film is not None:
        _without_drifts(examination, out, cutoff)
    if raw:
        for label in np.unique(examination.session):
            rows = np.flatnonzero(examination.session == label)
            for first in range(0, n, 4096):
                with np.errstate(invalid="ignore", over="ignore"):  # vertices with missing values are dropped later
                    out[rows, first : first + 4096] = z_score(out[rows, first : first + 4096])
        examination.remarks.append("z-scored by session" if "session" in examination.table else "z-scored by run")
    elif examination.about["normalised"] == "session":
        examination.remarks.append("already z-scored by session (dataset.json): not again")
    else:
        path = examination.folder / "trials.tsv"
        remedy = "used as they are, and scores may suffer: add it, or z-score them and say 'normalised': 'session'"
        examination.warn(path, "a column 'session' to z-score by (dataset.json: normalised none)", "none", remedy)
    return out


def _without_drifts(examination, out, cutoff):
    """Take the slow drifts out of each run of a film, in place; its mean stays."""
    if not cutoff:
        examination.remarks.append("slow drifts filtered already (dataset.json: high_pass 0): not again")
        return
    film = examination.film
    for label in np.unique(film.run):
        rows = np.flatnonzero(film.run == label)
        for first in range(0, out.shape[1], 4096):
            part = out[rows, first : first + 4096].astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore"):  # vertices with missing values are dropped later
                out[rows, first : first + 4096] = without_drifts(part, film.tr, cutoff) + part.mean(0)
    examination.remarks.append(f"slow drifts (a line, and periods above {cutoff:g} s) taken out of each run")


def _joined(parts, keep):
    return np.concatenate([parts[hemi][keep[hemi]] for hemi in HEMISPHERES if hemi in keep])
