"""The responses of an NSD subject: session files found and checked, then masked, z-scored and kept in one file.

    betas_fithrf_GLMdenoise_RR/{lh,rh}.betas_sessionNN.mgh     float32 (163842, 1, 1, 750), per cent signal change

The kept file (``responses.npy``, trials × vertices, float32) is written once, a session at a time, and memory-mapped from
then on. Its name holds the size and date of every file behind it and all settings, so a changed file makes a new one.
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from factortopy.errors import InputError
from factortopy.formats.mgh import open_mgh
from factortopy.formats.npy import row_blocks, safe_npy
from factortopy.formats.problems import DataError, stop, warn
from factortopy.storage.files import read_json, take_space, write_json
from factortopy.storage.home import cache_dir
from factortopy.subjects.nsd.design import TRIALS
from factortopy.subjects.progress import each
from factortopy.subjects.response_arrays import z_score
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few

FORMAT = 1  # of the kept file; part of its name
VERSION = "betas_fithrf_GLMdenoise_RR"  # "b3", the paper's
FULL = N_VERTICES["164k"]
HEMISPHERES = ("lh", "rh")
_NAME = re.compile(r"(lh|rh)\.betas_session(\d{1,3})\.mgh")
_COLUMNS = 4096  # z-scored at a time
_COPY = "copy or download it again"


@dataclass(frozen=True)
class Session:
    """One scan session: its number from 1, and {hemisphere: Mgh} with the same number of trials."""

    number: int
    files: dict

    @property
    def trials(self):
        return self.files["lh"].frames


def find_sessions(folder, planned, wanted, problems):
    """The sessions whose files are here, in order, and everything that is wrong with them.

    Parameters
    ----------
    folder : Path of betas_fithrf_GLMdenoise_RR
    planned : int, sessions that the subject had
    wanted : list of int, or None for all that are here
    problems : list of Problem, added to

    Returns
    -------
    list of Session
    """
    here = _session_files(folder, problems)
    problems += [
        stop(files[hemi], f"sessions 1 to {planned}", f"session {number}", "remove it, or rename it").problem
        for number, files in here.items()
        if not 1 <= number <= planned
        for hemi in files
    ]
    here = {number: files for number, files in here.items() if 1 <= number <= planned}
    if wanted is not None:
        missing = sorted(set(wanted) - set(here))
        if missing:
            have = first_few(sorted(here), 50) or "none"
            problems.append(stop(folder, f"session {first_few(missing, 50)}", have, "choose among these").problem)
        here = {number: files for number, files in here.items() if number in wanted}
    sessions = []
    for number, files in each(sorted(here.items()), "reading the headers of the session files"):
        mghs = {}
        for hemi in HEMISPHERES:
            try:
                if hemi not in files:
                    side, other = ("left", "right") if hemi == "lh" else ("right", "left")
                    actual = f"session {number:02d} has {other} betas but no {side} ones"
                    path = folder / f"{hemi}.betas_session{number:02d}.mgh"
                    raise stop(path, "betas of both hemispheres", actual, "copy or download the missing file")
                mghs[hemi] = _checked(files[hemi])
            except DataError as error:
                problems.append(error.problem)
        if len(mghs) == 2 and mghs["lh"].frames != mghs["rh"].frames:
            actual = f"{mghs['lh'].frames} trials left, {mghs['rh'].frames} right"
            problems.append(stop(files["rh"], "as many trials as on the left", actual, _COPY).problem)
        elif len(mghs) == 2:
            sessions.append(Session(number, mghs))
    short = [f"{s.number:02d} ({s.trials})" for s in sessions if s.trials < TRIALS]
    if short:
        actual = f"fewer in session {first_few(short)}"
        problems.append(warn(folder, f"{TRIALS} trials a session", actual, "those that are there are used"))
    return sessions


def _session_files(folder, problems):
    """{number: {hemisphere: path}}; a problem where there are none."""
    files = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        names = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            files.setdefault(int(match.group(2)), {})[match.group(1)] = folder / name
    if not files:
        packed = any(name.endswith(".mgz") and "betas_session" in name for name in names)
        others = sorted(path.name for path in folder.parent.glob("betas_*") if path != folder)
        words = "gzipped ones: unpack them" if packed else f"only {first_few(others)}" if others else "none"
        expected = "lh.betas_session01.mgh, rh.betas_session01.mgh, …"
        problems.append(stop(folder, expected, words, "download those of fsaverage (docs/nsd.md)").problem)
    return files


def _checked(path):
    mgh = open_mgh(path, FULL, surface="fsaverage")
    if mgh.packed:
        raise stop(path, "an MGH file", "a gzipped one", "unpack it with gzip -d")
    if mgh.frames > TRIALS:
        raise stop(path, f"at most {TRIALS} trials", f"{mgh.frames:,}", "several sessions joined? take NSD's own files")
    return mgh


def check_values(session, problems):
    """Do the betas look like per cent signal change? Some frames of one session are looked at."""
    for mgh in session.files.values():
        if mgh.dtype.kind != "f":
            actual = f"whole numbers ({mgh.dtype.name})"
            remedy = "as NSD's volumes are stored, ×300? z-scoring takes the factor away, but check the file"
            problems.append(warn(mgh.path, "float32 per cent signal change", actual, remedy))
            continue
        rows = np.unique(np.linspace(0, mgh.frames - 1, 4).astype(int))
        values = np.abs(np.concatenate([mgh.frame_block(k, k + 1) for k in rows]))
        values = values[np.isfinite(values) & (values > 0)]
        if not values.size:
            problems.append(warn(mgh.path, "responses", "zeros or missing values in the trials looked at", _COPY))
            continue
        typical = float(np.median(values))
        odd = np.mean((values > 1e6) | (values < 1e-6))
        if odd > 0.2:
            actual, remedy = f"{odd:.0%} of the values above 10⁶ or below 10⁻⁶", f"bytes swapped or damaged: {_COPY}"
            problems.append(stop(mgh.path, "per cent signal change", actual, remedy).problem)
        elif typical > 50:
            remedy = "scaled by 300 (int16)? z-scoring takes the factor away, but check the file"
            problems.append(warn(mgh.path, "per cent signal change", f"values of typically {typical:.3g}", remedy))
        elif _normalised(mgh):
            remedy = "z-scoring them again changes nothing, but noise ceilings may belong to other betas"
            problems.append(warn(mgh.path, "per cent signal change", "values that are already normalised", remedy))


def _normalised(mgh):
    block = mgh.frame_block(leading=2048).astype(np.float64)
    block = block[:, np.isfinite(block).all(0)]
    block = block[:, block.std(0) > 0]
    if block.shape[1] < 100 or len(block) < 3:
        return False
    return bool(np.abs(block.mean(0)).max() < 0.01 and np.abs(block.std(0, ddof=0) - 1).max() < 0.1)


def first_frames_finite(sessions, columns):
    """(n,) bool: vertices with a value in the first trial of every session (NSD's gaps last a whole session)."""
    kept = np.ones(sum(len(part) for part in columns.values()), bool)
    for session in each(sessions, "reading a trial of every session"):
        kept &= np.isfinite(_trials(session, columns, slice(0, 1))[0])
    if not kept.any():
        raise _nothing_left(sessions)
    return kept


def _nothing_left(sessions):
    folder = sessions[0].files["lh"].path.parent
    return stop(folder, "vertices with values in every session", "none", "choose other sessions, or copy them again")


# ---------------------------------------------------------------- the kept file


def kept_responses(subject, sessions, columns, image_index, average=False):
    """Masked, z-scored responses, memory-mapped; made at the first call.

    Parameters
    ----------
    subject : str
    sessions : list of Session
    columns : {"lh" and "rh": (n,) ascending vertices of the full mesh}
    image_index : (T,) picture of each trial, 0…n−1, used by ``average``
    average : bool
        One row a picture (mean over its repeats) instead of one a trial.

    Returns
    -------
    (T or n pictures, N) float32 memory map, (N given,) bool of the vertices in it, int of vertices that never change
    within some session (0 there)

    Raises
    ------
    InputError
        When the disk is too small or full; nothing half is left.
    """
    folder = _kept_folder(subject, sessions, columns, None)
    n_trials = sum(session.trials for session in sessions)
    single = _kept(folder, n_trials, lambda part: _write_sessions(part, sessions, columns), needed(n_trials, columns))
    if not average:
        return single
    n_images = int(image_index.max()) + 1
    folder = _kept_folder(subject, sessions, columns, image_index)
    return _kept(folder, n_images, lambda part: _write_means(part, *single, image_index), needed(n_images, columns))


def is_kept(subject, sessions, columns):
    """True when the trials of these settings were written already."""
    return (_kept_folder(subject, sessions, columns, None) / "done.json").is_file()


def needed(n_rows, columns):
    """Bytes on disk."""
    return 4 * n_rows * sum(len(part) for part in columns.values())


def _kept_folder(subject, sessions, columns, image_index):
    key = hashlib.blake2b(f"nsd {FORMAT} {VERSION}".encode(), digest_size=12)
    for session in sessions:
        for hemi in HEMISPHERES:
            path = session.files[hemi].path
            about = os.stat(path)
            key.update(repr((session.number, hemi, os.fspath(path), about.st_size, about.st_mtime_ns)).encode())
    for hemi in HEMISPHERES:
        key.update(np.asarray(columns[hemi], np.int64).tobytes() + b"|")
    if image_index is not None:
        key.update(b"means" + np.asarray(image_index, np.int64).tobytes())
    return cache_dir("subjects") / f"nsd-{subject}-{key.hexdigest()}"


def _kept(folder, n_rows, write, size):
    """What the folder holds; written by ``write(part)`` into a folder of another name when it is missing or damaged."""
    with FileLock(f"{folder}.lock"):
        content = _open(folder, n_rows)
        if content is None:
            part = folder.with_name(folder.name + ".part")  # also what a killed process left
            for old in (part, folder):
                shutil.rmtree(old, ignore_errors=True)
            free = shutil.disk_usage(folder.parent).free
            if size > 0.98 * free:
                raise too_full(folder.parent, size, free)
            try:
                part.mkdir()
                write(part)
                os.replace(part, folder)
            except OSError as error:
                raise too_full(folder.parent, size, free, f" ({error.strerror or error})") from None
            finally:
                shutil.rmtree(part, ignore_errors=True)
            content = _open(folder, n_rows)
        if content is None:
            raise stop(folder, "responses that were just written", "a damaged file", "check this disk")
        return content


def too_full(folder, size, free, why=""):
    """DataError for a disk that cannot hold the kept responses."""
    expected = f"{size / 1e9:.2f} GB for the responses"
    remedy = "choose fewer sessions or an ROI, free space, or set FACTORTOPY_HOME to a larger disk"
    return stop(folder, expected, f"{free / 1e9:.2f} GB free{why}", remedy)


def _open(folder, n_rows):
    try:
        status = read_json(folder / "done.json", "file")
        kept = safe_npy(folder / "vertices.npy", mmap=False, kinds="b", shape=(None,))
        responses = safe_npy(folder / "responses.npy", kinds="f", shape=(n_rows, int(kept.sum())))
        return responses, kept, int(status["flat"])
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _create(folder, shape):
    """An open file of a .npy array of float32 whose space is taken; the position is at its first value."""
    path = Path(folder) / "responses.npy"
    offset = np.lib.format.open_memmap(path, "w+", np.float32, shape).offset
    take_space(path)
    file = open(path, "r+b", buffering=0)
    file.seek(offset)
    return file


def _write_all(file, block):
    """A raw file may take less than it is given (at most 2 GB a call on Linux)."""
    view = memoryview(np.ascontiguousarray(block, dtype=np.float32)).cast("B")
    while view:
        view = view[file.write(view) :]


def _close(file, folder, kept, flat):
    os.fsync(file.fileno())
    np.save(folder / "vertices.npy", kept)
    write_json(folder / "done.json", {"flat": int(flat)})


def _write_sessions(folder, sessions, columns):
    """Trials in order, session by session; vertices with a missing value anywhere are left out."""
    kept = first_frames_finite(sessions, columns)
    while True:  # again only where a value is missing beyond a session's first trial
        good, flat = np.ones(int(kept.sum()), bool), np.zeros(int(kept.sum()), bool)
        if not kept.any():
            raise _nothing_left(sessions)
        with _create(folder, (sum(session.trials for session in sessions), len(good))) as file:
            for session in sessions:
                words = f"reading session {session.number}, {len(sessions)} in all"
                block = _trials(session, columns, slice(0, session.trials), kept, words)
                good &= np.isfinite(block).all(0)
                if not good.all():
                    continue  # the rest is only looked through
                flat |= (block == block[0]).all(0)
                for start in range(0, block.shape[1], _COLUMNS):
                    part = block[:, start : start + _COLUMNS]
                    part[:] = z_score(part)
                _write_all(file, block)
            if good.all():
                _close(file, folder, kept, flat.sum())
                return
        kept[kept] = good


def _trials(session, columns, trials, kept=None, words=None):
    """(trials, N) float32 of both hemispheres, read some frames at a time; ``words``: progress is told in them."""
    chosen = [np.asarray(columns[hemi]) for hemi in HEMISPHERES]
    if kept is not None:
        n_left = len(chosen[0])
        chosen = [chosen[0][kept[:n_left]], chosen[1][kept[n_left:]]]
    out = np.empty((trials.stop - trials.start, sum(len(part) for part in chosen)), np.float32)
    places = (slice(0, len(chosen[0])), slice(len(chosen[0]), None))
    for mgh, vertices, place in zip((session.files[h] for h in HEMISPHERES), chosen, places, strict=True):
        if not len(vertices):
            continue
        leading = int(vertices[-1]) + 1
        blocks = row_blocks(len(out), leading)
        for rows in each(blocks, words) if words else blocks:
            block = mgh.frame_block(trials.start + rows.start, trials.start + rows.stop, leading)
            out[rows, place] = block[:, vertices]
    return out


def _write_means(folder, responses, kept, flat, image_index):
    """One row a picture: the mean of its z-scored trials."""
    order = np.argsort(image_index, kind="stable")
    count = np.bincount(image_index)
    first = np.concatenate([[0], np.cumsum(count)])
    with _create(folder, (len(count), responses.shape[1])) as file:
        for rows in row_blocks(len(count), int(count.max()) * responses.shape[1]):
            # Mapped anew for each block, so that the pages of the trials are given back.
            trials = np.load(responses.filename, mmap_mode="r")[order[first[rows.start] : first[rows.stop]]]
            sums = np.add.reduceat(trials, first[rows] - first[rows.start], axis=0)
            _write_all(file, sums / count[rows, None].astype(np.float32))
        _close(file, folder, kept, flat)
