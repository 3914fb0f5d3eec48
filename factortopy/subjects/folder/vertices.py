"""What the folder layout says of each vertex: mesh indices, ROIs, noise ceilings, measured maps."""

import re

import numpy as np

from factortopy.formats.names import same_text
from factortopy.formats.npy import safe_npy, whole_numbers
from factortopy.formats.problems import DataError, stop
from factortopy.formats.tables import read_table
from factortopy.formats.twins import alike_where_both
from factortopy.subjects.algonauts.rois import named_masks, union, with_unions
from factortopy.subjects.ceilings import LEAST_PICTURES, of_ncsnr
from factortopy.subjects.examination import as_warning, warn_of_likeness
from factortopy.subjects.folder.responses import files_in, open_map, without_ending
from factortopy.subjects.split import default_split
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few, safe_label

_NAME = re.compile(r"hemi-([LR])_(.+)", re.DOTALL)
_MOST_SETS = 500


def vertices(examination, hemi):
    """(n,) int64 mesh index of each column of a hemisphere's responses.

    Raises
    ------
    InputError
        When they do not fit the responses or the mesh.
    """
    rows, density = examination.rows[hemi], examination.about.get("density")
    columns = rows.shape[1]
    mesh = N_VERTICES.get(density) or rows.mesh
    path = index_file(examination, hemi)
    if rows.vertices is not None:
        if rows.mesh is not None and mesh != rows.mesh:
            text = f"a mesh of {rows.mesh:,} vertices"
            expected = f"{mesh:,} vertices a hemisphere ({density})"
            raise stop(rows.path, expected, text, "correct density in dataset.json")
        index = rows.vertices
        given = _from_file(path) if path.exists() or path.is_symlink() else index
        counted = rows.mesh is None and index[-1] == len(index) - 1  # 0, 1, 2, … may be the columns' own numbers
        if counted and len(given) == len(index):
            index = given
        elif not np.array_equal(given, index):
            expected = f"the vertices that {rows.path.name} itself names, in their order"
            raise stop(path, expected, "others", "remove it: the responses' own are used then")
        path = rows.path
    elif path.exists() or path.is_symlink():
        index = _from_file(path)
    elif mesh is None:
        raise DataError(examination.first_stop())
    elif columns == mesh:
        return np.arange(mesh)
    else:
        raise _no_whole_mesh(rows, density, mesh, path)
    if len(index) != columns:
        if rows.shape[0] == len(index):
            text = f"{rows.shape[0]:,} rows of that length, {columns:,} columns"
            remedy = "it looks transposed: save array.T (a row a trial, a column a vertex)"
            raise stop(rows.path, f"{len(index):,} columns, as {path.name} has", text, remedy)
        remedy = "another subject's? copy responses and vertices of the same subject"
        raise stop(path, f"{columns:,} indices, as the responses have columns", f"{len(index):,}", remedy)
    if mesh is not None and len(index) and (index.min() < 0 or index.max() >= mesh):
        outside = np.unique(index[(index < 0) | (index >= mesh)])
        one_based = index.min() >= 1 and index.max() == mesh
        remedy = "counted from 1? subtract 1" if one_based else f"check density in dataset.json ({density})"
        raise stop(path, f"indices from 0 to {mesh - 1:,}", first_few(outside), remedy)
    unique, counts = np.unique(index, return_counts=True)
    if (counts > 1).any():
        text = f"{int((counts > 1).sum()):,} twice: {first_few(unique[counts > 1])}"
        raise stop(path, "every vertex once", text, "keep one of the two, here and among the columns of the responses")
    return index.astype(np.int64)


def index_file(examination, hemi):
    """Path of the file of a hemisphere's mesh indices, there or not."""
    return examination.folder / "vertices" / f"hemi-{hemi}.npy"


def _from_file(path):
    """Mesh indices of a file in vertices/."""
    index = safe_npy(path, mmap=False, kinds="iuf", shape=(None,))
    try:
        return whole_numbers(index, path)
    except DataError:
        raise stop(path, "whole mesh indices", "fractions or missing values", "save them as int32") from None


def _no_whole_mesh(rows, density, mesh, path):
    n_rows, columns = rows.shape
    wanted = f"{mesh:,} vertices ({density}), as there is no vertices/{path.name}"
    other = next((name for name, n in N_VERTICES.items() if n == columns), None)
    if n_rows == mesh:
        remedy = "it looks transposed: save array.T (a row a trial)"
        return stop(rows.path, wanted, f"{n_rows:,} rows, {columns:,} columns", remedy)
    if other:
        return stop(rows.path, wanted, f"{columns:,} ({other})", "correct density in dataset.json")
    if columns == 2 * mesh:
        remedy = "both hemispheres side by side? save each half in a file of its own"
        return stop(rows.path, wanted, f"{columns:,}, twice as many", remedy)
    if columns in (32492, 64984, 91282):
        return stop(rows.path, wanted, f"{columns:,} (fsLR)", "resample it to fsaverage (wb_command -metric-resample)")
    remedy = f"a part of the mesh? write their indices to vertices/{path.name}; a native surface? resample it to fsaverage (mri_surf2surf)"
    return stop(rows.path, wanted, f"{columns:,}: no fsaverage mesh", remedy)


def values(examination, path, hemi, labels=True):
    """(n,) float32 for each column, and the file's table of labels or None.

    The file has a value a column, or one for each vertex of the whole mesh, or names its vertices itself: NaN at others.
    """
    file, index = open_map(path, "LR".index(hemi), labels), examination.vertices[hemi]
    array, mesh = file.values()[0], N_VERTICES.get(examination.about.get("density"))
    counted = file.vertices is None or (file.mesh is None and file.vertices[-1] == len(index) - 1 == len(array) - 1)
    if not counted:  # 0, 1, 2, … are the columns' own numbers
        if mesh is None or file.mesh not in (None, mesh) or file.vertices.max() >= mesh:
            expected = f"vertices of the {examination.about.get('density')} mesh"
            raise stop(path, expected, f"vertices up to {file.vertices.max():,}", "copy files of the same density")
        whole = np.full(mesh, np.nan, np.float32)
        whole[file.vertices] = array
        return whole[index], file.labels
    if len(array) == len(index):
        return array, file.labels
    if len(array) == mesh:
        return array[index], file.labels
    wanted = f"{len(index):,} values, one a column of the responses" + (f" (or {mesh:,}, the mesh)" if mesh else "")
    raise stop(path, wanted, f"{len(array):,}", "another subject's? copy files of the same subject")


def _sets(examination, part):
    """{name: {hemisphere: path}} of the files hemi-L_NAME.* in a folder, for hemispheres with responses."""
    out = {}
    for name, path in files_in(examination.folder / part).items():
        match = _NAME.fullmatch(without_ending(name) or "")
        if match is None:
            if not (part == "roi" and name.endswith(".tsv")):
                expected = "files named hemi-L_NAME.npy (.shape.gii, .mgh, .mgz)"
                examination.warn(path, expected, "another name", "it is left out")
            continue
        paths = out.setdefault(same_text(match[2]), {})  # the two sides may come from different machines
        if match[1] in paths:
            expected = f"one file of {match[2]} a hemisphere"
            examination.warn(path, expected, f"{paths[match[1]].name} too", "the first is used")
        elif match[1] in examination.rows:
            paths[match[1]] = path
    if len(out) > _MOST_SETS:
        folder = examination.folder / part
        examination.warn(folder, f"at most {_MOST_SETS} sets", f"{len(out):,}", "the first ones are used")
    return {name: paths for name, paths in list(out.items())[:_MOST_SETS] if paths}


def _read_both(examination, paths, instead, labels=None):
    """{hemisphere: (n,)}, NaN where a hemisphere's file is missing; None with a warning where one is unusable.

    ``labels``, {}, allows files of labels and is given their tables.
    """
    out = {}
    for hemi in examination.hemispheres:
        if hemi not in paths:
            out[hemi] = np.full(len(examination.vertices[hemi]), np.nan, dtype=np.float32)
            continue
        try:
            out[hemi], table = values(examination, paths[hemi], hemi, labels is not None)
            if table is not None and labels is not None:
                labels[hemi] = table
        except DataError as error:
            examination.problems.append(as_warning(error, f"; {instead}"))
            return None
    if all(hemi in paths and hemi in out for hemi in "LR"):
        parts = [(out[hemi][None], examination.vertices[hemi]) for hemi in "LR"]
        if alike_where_both(*parts[0], *parts[1]):
            warn_of_likeness(examination, paths["L"], paths["R"])
    return out


# ---------------------------------------------------------------- ROIs


def examine_rois(examination):
    """Fill ``rois``, unions such as V1 included. ROI problems only warn."""
    rois = {}
    for kind, paths in _sets(examination, "roi").items():
        tables = {}
        labels = _read_both(examination, paths, "its ROIs are left out", tables)
        if labels is None:
            continue
        labels = {h: np.where(np.isfinite(v) & (np.abs(v) < 1e6), v, 0).astype(np.int64) for h, v in labels.items()}
        used = sorted({int(k) for label in labels.values() for k in np.unique(label) if k > 0})
        names = _names(examination, kind, used, tables)
        if names is None:
            continue
        file = examination.folder / "roi" / f"{kind}.tsv"
        remedy = "those vertices are in no ROI of this set: add a row with its index and name"
        for name, masks in named_masks(labels, names, file, remedy, examination.problems).items():
            rois[name] = union([rois[name], masks]) if name in rois else masks
    examination.rois = with_unions(rois)


def _names(examination, kind, used, tables):
    """{label: name} from <set>.tsv or the files' own tables, None after a warning; a mask without is called like its file."""
    here = {same_text(name): path for name, path in files_in(examination.folder / "roi").items()}
    path = here.get(f"{kind}.tsv", examination.folder / "roi" / f"{kind}.tsv")
    if tables and f"{kind}.tsv" not in here:
        names = [{k: safe_label(name) for k, (name, _) in table.items() if k > 0} for table in tables.values()]
        if any(names[0].get(k, name) != name for table in names[1:] for k, name in table.items()):
            examination.warn(
                path, "the same names in both hemispheres' tables", "others", "its ROIs are left out; write it"
            )
            return None
        return {k: name for table in names for k, name in table.items()}
    if f"{kind}.tsv" not in here and used in ([], [1]):
        return {1: safe_label(kind)}
    try:
        table = read_table(path, ("index", "name"))
        index = whole_numbers(table.numbers("index"), path)
    except DataError as error:
        examination.problems.append(as_warning(error, "; its ROIs are left out"))
        return None
    examination.problems += table.notes
    doubles = [k for k in np.unique(index) if (index == k).sum() > 1]
    if doubles:
        examination.warn(path, "every index once", f"{first_few(doubles)} twice", "the last name is used")
    return {int(k): safe_label(name) for k, name in zip(index, table["name"], strict=True) if k > 0}


# ---------------------------------------------------------------- noise ceilings and maps


def examine_ceiling(examination):
    """Fill ``ceiling``, {hemisphere: (n,) 0…1}, from noise_ceiling or ncsnr files."""
    folder, sets = examination.folder / "noise", _sets(examination, "noise")
    kind = next((name for name in ("noise_ceiling", "ncsnr") if name in sets), None)
    unknown = [safe_label(name) for name in sets if name not in ("noise_ceiling", "ncsnr")]
    if unknown:
        examination.warn(folder, "hemi-L_noise_ceiling or hemi-L_ncsnr", first_few(unknown), "left out")
    if kind is None:
        expected = "noise ceilings (hemi-L_ncsnr.npy or hemi-L_noise_ceiling.npy)"
        remedy = f"estimated where {LEAST_PICTURES} pictures or more are repeated, else only raw R² can be shown"
        examination.warn(folder, expected, "none", remedy)
        return
    parts = _read_both(examination, sets[kind], "only raw R² is shown")
    if parts is None:
        return
    if kind == "ncsnr":
        repeats = _scored_repeats(examination, folder)
        if repeats is None:
            return
        parts = {hemi: of_ncsnr(v, repeats) for hemi, v in parts.items()}
    divisor = examination.share_divisor(folder, max((np.nanmax(v, initial=0) for v in parts.values()), default=0))
    if divisor is None:
        return
    examination.ceiling = {hemi: v / divisor for hemi, v in parts.items()}


def _scored_repeats(examination, folder):
    """Trials behind the rows that are scored, those of the test part: 1, or (T,) where rows are averages."""
    if not examination.about.get("averaged"):
        return 1
    repeats = examination.table.get("repeats") if examination.table is not None else None
    counts = examination.try_to(examination.table.numbers, "repeats") if repeats else None
    if counts is None or counts.min() < 1:
        remedy = "only raw R² is shown; or give hemi-L_noise_ceiling.npy itself"
        expected = "a column 'repeats' in trials.tsv (trials behind each averaged row) to turn ncsnr into a ceiling"
        examination.warn(folder, expected, "none" if repeats is None else "numbers below 1", remedy)
        return None
    labels = examination.table.get("split")
    if labels is not None:
        return counts[np.array(labels) == "test"] if "test" in labels else counts
    try:
        return counts[default_split(examination.image_index).test]
    except DataError:  # too few pictures: said where the subject is made
        return counts


def examine_maps(examination):
    """Fill ``maps``: {name: {hemisphere: (n,)}}, NaN where there is none."""
    for name, paths in _sets(examination, "maps").items():
        parts = _read_both(examination, paths, "it is left out")
        if parts is not None:
            examination.maps[safe_label(name)] = {h: np.where(np.isfinite(v), v, np.nan) for h, v in parts.items()}
