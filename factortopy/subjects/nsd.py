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
or the subject. Responses are z-scored within each session and kept in a file at the first load (``nsd_betas``).
"""

import os
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from factortopy.home import cache_dir
from factortopy.subjects import DENSITY
from factortopy.subjects.findings import DataError, Examined, Known, first_few, stop, warn
from factortopy.subjects.mgh import read_mgh, whole_labels
from factortopy.subjects.nsd_betas import (
    FULL,
    HEMISPHERES,
    VERSION,
    check_values,
    find_sessions,
    first_frames_finite,
    is_kept,
    kept_responses,
    needed,
    too_full,
)
from factortopy.subjects.nsd_design import TRIALS, check_log, pictures_of_trials, read_expdesign
from factortopy.subjects.nsd_images import NsdImages
from factortopy.subjects.nsd_rois import ATLASES, read_rois
from factortopy.subjects.own_surface import add_surface
from factortopy.subjects.split import MIN_IMAGES
from factortopy.subjects.subject import Subject, known_density
from factortopy.surfaces import N_VERTICES

LAYOUT = "Natural Scenes Dataset"
LOOKED_FOR = "nsddata_betas/ and nsddata/ (NSD)"
PARTS = ("nsddata", "nsddata_betas", "nsddata_stimuli")  # folders inside a root
IMAGE_DEGREES = 8.4
SESSIONS = (40, 40, 32, 30, 40, 32, 40, 30)  # that each subject had; the last three were held out at first
HELD_OUT = 3
_SUBJECT = re.compile(r"subj0[1-8]")
_SAMPLE = 8  # pictures that are read to see whether they are whole


def is_root(folder):
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


@dataclass
class Examination(Examined):
    """What is known of a subject before its responses are read, and everything that is wrong.

    folder : nsddata_betas/ppdata/subjXX; name : "subjXX"; average : bool
    sessions : list of Session; pictures : (T,) 0-based NSD number of each trial that is used
    vertices : {hemisphere: (n,) ascending on the full mesh}; rois : {name: {hemisphere: (163842,) bool}}
    ncsnr : {hemisphere: (163842,)}; images : NsdImages of the pictures seen, in ascending order, or None
    problems, remarks : lists
    """

    folder: Path
    name: str
    average: bool = False
    sessions: list = field(default_factory=list)
    pictures: np.ndarray | None = None
    vertices: dict = field(default_factory=dict)
    rois: dict = field(default_factory=dict)
    ncsnr: dict = field(default_factory=dict)
    images: NsdImages | None = None
    problems: list = field(default_factory=list)
    remarks: list = field(default_factory=list)

    @property
    def root(self):
        return self.folder.parents[2]

    @property
    def number(self):
        """1 … 8."""
        return int(self.name[4:])

    def known(self):
        """``Known``: what could be read."""
        trials = sum(session.trials for session in self.sessions)
        pictures = None if self.pictures is None else len(np.unique(self.pictures))
        chosen = [self.vertices.get(hemi) for hemi in HEMISPHERES]
        known = [part is not None for part in chosen]
        sides = [hemi for hemi, there in zip(HEMISPHERES, known, strict=True) if there]
        rois = {name: [masks[hemi][self.vertices[hemi]] for hemi in sides] for name, masks in self.rois.items()}
        columns = {hemi: self.vertices[hemi] for hemi in HEMISPHERES} if all(known) else None
        ceiling = [_ceiling(self, columns, np.ones(1))] if columns and self.ncsnr and not self.average else []
        return Known.of(trials, pictures, [None if part is None else len(part) for part in chosen], rois, ceiling)


# ---------------------------------------------------------------- looking


def examine(folder, sessions=None, average=False, mask="nsdgeneral", paper=False, atlases=("streams",)):
    """Look at every file of a subject; of the responses only headers and a few trials are read.

    Parameters
    ----------
    folder : path
        nsddata_betas/ppdata/subjXX below the NSD root, there or not.
    sessions, average, mask, paper, atlases : as in ``load_nsd``

    Returns
    -------
    Examination
    """
    folder = Path(os.path.abspath(folder))
    found = Examination(folder, folder.name, bool(average))
    wanted = _wanted_sessions(found, sessions, paper)
    betas = folder / "fsaverage" / VERSION
    found.sessions = find_sessions(betas, SESSIONS[found.number - 1], wanted, found.problems)
    if paper:
        _compare_with_paper(found, betas)
    if found.sessions:
        check_values(found.sessions[0], found.problems)
    _examine_design(found)
    found.rois = read_rois(found.root, found.name, found.problems, _known_atlases(atlases))
    _examine_mask(found, mask)
    _examine_ncsnr(found, betas)
    _examine_images(found)
    return found


def _wanted_sessions(found, sessions, paper):
    """Session numbers to use, or None for all."""
    planned = SESSIONS[found.number - 1]
    if paper and (sessions is not None or found.average):
        words = "sessions" if sessions is not None else "average=True"
        raise stop("paper", "the paper's sessions, trial by trial", f"{words} besides", "leave out one of them")
    if paper:
        return None
    if sessions is None:
        return None
    try:
        wanted = sorted({int(k) for k in sessions if int(k) == k})
        if len(wanted) != len(list(sessions)) or not wanted or wanted[0] < 1 or wanted[-1] > planned:
            raise ValueError
    except (TypeError, ValueError):
        remedy = "count from 1, each once"
        raise stop("sessions", f"numbers from 1 to {planned}", repr(sessions)[:60], remedy) from None
    return wanted


def _compare_with_paper(found, betas):
    """Keep the sessions that the paper had: all but the last three."""
    last = SESSIONS[found.number - 1] - HELD_OUT
    found.sessions = [session for session in found.sessions if session.number <= last]
    if len(found.sessions) < last:
        here = f"{len(found.sessions)} of them"
        found.warn(betas, f"sessions 1 to {last}, as in the paper", here, "these are used: figures will differ")
    found.remarks.append(f"the paper's choice: sessions 1 to {last}, single trials, split 8:1:1 over unique pictures")


def _known_atlases(atlases):
    atlases = (atlases,) if isinstance(atlases, str) else tuple(atlases)
    for name in atlases:
        if name not in ATLASES:
            raise stop("atlases", f"some of {', '.join(ATLASES)}", repr(name)[:60], "choose among these")
    return atlases


def _examine_design(found):
    """Pictures of the trials, cross-checked with the log."""
    data = found.root / "nsddata"
    design = found.try_to(read_expdesign, data / "experiments" / "nsd" / "nsd_expdesign.mat")
    if design is None or not found.sessions:
        return
    pictures = pictures_of_trials(design, found.number)
    starts = [(session.number - 1) * TRIALS for session in found.sessions]
    used = [np.arange(a, a + session.trials) for a, session in zip(starts, found.sessions, strict=True)]
    found.pictures = pictures[np.concatenate(used)]
    unique = len(np.unique(found.pictures))
    if unique < MIN_IMAGES and not found.first_stop():  # sessions that were refused would bring more
        expected = f"at least {MIN_IMAGES} different pictures to train, validate and test on"
        found.stop("images", expected, f"{unique}", "add sessions")
    log = data / "ppdata" / found.name / "behav" / "responses.tsv"
    if log.exists():
        found.try_to(check_log, log, {s.number: s.trials for s in found.sessions}, pictures)
    else:
        found.remarks.append("responses.tsv is not here: the order of the pictures is nsd_expdesign.mat's alone")


def _examine_mask(found, mask):
    """Vertices to use: nsdgeneral, all, or a region."""
    if mask == "all":
        masks = {hemi: np.ones(FULL, bool) for hemi in HEMISPHERES}
    elif mask in found.rois:
        masks = found.rois[mask]
    elif mask == "nsdgeneral":
        labels = found.root / "nsddata" / "freesurfer" / "fsaverage" / "label"
        read = {hemi: found.try_to(whole_labels, labels / f"{hemi}.nsdgeneral.mgz", FULL) for hemi in HEMISPHERES}
        masks = {hemi: values == 1 for hemi, values in read.items() if values is not None}
    else:
        found.stop("mask", '"nsdgeneral", "all" or a region', repr(mask)[:60], f"regions: {first_few(found.rois, 40)}")
        return
    if len(masks) == len(HEMISPHERES):
        found.vertices = {hemi: np.flatnonzero(masks[hemi]) for hemi in HEMISPHERES}
        if not any(len(part) for part in found.vertices.values()):
            found.stop("mask", f"vertices in {mask}", "none", "choose another mask")


def _examine_ncsnr(found, betas):
    for hemi in HEMISPHERES:
        path = betas / f"{hemi}.ncsnr.mgh"
        try:
            found.ncsnr[hemi] = read_mgh(path, FULL)
        except DataError as error:
            problem = error.problem
            found.warn(path, problem.expected, problem.found, f"{problem.remedy}; until then only raw R² is shown")
    if len(found.ncsnr) < len(HEMISPHERES):
        found.ncsnr = {}


def _examine_images(found):
    path = found.root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"
    numbers = np.arange(0) if found.pictures is None else np.unique(found.pictures)
    found.images = found.try_to(NsdImages, path, numbers)
    if found.images is not None:
        for i in np.unique(np.linspace(0, max(0, len(numbers) - 1), _SAMPLE).astype(int))[: len(numbers)]:
            if found.try_to(found.images.__getitem__, int(i)) is None:
                break


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
    from factortopy.subjects.layouts import same_subject

    root = Path(root)
    names = [f"subj{k:02d}" for k in range(1, 9)]
    name = next((name for name in names if same_subject(name, subject)), None)
    if name is None:
        raise stop("subject", "subj01 to subj08", repr(subject)[:60], "choose one of these")
    folder = root / "nsddata_betas" / "ppdata" / name
    return to_subject(examine(folder, sessions, average, mask, paper, atlases), density)


def to_subject(found, density=DENSITY):
    """The Subject of an Examination; raises the first problem that stops. Writes the kept file at the first call."""
    columns = _columns(found, density)
    index = np.unique(found.pictures, return_inverse=True)[1]
    responses, kept, flat = kept_responses(found.name, found.sessions, columns, index, found.average)
    subject = _subject(found, density, columns, responses, kept)
    if flat:
        remedy = "they are 0 there"
        found_words = f"{flat:,} vertices that never change within some session"
        subject.warnings.append(warn("responses", "values that vary within every session", found_words, remedy))
    return subject


def outline(found, density=DENSITY):
    """The Subject of an Examination without its responses (stand-in numbers, no memory), for ``check``."""
    columns = _columns(found, density)
    kept = first_frames_finite(found.sessions, columns)
    n_trials = len(np.unique(found.pictures)) if found.average else len(found.pictures)
    stand_in = np.broadcast_to(np.arange(n_trials, dtype=np.float32)[:, None], (n_trials, int(kept.sum())))
    subject = _subject(found, density, columns, stand_in, kept)
    if not is_kept(found.name, found.sessions, columns):
        size, free = needed(len(found.pictures), columns), shutil.disk_usage(cache_dir("subjects")).free
        subject.remark(f"the first training writes {size / 1e9:.2f} GB to {cache_dir('subjects')}, once")
        if size > 0.98 * free:
            subject.warnings.append(too_full(cache_dir("subjects"), size, free).problem)
    return subject


def sample(found, density=DENSITY):
    """The Subject of an Examination's first session (of more where that has few pictures): a look in seconds.

    Returns
    -------
    (Subject, str)
        With words for what it is a part of; empty when it is all there is.
    """
    ends = np.cumsum([session.trials for session in found.sessions])
    enough = [len(np.unique(found.pictures[:end])) >= MIN_IMAGES for end in ends]
    n = 1 + enough.index(True) if True in enough else len(ends)
    pictures = found.pictures[: ends[n - 1]]
    images = found.images[np.searchsorted(np.unique(found.pictures), np.unique(pictures))]
    part = replace(found, sessions=found.sessions[:n], pictures=pictures, images=images, problems=[], remarks=[])
    numbers = first_few([session.number for session in part.sessions], 5)
    words = f"in session {numbers}" if n < len(ends) else ""
    return to_subject(part, density), words


def _columns(found, density):
    """{hemisphere: vertices to use}, none beyond the mesh of this density."""
    problem = found.first_stop()
    if problem:
        raise DataError(problem)
    top = N_VERTICES[known_density(density)]
    columns = {hemi: vertices[vertices < top] for hemi, vertices in found.vertices.items()}
    if not any(len(part) for part in columns.values()):
        raise stop("mask", f"vertices on the {density} mesh", "none", "choose a larger mask or a higher density")
    return columns


def _subject(found, density, columns, responses, kept):
    numbers, index, repeats = np.unique(found.pictures, return_inverse=True, return_counts=True)
    rois = {name: _joined(masks, columns)[kept] for name, masks in found.rois.items()}
    outside = [
        name for name, mask in rois.items() if not mask.any() and any(m.any() for m in found.rois[name].values())
    ]
    session = np.repeat([s.number for s in found.sessions], [s.trials for s in found.sessions])
    subject = Subject(
        responses,
        found.images,
        hemi=np.repeat([0, 1], [len(columns[hemi]) for hemi in HEMISPHERES])[kept],
        vertex=np.concatenate([columns[hemi] for hemi in HEMISPHERES])[kept],
        rois={name: mask for name, mask in rois.items() if name not in outside},
        noise_ceiling=_ceiling(found, columns, repeats)[kept] if found.ncsnr else None,
        image_index=None if found.average else index,
        name=found.name,
        density=density,
        image_degrees=IMAGE_DEGREES,
        session=None if found.average else session,
    )
    add_surface(subject, found.root)
    total = sum(len(vertices) for vertices in found.vertices.values())
    if len(kept) < total:
        subject.remark(f"drawn and trained at {density}: {len(kept):,} of {total:,} vertices")
    if outside:
        subject.remark(f"no vertex among those used at {density}: {first_few(outside, 20)}")
    subject.remark(f"sessions {first_few([s.number for s in found.sessions], 50)}, z-scored one by one")
    for remark in found.remarks:
        subject.remark(remark)
    if not kept.all():
        text = f"{int((~kept).sum()):,} of {len(kept):,} vertices hold missing values in some session"
        subject.warnings.append(warn("responses", "finite values", text, "they are dropped"))
    subject.warnings[:0] = found.problems
    return subject


def _ceiling(found, columns, repeats):
    """(N,) share of the variance that can be explained, from the noise ceiling's signal-to-noise ratio."""
    ratio = _joined(found.ncsnr, columns).astype(np.float64)
    noise = np.mean(1 / repeats) if found.average else 1.0
    with np.errstate(invalid="ignore"):
        return np.where(ratio > 0, ratio**2 / (ratio**2 + noise), np.where(np.isnan(ratio), np.nan, 0))


def _joined(parts, columns):
    return np.concatenate([parts[hemi][columns[hemi]] for hemi in HEMISPHERES])
