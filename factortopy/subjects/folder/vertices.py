"""What the folder layout says of each vertex: mesh indices, ROIs, noise ceilings, measured maps."""

import re

import numpy as np

from factortopy.formats.names import same_text
from factortopy.formats.npy import safe_npy, whole_numbers
from factortopy.formats.problems import DataError, stop
from factortopy.formats.tables import read_table
from factortopy.subjects.algonauts.rois import named_masks, union, with_unions
from factortopy.subjects.examination import as_warning
from factortopy.subjects.folder.responses import ENDINGS, files_in, read_values
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
    path = examination.folder / "vertices" / f"hemi-{hemi}.npy"
    if rows.vertices is not None:
        if mesh != rows.mesh:
            text = f"a mesh of {rows.mesh:,} vertices"
            expected = f"{mesh:,} vertices a hemisphere ({density})"
            raise stop(rows.path, expected, text, "correct density in dataset.json")
        index, path = rows.vertices, rows.path
    elif path.exists() or path.is_symlink():
        index = safe_npy(path, mmap=False, kinds="iuf", shape=(None,))
        try:
            index = whole_numbers(index, path)
        except DataError:
            raise stop(path, "whole mesh indices", "fractions or missing values", "save them as int32") from None
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


def _no_whole_mesh(rows, density, mesh, path):
    n_rows, columns = rows.shape
    wanted = f"{mesh:,} vertices ({density}), as there is no vertices/{path.name}"
    other = next((name for name, n in N_VERTICES.items() if n == columns), None)
    if n_rows == mesh:
        remedy = "it looks transposed: save array.T (a row a trial)"
        return stop(rows.path, wanted, f"{n_rows:,} rows, {columns:,} columns", remedy)
    if other:
        return stop(rows.path, wanted, f"{columns:,} ({other})", "correct density in dataset.json")
    if columns in (32492, 64984, 91282):
        return stop(rows.path, wanted, f"{columns:,} (fsLR)", "resample it to fsaverage (wb_command -metric-resample)")
    remedy = f"a part of the mesh? write their indices to vertices/{path.name}; a native surface? resample it to fsaverage (mri_surf2surf)"
    return stop(rows.path, wanted, f"{columns:,}: no fsaverage mesh", remedy)


def values(examination, path, hemi):
    """(n,) float32 for each column; the file has a value a column, or one for each vertex of the whole mesh."""
    array, index = read_values(path), examination.vertices[hemi]
    mesh = N_VERTICES[examination.about["density"]] if examination.about.get("density") else None
    if len(array) == len(index):
        return array
    if len(array) == mesh:
        return array[index]
    wanted = f"{len(index):,} values, one a column of the responses" + (f" (or {mesh:,}, the mesh)" if mesh else "")
    raise stop(path, wanted, f"{len(array):,}", "another subject's? copy files of the same subject")


def _sets(examination, part):
    """{name: {hemisphere: path}} of the files hemi-L_NAME.* in a folder, for hemispheres with responses."""
    out = {}
    for name, path in files_in(examination.folder / part).items():
        ending = next((e for e in ENDINGS if name.endswith(e)), None)
        match = _NAME.fullmatch(name[: -len(ending)]) if ending else None
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


def _read_both(examination, paths, instead, empty=np.nan):
    """{hemisphere: (n,)}; ``empty`` where a hemisphere's file is missing; None with a warning where one is unusable."""
    out = {}
    for hemi in examination.hemispheres:
        if hemi not in paths:
            out[hemi] = np.full(len(examination.vertices[hemi]), empty, dtype=np.float32)
            continue
        try:
            out[hemi] = values(examination, paths[hemi], hemi)
        except DataError as error:
            examination.problems.append(as_warning(error, f"; {instead}"))
            return None
    return out


# ---------------------------------------------------------------- ROIs


def examine_rois(examination):
    """Fill ``rois``, unions such as V1 included. ROI problems only warn."""
    rois = {}
    for kind, paths in _sets(examination, "roi").items():
        labels = _read_both(examination, paths, "its ROIs are left out", 0)
        if labels is None:
            continue
        labels = {h: np.where(np.isfinite(v) & (np.abs(v) < 1e6), v, 0).astype(np.int64) for h, v in labels.items()}
        used = sorted({int(k) for label in labels.values() for k in np.unique(label) if k > 0})
        names = _names(examination, kind, used)
        if names is None:
            continue
        file = examination.folder / "roi" / f"{kind}.tsv"
        remedy = "those vertices are in no ROI of this set: add a row with its index and name"
        for name, masks in named_masks(labels, names, file, remedy, examination.problems).items():
            rois[name] = union([rois[name], masks]) if name in rois else masks
    examination.rois = with_unions(rois)


def _names(examination, kind, used):
    """{label: name} from <set>.tsv, None after a warning; a mask without a table is called like its file."""
    here = {same_text(name): path for name, path in files_in(examination.folder / "roi").items()}
    path = here.get(f"{kind}.tsv", examination.folder / "roi" / f"{kind}.tsv")
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
        examination.warn(folder, expected, "none", "only raw R² can be shown")
        return
    parts = _read_both(examination, sets[kind], "only raw R² is shown")
    if parts is None:
        return
    if kind == "ncsnr":
        share = _noise_share(examination, folder)
        if share is None:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            powers = {hemi: v.astype(float) ** 2 for hemi, v in parts.items()}
            parts = {hemi: np.where(v > 0, powers[hemi] / (powers[hemi] + share), 0 * v) for hemi, v in parts.items()}
    divisor = examination.share_divisor(folder, max((np.nanmax(v, initial=0) for v in parts.values()), default=0))
    if divisor is None:
        return
    examination.ceiling = {hemi: v / divisor for hemi, v in parts.items()}


def _noise_share(examination, folder):
    """What noise counts in a row beside a single trial: 1, or the mean of 1/n where rows are averages of n trials."""
    if not examination.about.get("averaged"):
        return 1.0
    repeats = examination.table.get("repeats") if examination.table is not None else None
    counts = examination.try_to(examination.table.numbers, "repeats") if repeats else None
    if counts is None or counts.min() < 1:
        remedy = "only raw R² is shown; or give hemi-L_noise_ceiling.npy itself"
        expected = "a column 'repeats' in trials.tsv (trials behind each averaged row) to turn ncsnr into a ceiling"
        examination.warn(folder, expected, "none" if repeats is None else "numbers below 1", remedy)
        return None
    return float(np.mean(1 / counts))


def examine_maps(examination):
    """Fill ``maps``: {name: {hemisphere: (n,)}}, NaN where there is none."""
    for name, paths in _sets(examination, "maps").items():
        parts = _read_both(examination, paths, "it is left out")
        if parts is not None:
            examination.maps[safe_label(name)] = {h: np.where(np.isfinite(v), v, np.nan) for h, v in parts.items()}
