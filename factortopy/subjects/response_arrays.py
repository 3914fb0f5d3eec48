"""Responses as arrays: columns copied block by block, z-scores within sessions, masks of the whole mesh."""

import numpy as np

from factortopy.formats.npy import as_float32, mapped_blocks, row_blocks, safe_npy, shape_words
from factortopy.formats.problems import stop
from factortopy.subjects.progress import each
from factortopy.surfaces.meshes import N_VERTICES


def read_whole_mesh(path):
    """A mask or label array of one value a vertex of the full fsaverage mesh: (163842,), in memory."""
    array = safe_npy(path)
    n = N_VERTICES["164k"]
    if array.shape != (n,):
        remedy = "a native surface? take the fsaverage_space file of this subject"
        raise stop(path, f"{n:,} vertices (fsaverage)", shape_words(array.shape), remedy)
    return np.array(array)


def copy_columns(array, n_columns, out):
    """Copy the first columns of a (T, N) memory map into ``out`` (T, n_columns), row block by row block."""
    for rows, block in each(mapped_blocks(array), "reading the responses", len(row_blocks(*array.shape))):
        out[rows] = as_float32(block[:, :n_columns])


def z_score(responses, session=None):
    """Responses z-scored per vertex within each session (population standard deviation), float32.

    Parameters
    ----------
    responses : (T, N)
    session : (T,), optional
        Label of the session of each trial; all one session when missing.

    Returns
    -------
    (T, N) float32
        0 where a vertex does not vary within a session.
    """
    responses = np.asarray(responses)
    session = np.zeros(len(responses), dtype=int) if session is None else np.asarray(session)
    out = np.empty(responses.shape, dtype=np.float32)
    for label in np.unique(session):
        rows = session == label
        block = responses[rows].astype(np.float64)
        centred = block - block.mean(0)
        flat = block.min(0) == block.max(0)  # rounding leaves a variance where there is none
        deviation = np.where(flat, 1.0, centred.std(0))
        out[rows] = np.where(flat, 0.0, centred / np.where(deviation == 0, 1.0, deviation))
    return out
