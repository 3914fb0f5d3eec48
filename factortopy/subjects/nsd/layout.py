"""The Natural Scenes Dataset on fsaverage: one subject below the NSD root, checked file by file.

    nsddata_betas/ppdata/subjXX/fsaverage/betas_fithrf_GLMdenoise_RR/{lh,rh}.betas_sessionNN.mgh, {lh,rh}.ncsnr.mgh
    nsddata/experiments/nsd/nsd_expdesign.mat
    nsddata/ppdata/subjXX/behav/responses.tsv                                 optional, cross-checked
    nsddata/ppdata/subjXX/transforms/{lh,rh}.white-to-fsaverage.mgz           for the subject's own regions
    nsddata/freesurfer/subjXX/label/{lh,rh}.{prf-visualrois,floc-…}.mgz, *.mgz.ctab
    nsddata/freesurfer/fsaverage/label/{lh,rh}.{nsdgeneral,streams,…}.mgz, *.mgz.ctab
    nsddata/freesurfer/fsaverage/surf/{lh,rh}.{white,pial,inflated,sphere,sulc}     optional, drawn where they are
    nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5

``examine`` looks at everything and lists every problem; ``load_nsd`` is ``examine``, then the first problem that stops,
or the subject. Responses are z-scored within each session and kept in a file at the first load (``betas``).
"""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from factortopy.formats.problems import stop, warn
from factortopy.storage.home import cache_dir
from factortopy.subjects.ceilings import estimate_ceiling
from factortopy.subjects.names import DENSITY
from factortopy.subjects.nsd.betas import HEMISPHERES, first_frames_finite, is_kept, kept_responses, needed, too_full
from factortopy.subjects.nsd.examine import ceiling, examine, joined
from factortopy.subjects.split import MIN_IMAGES, default_split
from factortopy.subjects.subject import Subject
from factortopy.subjects.surface_beside import add_surface
from factortopy.surfaces.coordinates import checked_density
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few

__all__ = ["examine", "is_here", "load_nsd", "outline", "sample", "subjects", "to_subject"]

LAYOUT = "Natural Scenes Dataset"
LOOKED_FOR = "nsddata_betas/ and nsddata/ (NSD)"
PARTS = ("nsddata", "nsddata_betas", "nsddata_stimuli")  # folders inside a root
IMAGE_DEGREES = 8.4
_SUBJECT = re.compile(r"subj0[1-8]")


def is_here(folder):
    """True where the folder is an NSD root, complete or not."""
    folder = Path(folder)
    return (folder / "nsddata_betas" / "ppdata").is_dir() or (folder / "nsddata" / "freesurfer").is_dir()


def subjects(root):
    """{"subj01": its folder below nsddata_betas, …}: subjects with betas, or where there are none all that appear."""
    root = Path(root)
    betas, other = root / "nsddata_betas" / "ppdata", root / "nsddata" / "ppdata"
    for folder in (betas, other, root / "nsddata" / "freesurfer"):
        names = sorted(p.name for p in folder.iterdir() if _SUBJECT.fullmatch(p.name)) if folder.is_dir() else []
        if names:
            return {name: betas / name for name in names}
    return {}


# ---------------------------------------------------------------- loading


def load_nsd(
    root, subject, sessions=None, average=False, mask="nsdgeneral", paper=False, density=DENSITY, atlases=("streams",)
):
    """A subject of the Natural Scenes Dataset.

    Parameters
    ----------
    root : path
        The folder that holds nsddata, nsddata_betas and nsddata_stimuli.
    subject : str or int
        "subj01" to "subj08", or 1 to 8.
    sessions : list of int, optional
        Numbers from 1; default all whose files are here.
    average : bool
        One row a picture, the mean of its z-scored repeats; default every trial is a row.
    mask : str
        "nsdgeneral", "all", or a region, such as "V1" or "Kastner2015 V1v".
    paper : bool
        As in the paper: single trials of all but the last three sessions (37 of 40), split 8:1:1 over unique pictures.
    density : "10k", "41k" or "164k"
        Vertices beyond this mesh are left out.
    atlases : names
        Of fsaverage's atlases whose regions are wanted: streams, Kastner2015, HCP_MMP1, corticalsulc, visualsulc.

    Returns
    -------
    Subject
        ``responses`` is a read-only memory map of the kept file. ``session`` is None for averages.

    Raises
    ------
    InputError
        The first problem that ``examine`` finds and that stops, or a full disk.
    """
    from factortopy.subjects.names import same_subject

    root = Path(root)
    names = [f"subj{k:02d}" for k in range(1, 9)]
    name = next((name for name in names if same_subject(name, subject)), None)
    if name is None:
        raise stop("subject", "subj01 to subj08", repr(subject)[:60], "choose one of these")
    folder = root / "nsddata_betas" / "ppdata" / name
    return to_subject(examine(folder, sessions, average, mask, paper, atlases), density)


def to_subject(examination, density=DENSITY):
    """The Subject of an examination; raises the first problem that stops. Writes the kept file at the first call."""
    columns = _columns(examination, density)
    index = np.unique(examination.pictures, return_inverse=True)[1]
    responses, kept, flat = kept_responses(examination.name, examination.sessions, columns, index, examination.average)
    subject = _subject(examination, density, columns, responses, kept)
    estimate_ceiling(subject)
    if flat:
        remedy = "they are 0 there"
        actual = f"{flat:,} vertices that never change within some session"
        subject.warnings.append(warn("responses", "values that vary within every session", actual, remedy))
    return subject


def outline(examination, density=DENSITY):
    """The Subject of an examination without its responses (stand-in numbers, no memory), for ``check``."""
    columns = _columns(examination, density)
    kept = first_frames_finite(examination.sessions, columns)
    n_trials = len(np.unique(examination.pictures)) if examination.average else len(examination.pictures)
    stand_in = np.broadcast_to(np.arange(n_trials, dtype=np.float32)[:, None], (n_trials, int(kept.sum())))
    subject = _subject(examination, density, columns, stand_in, kept)
    if not is_kept(examination.name, examination.sessions, columns):
        size, free = needed(len(examination.pictures), columns), shutil.disk_usage(cache_dir("subjects")).free
        subject.remark(f"the first training writes {size / 1e9:.2f} GB to {cache_dir('subjects')}, once")
        if size > 0.98 * free:
            subject.warnings.append(too_full(cache_dir("subjects"), size, free).problem)
    return subject


def sample(examination, density=DENSITY):
    """The Subject of an examination's first session (of more where that has few pictures): a look in seconds.

    Returns
    -------
    (Subject, str)
        With words for what it is a part of; empty when it is all there is.
    """
    ends = np.cumsum([session.trials for session in examination.sessions])
    enough = [len(np.unique(examination.pictures[:end])) >= MIN_IMAGES for end in ends]
    n = 1 + enough.index(True) if True in enough else len(ends)
    pictures = examination.pictures[: ends[n - 1]]
    images = examination.images[np.searchsorted(np.unique(examination.pictures), np.unique(pictures))]
    sessions = examination.sessions[:n]
    part = replace(examination, sessions=sessions, pictures=pictures, images=images, problems=[], remarks=[])
    numbers = first_few([session.number for session in sessions], 5)
    words = f"in session {numbers}" if n < len(ends) else ""
    return to_subject(part, density), words


def _columns(examination, density):
    """{hemisphere: vertices to use}, none beyond the mesh of this density."""
    examination.raise_first_stop()
    top = N_VERTICES[checked_density(density)]
    columns = {hemi: vertices[vertices < top] for hemi, vertices in examination.vertices.items()}
    if not any(len(part) for part in columns.values()):
        raise stop("mask", f"vertices on the {density} mesh", "none", "choose a larger mask or a higher density")
    return columns


def _subject(examination, density, columns, responses, kept):
    _, index, repeats = np.unique(examination.pictures, return_inverse=True, return_counts=True)
    rois, outside = examination.joined_rois(lambda masks: joined(masks, columns)[kept])
    split = default_split(np.arange(len(repeats))) if examination.average else None
    scored = repeats[split.test] if examination.average else 1
    session = np.repeat([s.number for s in examination.sessions], [s.trials for s in examination.sessions])
    subject = Subject(
        responses,
        examination.images,
        hemi=np.repeat([0, 1], [len(columns[hemi]) for hemi in HEMISPHERES])[kept],
        vertex=np.concatenate([columns[hemi] for hemi in HEMISPHERES])[kept],
        rois=rois,
        noise_ceiling=ceiling(examination, columns, scored)[kept] if examination.ncsnr else None,
        image_index=None if examination.average else index,
        split=split,
        name=examination.name,
        density=density,
        image_degrees=IMAGE_DEGREES,
        session=None if examination.average else session,
    )
    add_surface(subject, examination.root)
    total = sum(len(vertices) for vertices in examination.vertices.values())
    if len(kept) < total:
        subject.remark(f"drawn and trained at {density}: {len(kept):,} of {total:,} vertices")
    if outside:
        subject.remark(f"no vertex among those used at {density}: {first_few(outside, 20)}")
    subject.remark(f"sessions {first_few([s.number for s in examination.sessions], 50)}, z-scored one by one")
    if not kept.all():
        text = f"{int((~kept).sum()):,} of {len(kept):,} vertices hold missing values in some session"
        subject.warnings.append(warn("responses", "finite values", text, "they are dropped"))
    examination.hand_on(subject)
    return subject
