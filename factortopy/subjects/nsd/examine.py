"""Looking at a subject of the Natural Scenes Dataset: every file is checked, every problem listed; ``layout`` loads it."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from factortopy.formats.mgh import read_mgh, whole_labels
from factortopy.formats.problems import DataError, stop
from factortopy.formats.twins import alike
from factortopy.subjects.ceilings import of_ncsnr
from factortopy.subjects.examination import Examination, Summary, as_warning, warn_of_likeness
from factortopy.subjects.nsd.betas import FULL, HEMISPHERES, VERSION, check_values, find_sessions
from factortopy.subjects.nsd.design import TRIALS, check_log, pictures_of_trials, read_expdesign
from factortopy.subjects.nsd.images import NsdImages
from factortopy.subjects.nsd.rois import ATLASES, read_rois
from factortopy.subjects.picture_files import note_decoded, spread
from factortopy.subjects.progress import each
from factortopy.subjects.split import MIN_IMAGES
from factortopy.wording import count, first_few

SESSIONS = (40, 40, 32, 30, 40, 32, 40, 30)  # that each subject had; the last three were held out at first
HELD_OUT = 3
_SAMPLE = 8  # pictures that are read to see whether they are whole


@dataclass
class NsdExamination(Examination):
    """What is read of a subject before its responses are, and everything that is wrong.

    folder : nsddata_betas/ppdata/subjXX; name : "subjXX"; average : bool
    sessions : list of Session; pictures : (T,) 0-based NSD number of each trial that is used
    vertices : {hemisphere: (n,) ascending on the full mesh}; rois : masks of the full mesh
    ncsnr : {hemisphere: (163842,)}; images : NsdImages of the pictures seen, in ascending order, or None
    """

    folder: Path
    name: str
    average: bool = False
    sessions: list = field(default_factory=list)
    pictures: np.ndarray | None = None
    vertices: dict = field(default_factory=dict)
    ncsnr: dict = field(default_factory=dict)
    images: NsdImages | None = None

    @property
    def root(self):
        return self.folder.parents[2]

    @property
    def number(self):
        """1 … 8."""
        return int(self.name[4:])

    def summary(self):
        """``Summary`` of what could be read."""
        trials = sum(session.trials for session in self.sessions)
        pictures = None if self.pictures is None else len(np.unique(self.pictures))
        sides = [hemi for hemi in HEMISPHERES if hemi in self.vertices]
        sizes = [len(self.vertices[hemi]) if hemi in sides else None for hemi in HEMISPHERES]
        rois = {name: [masks[hemi][self.vertices[hemi]] for hemi in sides] for name, masks in self.rois.items()}
        whole = len(sides) == len(HEMISPHERES) and self.ncsnr and not self.average
        return Summary.of(trials, pictures, sizes, rois, [ceiling(self, self.vertices)] if whole else [])


def examine(folder, sessions=None, average=False, mask="nsdgeneral", paper=False, atlases=("streams",), thorough=False):
    """Look at every file of a subject; of the responses only headers and a few trials are read.

    Parameters
    ----------
    folder : path
        nsddata_betas/ppdata/subjXX below the NSD root, there or not.
    sessions, average, mask, paper, atlases : as in ``load_nsd``
    thorough : bool
        Read every picture that the subject saw, not some.

    Returns
    -------
    NsdExamination
    """
    folder = Path(os.path.abspath(folder))
    examination = NsdExamination(folder, folder.name, bool(average), thorough=thorough)
    wanted = _wanted_sessions(examination, sessions, paper)
    betas = folder / "fsaverage" / VERSION
    examination.sessions = find_sessions(betas, SESSIONS[examination.number - 1], wanted, examination.problems)
    if paper:
        _compare_with_paper(examination, betas)
    if examination.sessions:
        check_values(examination.sessions[0], examination.problems)
        _examine_likeness(examination)
        files = count(2 * len(examination.sessions), "session file")
        examination.looked_at.append(f"the headers of {files}, some trials of session {examination.sessions[0].number}")
    _examine_design(examination)
    examination.rois = read_rois(examination.root, examination.name, examination.problems, _checked_atlases(atlases))
    _examine_mask(examination, mask)
    _examine_ncsnr(examination, betas)
    _examine_images(examination)
    return examination


def _wanted_sessions(examination, sessions, paper):
    """Session numbers to use, or None for all."""
    planned = SESSIONS[examination.number - 1]
    if paper and (sessions is not None or examination.average):
        words = "sessions" if sessions is not None else "average=True"
        raise stop("paper", "the paper's sessions, trial by trial", f"{words} besides", "leave out one of them")
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


def _compare_with_paper(examination, betas):
    """Keep the sessions that the paper had: all but the last three."""
    last = SESSIONS[examination.number - 1] - HELD_OUT
    examination.sessions = [session for session in examination.sessions if session.number <= last]
    if len(examination.sessions) < last:
        here = f"{len(examination.sessions)} of them"
        examination.warn(betas, f"sessions 1 to {last}, as in the paper", here, "these are used: figures will differ")
    choice = f"sessions 1 to {last}, single trials, split 8:1:1 over unique pictures"
    examination.remarks.append(f"the paper's choice: {choice}")


def _examine_likeness(examination):
    """Warn of sessions whose hemispheres hold the same numbers in the first trial."""
    for session in each(examination.sessions, "comparing the hemispheres of every session"):
        left, right = (session.files[hemi] for hemi in HEMISPHERES)
        if alike(left.frame_block(0, 1), right.frame_block(0, 1)):
            warn_of_likeness(examination, left.path, right.path)


def _checked_atlases(atlases):
    atlases = (atlases,) if isinstance(atlases, str) else tuple(atlases)
    for name in atlases:
        if name not in ATLASES:
            raise stop("atlases", f"some of {', '.join(ATLASES)}", repr(name)[:60], "choose among these")
    return atlases


def _examine_design(examination):
    """Pictures of the trials, cross-checked with the log."""
    data = examination.root / "nsddata"
    design = examination.try_to(read_expdesign, data / "experiments" / "nsd" / "nsd_expdesign.mat")
    if design is None or not examination.sessions:
        return
    pictures = pictures_of_trials(design, examination.number)
    starts = [(session.number - 1) * TRIALS for session in examination.sessions]
    used = [np.arange(a, a + session.trials) for a, session in zip(starts, examination.sessions, strict=True)]
    examination.pictures = pictures[np.concatenate(used)]
    unique = len(np.unique(examination.pictures))
    if unique < MIN_IMAGES and not examination.first_stop():  # sessions that were refused would bring more
        expected = f"at least {MIN_IMAGES} different pictures to train, validate and test on"
        examination.stop("images", expected, f"{unique}", "add sessions")
    log = data / "ppdata" / examination.name / "behav" / "responses.tsv"
    if log.exists():
        examination.try_to(check_log, log, {s.number: s.trials for s in examination.sessions}, pictures)
    else:
        examination.remarks.append("responses.tsv is not here: the order of the pictures is nsd_expdesign.mat's alone")


def _examine_mask(examination, mask):
    """Vertices to use: nsdgeneral, all, or a region."""
    if mask == "all":
        masks = {hemi: np.ones(FULL, bool) for hemi in HEMISPHERES}
    elif mask in examination.rois:
        masks = examination.rois[mask]
    elif mask == "nsdgeneral":
        labels = examination.root / "nsddata" / "freesurfer" / "fsaverage" / "label"
        read = {hemi: examination.try_to(_general, labels / f"{hemi}.nsdgeneral.mgz") for hemi in HEMISPHERES}
        masks = {hemi: values == 1 for hemi, values in read.items() if values is not None}
    else:
        regions = f"regions: {first_few(examination.rois, 40)}"
        examination.stop("mask", '"nsdgeneral", "all" or a region', repr(mask)[:60], regions)
        return
    if len(masks) == len(HEMISPHERES):
        examination.vertices = {hemi: np.flatnonzero(masks[hemi]) for hemi in HEMISPHERES}
        if not any(len(part) for part in examination.vertices.values()):
            examination.stop("mask", f"vertices in {mask}", "none", "choose another mask")


def _general(path):
    """The labels of nsdgeneral; its problem says what they are for."""
    try:
        return whole_labels(path, FULL, surface="fsaverage")
    except DataError as error:
        purpose = ': it says which vertices are used (docs/nsd.md; mask="all" in Python does without)'
        raise DataError(replace(error.problem, remedy=error.problem.remedy + purpose)) from None


def _examine_ncsnr(examination, betas):
    for hemi in HEMISPHERES:
        path = betas / f"{hemi}.ncsnr.mgh"
        try:
            examination.ncsnr[hemi] = read_mgh(path, FULL, surface="fsaverage")
        except DataError as error:
            examination.problems.append(as_warning(error, "; until then only raw R² is shown"))
    if len(examination.ncsnr) < len(HEMISPHERES):
        examination.ncsnr = {}
    elif alike(*examination.ncsnr.values()):
        warn_of_likeness(examination, *(betas / f"{hemi}.ncsnr.mgh" for hemi in HEMISPHERES))


def _examine_images(examination):
    path = examination.root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"
    numbers = np.arange(0) if examination.pictures is None else np.unique(examination.pictures)
    examination.images = examination.try_to(NsdImages, path, numbers)
    if examination.images is not None and len(numbers):
        chosen = spread(len(numbers), len(numbers) if examination.thorough else _SAMPLE)
        for i in each(chosen, "reading pictures"):
            if examination.try_to(examination.images.__getitem__, int(i)) is None:
                return
        note_decoded(examination, len(chosen), len(numbers))


# ---------------------------------------------------------------- noise ceilings


def ceiling(examination, columns, repeats=1):
    """(N,) share of the variance that can be explained, of rows that are means of ``repeats`` trials."""
    return of_ncsnr(joined(examination.ncsnr, columns), repeats)


def joined(parts, columns):
    """(N,) values of both hemispheres, left first, at the chosen vertices of each."""
    return np.concatenate([parts[hemi][columns[hemi]] for hemi in HEMISPHERES])
