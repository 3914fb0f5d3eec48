"""Looking at a subject of the Natural Scenes Dataset: every file is checked, every problem listed; ``nsd`` loads it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factortopy.formats.mgh import read_mgh, whole_labels
from factortopy.formats.problems import DataError, stop
from factortopy.subjects.examination import Examined, Known
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
class Examination(Examined):
    """What is known of a subject before its responses are read, and everything that is wrong.

    folder : nsddata_betas/ppdata/subjXX; name : "subjXX"; average : bool
    sessions : list of Session; pictures : (T,) 0-based NSD number of each trial that is used
    vertices : {hemisphere: (n,) ascending on the full mesh}; rois : {name: {hemisphere: (163842,) bool}}
    ncsnr : {hemisphere: (163842,)}; images : NsdImages of the pictures seen, in ascending order, or None
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
        shares = [ceiling(self, columns, np.ones(1))] if columns and self.ncsnr and not self.average else []
        return Known.of(trials, pictures, [None if part is None else len(part) for part in chosen], rois, shares)


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
    Examination
    """
    folder = Path(os.path.abspath(folder))
    found = Examination(folder, folder.name, bool(average), thorough=thorough)
    wanted = _wanted_sessions(found, sessions, paper)
    betas = folder / "fsaverage" / VERSION
    found.sessions = find_sessions(betas, SESSIONS[found.number - 1], wanted, found.problems)
    if paper:
        _compare_with_paper(found, betas)
    if found.sessions:
        check_values(found.sessions[0], found.problems)
        files = count(2 * len(found.sessions), "session file")
        found.looked.append(f"the headers of {files}, some trials of session {found.sessions[0].number}")
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
        read = {hemi: found.try_to(_general, labels / f"{hemi}.nsdgeneral.mgz") for hemi in HEMISPHERES}
        masks = {hemi: values == 1 for hemi, values in read.items() if values is not None}
    else:
        found.stop("mask", '"nsdgeneral", "all" or a region', repr(mask)[:60], f"regions: {first_few(found.rois, 40)}")
        return
    if len(masks) == len(HEMISPHERES):
        found.vertices = {hemi: np.flatnonzero(masks[hemi]) for hemi in HEMISPHERES}
        if not any(len(part) for part in found.vertices.values()):
            found.stop("mask", f"vertices in {mask}", "none", "choose another mask")


def _general(path):
    """The labels of nsdgeneral; its problem says what they are for."""
    try:
        return whole_labels(path, FULL, surface="fsaverage")
    except DataError as error:
        told = error.problem
        remedy = f'{told.remedy}: it says which vertices are used (docs/nsd.md; mask="all" in Python does without)'
        raise stop(path, told.expected, told.actual, remedy) from None


def _examine_ncsnr(found, betas):
    for hemi in HEMISPHERES:
        path = betas / f"{hemi}.ncsnr.mgh"
        try:
            found.ncsnr[hemi] = read_mgh(path, FULL, surface="fsaverage")
        except DataError as error:
            problem = error.problem
            found.warn(path, problem.expected, problem.actual, f"{problem.remedy}; until then only raw R² is shown")
    if len(found.ncsnr) < len(HEMISPHERES):
        found.ncsnr = {}


def _examine_images(found):
    path = found.root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"
    numbers = np.arange(0) if found.pictures is None else np.unique(found.pictures)
    found.images = found.try_to(NsdImages, path, numbers)
    if found.images is not None and len(numbers):
        some = spread(len(numbers), len(numbers) if found.thorough else _SAMPLE)
        for i in each(some, "reading pictures"):
            if found.try_to(found.images.__getitem__, int(i)) is None:
                return
        note_decoded(found, len(some), len(numbers))


# ---------------------------------------------------------------- noise ceilings


def ceiling(found, columns, repeats):
    """(N,) share of the variance that can be explained, from the noise ceiling's signal-to-noise ratio."""
    ratio = joined(found.ncsnr, columns).astype(np.float64)
    noise = np.mean(1 / repeats) if found.average else 1.0
    with np.errstate(invalid="ignore"):
        return np.where(ratio > 0, ratio**2 / (ratio**2 + noise), np.where(np.isnan(ratio), np.nan, 0))


def joined(parts, columns):
    return np.concatenate([parts[hemi][columns[hemi]] for hemi in HEMISPHERES])
