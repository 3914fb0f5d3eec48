"""Films as stimuli: which frames were on the screen in each TR, which TRs lie behind them, and a split without leaks.

A row of trials.tsv is a TR (one volume). Its ``stimulus`` names a film or a folder of frames below ``stimuli/``; ``onset``
is the second of that film at which the TR begins. A few frames of each TR are sampled; the subject's pictures are those
frames. Before and after a film, and where ``stimulus`` is empty, the screen is mid grey.
"""

import hashlib
import os
from dataclasses import dataclass, field

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.names import in_order_of_numbers
from factortopy.formats.npy import safe_npy
from factortopy.formats.problems import STOPS, DataError, Problem, stop
from factortopy.formats.tables import NOTHING, codes
from factortopy.pictures.reading import ENDINGS
from factortopy.storage.files import read_json, write_atomic, write_json
from factortopy.storage.home import cache_dir
from factortopy.storage.names import is_there
from factortopy.subjects.folder.named_files import matched_files
from factortopy.subjects.folder.responses import files_in
from factortopy.subjects.picture_files import examine_files
from factortopy.subjects.progress import each
from factortopy.subjects.split import Split
from factortopy.wording import count, safe_label, shown_path

MOST = 5000  # frames of one film
GREY = 128
BLOCKS = 10  # at least, to be split 8:1:1
RESPONSE = 16.0  # seconds after which SPM's haemodynamic response has had 93 % of its area, undershoot included
DELAYS = (2.0, 10.0)  # seconds of the past that are looked at unless dataset.json names TRs


class Frames:
    """Sampled frames of several films, read one by one: ``frames[i]`` is (H, W, 3) uint8 or the path of a picture.

    sources : list of (n, H, W, 3) arrays, memory-mapped, or lists of paths
    where : (F, 2) source and number in it of each frame
    """

    def __init__(self, sources, where):
        self.sources, self.where = sources, np.asarray(where)

    def __len__(self):
        return len(self.where)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Frames(self.sources, self.where[i])
        source, number = self.where[i]
        return self.sources[source][number]

    def label(self, i):
        """The file of a frame, or the film's number and the frame's."""
        source, number = (int(k) for k in self.where[i])
        frame = self.sources[source][number] if isinstance(self.sources[source], list) else None
        return f"film {source + 1}, frame {number + 1}" if frame is None else f"{frame.parent.name}/{frame.name}"

    def __iter__(self):
        return (self[i] for i in range(len(self)))


@dataclass
class Film:
    """What was on the screen, TR by TR.

    frames : (T, k) rows of the pictures shown in each TR
    run : (T,) contiguous labels; clip, position : (T,) which film, and TRs from its start; clip −1 where the screen was grey
    onset : (T,) seconds; tr : seconds; delays : whole TRs, rising: what of the past is looked at
    pictures : Frames
    """

    frames: np.ndarray
    run: np.ndarray
    clip: np.ndarray
    position: np.ndarray
    onset: np.ndarray
    tr: float
    delays: tuple
    pictures: Frames = field(repr=False)

    @property
    def image_index(self):
        """(T,) the frame in the middle of each TR."""
        return self.frames[:, self.frames.shape[1] // 2]

    @property
    def gap(self):
        """TRs that parts of a split lie apart: a haemodynamic response, and no less than the longest delay."""
        return max(self.delays[-1], int(np.ceil(RESPONSE / self.tr - 1e-6)))

    def before(self, delay):
        """(T,) the row ``delay`` TRs earlier; a run's first row where there is none."""
        start = np.flatnonzero(np.r_[True, self.run[1:] != self.run[:-1]])
        first = np.repeat(start, np.diff(np.r_[start, len(self.run)]))
        return np.maximum(np.arange(len(self.run)) - delay, first)

    def answers(self, rows):
        """Rows in which the brain answers to what was shown in ``rows``: the chosen delays later, in the same run."""
        later = (np.asarray(rows)[:, None] + np.array(self.delays)).ravel()
        start = np.repeat(rows, len(self.delays))
        inside = later < len(self.run)
        later, start = later[inside], start[inside]
        return np.unique(later[self.run[later] == self.run[start]])

    def describe_delays(self):
        """Such as: 2 to 5 TRs (3 to 7.5 s)."""
        first, last = self.delays[0], self.delays[-1]
        spread = f"{first} to {last}" if len(self.delays) > 1 else f"{first}"
        seconds = f"{first * self.tr:g} to {last * self.tr:g} s" if len(self.delays) > 1 else f"{first * self.tr:g} s"
        return f"{spread} TR{'' if spread == '1' else 's'} ({seconds})"

    def left_out(self, split):
        """Why TRs are in no part of a split, one line; "" where all are."""
        n = len(self.run) - sum(len(part) for part in (split.train, split.val, split.test))
        if not n:
            return ""
        first, gap = count(self.delays[-1], "TR"), f"{count(self.gap, 'TR')} ({self.gap * self.tr:g} s)"
        grey = f", {int((self.clip < 0).sum()):,} of a grey screen" if (self.clip < 0).any() else ""
        return f"{count(n, 'TR')} left out: the first {first} of each run, gaps of {gap} between the parts{grey}"

    def usable(self):
        """(T,) bool: a film was on the screen, and the run is long enough for the longest delay."""
        rows = np.arange(len(self.run))
        return (self.clip >= 0) & (rows - self.before(len(rows)) >= self.delays[-1])

    def weights(self, response, delays=None):
        """(T, F) sparse matrix from frames to TRs: averaged within a TR, then delayed.

        response : (len(delays),) weight of each delay; they sum to 1
        delays : TRs; the film's own when None
        """
        from scipy.sparse import csr_matrix

        t, k = self.frames.shape
        seen = np.concatenate(
            [self.frames[self.before(delay)] for delay in (self.delays if delays is None else delays)], 1
        )
        value = np.repeat(np.asarray(response, dtype=np.float32) / k, k)
        starts = np.arange(t + 1) * seen.shape[1]
        matrix = csr_matrix((np.tile(value, t), seen.ravel(), starts), (t, len(self.pictures)))
        matrix.sum_duplicates()
        return matrix

    def split(self, labels=None, seed=0):
        """``Split`` by contiguous blocks of film time (8:1:1, seeded), or by ``labels`` ("train", "val", "test" a row).

        The same second of a film is on one side in all runs that show it. Between training, validation and test rows
        lies a gap of 16 s or the longest delay, in the run and in the film; rows in it, grey ones and those without a whole
        history are left unused.

        Raises
        ------
        InputError
            When there is too little film.
        """
        usable, gap = self.usable(), self.gap
        part = self._blocks(usable, seed) if labels is None else np.array(labels)
        part = np.where(usable, part, "")
        if labels is not None and not (part == "val").any():
            blocks = self._blocks(usable & (part == "train"), seed, parts=("val",))
            part = np.where((part == "train") & (blocks == "val"), "val", part)
        part = np.where((part == "train") & self._near(part, ("val", "test"), gap), "", part)
        part = np.where((part == "val") & self._near(part, ("test",), gap), "", part)
        return Split(*(np.flatnonzero(part == name) for name in ("train", "val", "test")))

    def _blocks(self, usable, seed, parts=("val", "test")):
        """(T,) part of each row: blocks of each film are drawn at random, a tenth of them for each of ``parts``."""
        gap, lengths = self.gap, {}
        for clip in np.unique(self.clip[usable]):
            position = self.position[usable & (self.clip == clip)]
            lengths[clip] = (position.min(), position.max() - position.min() + 1)
        total = sum(length for _, length in lengths.values())
        size = min(6 * gap + 6, total // BLOCKS)
        if size < gap + 3:
            needed = BLOCKS * (gap + 3)
            remedy = "add runs, or give a column 'split' in trials.tsv"
            raise stop("film", f"at least {needed} TRs of different film to split in blocks", f"{total}", remedy)
        block, count = np.full(len(self.clip), -1), 0
        for clip, (start, length) in lengths.items():
            n = max(1, round(length / size))
            rows = usable & (self.clip == clip)
            block[rows] = count + (self.position[rows] - start) * n // length
            count += n
        order = np.random.default_rng(seed).permutation(count)
        share = max(1, round(count / 10))
        out = np.where(block >= 0, "train", "").astype("<U5")
        for k, name in enumerate(reversed(parts)):
            out[np.isin(block, order[k * share : (k + 1) * share])] = name
        return out

    def _near(self, part, names, gap):
        """(T,) bool: within ``gap`` TRs of a row of these parts, in the same run or in the same film."""
        held, near = np.isin(part, names), np.zeros(len(part), bool)
        rows = np.arange(len(part))
        for group, place in ((self.run, rows), (self.clip, self.position)):
            for label in np.unique(group[held]):
                inside = group == label
                places = np.unique(place[inside & held])
                at = np.searchsorted(places, place[inside])
                below, above = places[np.maximum(at - 1, 0)], places[np.minimum(at, len(places) - 1)]
                distance = np.minimum(np.abs(place[inside] - below), np.abs(above - place[inside]))
                near[inside] |= distance <= gap
        return near

    def describe(self):
        """One line for people."""
        n = len(np.unique(self.clip[self.clip >= 0]))
        return (
            f"{len(self.frames):,} TRs of {self.tr:g} s in {count(len(np.unique(self.run)), 'run')}, {count(n, 'film')}, "
            f"{self.frames.shape[1]} frames a TR, delays {', '.join(map(str, self.delays))} TRs"
        )


# ---------------------------------------------------------------- looking


def examine(examination):
    """The ``Film`` of an examined folder's table, or None with its problems noted there; films are decoded once and kept."""
    folder, about, table = examination.folder, examination.about, examination.table
    path, tr, before = table.path, about.get("tr"), len(examination.problems)
    if tr is None:
        expected = "'tr': seconds between volumes, as there is a column 'stimulus'"
        raise stop(folder / "dataset.json", expected, "none", "add it")
    names = [name if name.lower() not in NOTHING else "" for name in table["stimulus"]]
    run = codes(table.get("run", ["1"] * len(names)))
    if len(np.flatnonzero(np.diff(run))) + 1 != len(np.unique(run)):
        raise stop(path, "the rows of each run one after another", "runs that mix", "sort the rows (and the responses)")
    if not any(names):
        raise stop(path, "films in column 'stimulus'", "none", "name the files in stimuli/")
    files = _files(examination, dict.fromkeys(name for name in names if name))
    if files is None:
        return None
    clips = {file: k for k, file in enumerate(dict.fromkeys(files.values()))}
    clip = np.array([clips[files[name]] if name else -1 for name in names])
    onset = _onsets(path, table, run, clip, tr)
    per_tr = about.get("frames_per_tr") or int(np.clip(round(2 * tr), 2, 4))
    titles = each(list(clips), "looking at the films")
    sources = [examination.try_to(_source, examination, title, per_tr / tr) for title in titles]
    if len(examination.problems) > before and any(source is None for source in sources):
        return None
    times = onset[:, None] + (np.arange(per_tr) + 0.5) * tr / per_tr
    number = np.floor(times * per_tr / tr + 1e-6).astype(np.int64)
    lengths = np.array([len(source) for source in sources])
    shown = (clip[:, None] >= 0) & (number >= 0) & (number < lengths[np.maximum(clip, 0)][:, None])
    after = (clip >= 0) & ~shown[:, per_tr // 2]
    if after.any():
        remedy = "taken as grey: check onsets and films"
        examination.warn(path, "TRs that lie within their film", f"{int(after.sum()):,} before or after it", remedy)
    where = np.where(shown, clip[:, None], len(sources)) * (MOST + 1) + np.where(shown, number, 0)
    kept, frames = np.unique(where, return_inverse=True)
    grey = np.full((1, 64, 64, 3), GREY, np.uint8)
    pictures = Frames([*sources, grey], np.stack(np.divmod(kept, MOST + 1), 1))
    place = np.rint(onset / tr).astype(np.int64)
    clip = np.where(after, -1, clip)
    return Film(
        frames.reshape(where.shape), run, clip, place, onset, tr, about["delays"] or default_delays(tr), pictures
    )


def default_delays(tr):
    """Whole TRs from 2 to 10 s, such as (1, 2, 3, 4, 5) of 2 s; at least one."""
    first, last = max(1, int(np.ceil(DELAYS[0] / tr - 1e-6))), int(np.floor(DELAYS[1] / tr + 1e-6))
    return tuple(range(first, max(first, last) + 1))


def _onsets(path, table, run, clip, tr):
    """(T,) seconds of the film at which each TR begins; 0 where the screen is grey."""
    t = len(run)
    new = np.r_[True, (run[1:] != run[:-1]) | (clip[1:] != clip[:-1])]
    start = np.maximum.accumulate(np.where(new, np.arange(t), 0))
    if "onset" not in table:
        return (np.arange(t) - start) * tr
    onset = table.numbers("onset", missing=0.0)
    if np.abs(onset).max() > 1e6:
        raise stop(path, "onsets in seconds", "other numbers", "correct them")
    step = np.r_[tr, np.diff(onset)]
    wrong = np.flatnonzero(~new & (clip >= 0) & (np.abs(step - tr) > 0.05 * tr))
    if len(wrong):
        k = int(wrong[0])
        actual = f"{onset[k - 1]:g} s, then {onset[k]:g} s in line {table.lines[k]:,}"
        remedy = "'onset' is the second of the film at which the row's TR begins"
        raise stop(path, f"onsets that rise by tr ({tr:g} s) within a film", actual, remedy)
    return onset


def _files(examination, names):
    """{name in column 'stimulus': its film or folder of frames, a Path}, or None with the problem noted."""
    parts = [examination.folder / part for part in ("stimuli", "images")]
    folder = next((part for part in parts if all(is_there(part, name) for name in names)), parts[0])
    below = [name for name in sorted(os.listdir(folder)) if name[0] != "."] if folder.is_dir() else []
    below += [name for name in names if "/" in name and is_there(folder, name)]
    files = matched_files(examination.problems, examination.table, "stimulus", folder, below, "film")
    return None if files is None else {name: folder / file for name, file in files.items()}


def _source(examination, path, fps):
    """Frames in the middle of each 1 / ``fps`` seconds of a film: (n, H, W, 3) memory map, or list of paths for a folder of
    frames; None after a problem that is noted."""
    folder = examination.folder
    if path.is_dir():
        here = files_in(path)
        files = [here[name] for name in in_order_of_numbers(here) if name.lower().endswith(ENDINGS)]
        rate = examination.about.get("fps")
        if not files:
            raise stop(path, "frames as .png or .jpg", "none", "copy them there")
        if rate is None:
            remedy = "add it (films know their own rate)"
            raise stop(folder / "dataset.json", "'fps': frames a second of the folders of frames", "none", remedy)
        n = int(np.ceil(min(len(files) / rate * fps, MOST) - 0.5))  # those whose middle lies in the film
        if not examine_files(examination, path, files, "frame"):
            return None
        return [files[min(int((k + 0.5) / fps * rate + 1e-6), len(files) - 1)] for k in range(max(n, 1))]
    frames, faults, notices = _decoded(path, fps)
    for fault in faults:
        remedy = "what could be read is used, grey after it: copy the film again, or save it as MP4"
        examination.warn(path, "a whole film", fault, remedy)
    if not faults:
        done = [notice for notice in notices if notice not in faults]
        examination.looked_at.append(
            f"all of {safe_label(path.name)} decoded" + "".join(f" ({words})" for words in done)
        )
    return frames


def _decoded(path, fps):
    """(frames, memory-mapped; faults and notices of ``read_video``) of a film, decoded once and kept."""
    about = os.stat(path)
    key = repr((4, os.fspath(path), about.st_size, about.st_mtime_ns, round(fps, 6))).encode()
    kept = cache_dir("films") / f"{hashlib.blake2b(key, digest_size=16).hexdigest()}.npy"
    notes = kept.with_suffix(".json")  # written last: it says that both are whole
    if notes.is_file():
        try:
            words = read_json(notes, "film")
            faults, notices = ([str(word) for word in words[key]] for key in ("faults", "notices"))
            return safe_npy(kept, kinds="u", shape=(None, None, None, 3)), faults, notices
        except (InputError, KeyError, TypeError):
            pass  # damaged: made again
    from io import BytesIO

    from factortopy.pictures.video import read_video

    try:
        film = read_video(path, fps=fps, most=MOST, phase=0.5)
    except InputError as error:
        raise DataError(Problem(STOPS, shown_path(path), "", f"{shown_path(path)}: {error}", "")) from None
    buffer = BytesIO()
    np.save(buffer, film.frames)
    write_atomic(kept, buffer.getbuffer())
    words = {key: film.info[key] for key in ("faults", "notices")}
    write_json(notes, words)
    return safe_npy(kept, kinds="u", shape=(None, None, None, 3)), words["faults"], words["notices"]
