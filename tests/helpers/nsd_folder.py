"""A folder in the exact format of NSD (fsaverage), generated at test time: full vertex counts, few trials, seeded.

One subject of three sessions. Vertex counts per hemisphere of the native surface differ, as they do in people. The
responses follow the pictures (mean colours of a 3 × 3 grid), so that an encoder has something to learn.
"""

import gzip
import os
import shutil
import struct
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

FULL = 163842
HEMISPHERES = ("lh", "rh")
NATIVE = {"lh": 2270, "rh": 2111}  # vertices of this small person's own surface
SIDE = 425
TRIALS = 12
BETAS = "nsddata_betas/ppdata/{}/fsaverage/betas_fithrf_GLMdenoise_RR"
STIMULI = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
EXPDESIGN = "nsddata/experiments/nsd/nsd_expdesign.mat"
LOG = "nsddata/ppdata/{}/behav/responses.tsv"
CLASSES = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "prf-eccrois": ("ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4+"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
}
STREAMS = ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal")
MISSING = 5  # a vertex of the left hemisphere without values in session 2; it is in nsdgeneral


def mgh_bytes(values, dtype=">f4", axes=None, tags=True):
    """An MGH file of (frames, vertices) values, written by hand from the format's description."""
    values = np.atleast_2d(values)
    kind = {"u1": 0, "i4": 1, "f4": 3, "i2": 4}[np.dtype(dtype).str[1:]]
    width, height, depth = axes or (values.shape[1], 1, 1)
    head = struct.pack(">7ih", 1, width, height, depth, len(values), kind, 0, 0)
    tail = struct.pack(">5f", 0, 0, 0, 0, 0) if tags else b""
    return head.ljust(284, b"\0") + values.astype(np.dtype(dtype).newbyteorder(">")).tobytes() + tail


def write_mgh(path, values, **options):
    """Write .mgh or .mgz in place of a file, leaving linked copies alone."""
    data = mgh_bytes(values, **options)
    write(path, gzip.compress(data, 1, mtime=0) if Path(path).suffix == ".mgz" else data)


def write(path, data):
    """Write bytes in place of a file, leaving linked copies alone."""
    path = Path(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def clone(root, target):
    """A copy of an NSD root that shares its files (hard links)."""
    shutil.copytree(root, target, copy_function=os.link)
    return Path(target)


def make_nsd(root, subject="subj01", trials=TRIALS, sessions=3, seed=0):
    """Write an NSD root with one subject and return it; the HDF5 is sparse (73,000 pictures, some of them there)."""
    root, rng = Path(root), np.random.default_rng(seed)
    design = _design(sessions, trials, rng)
    number = int(subject[4:])
    seen = pictures_seen(design, number, sessions, trials)
    _save_design(root, design)
    write_log(root, subject, seen)
    unique, row = np.unique(seen.ravel(), return_inverse=True)
    colours = _write_stimuli(root, unique, rng)
    _write_betas(root, subject, colours[row].reshape(sessions, trials, -1), rng)
    _write_labels(root, subject, rng)
    return root


def _design(sessions, trials, rng):
    """Repeats within and across the sessions that are here; the rest of the experiment is as large as the real one."""
    order = np.ones((1, 30000))
    n_seen = sessions * trials * 2 // 3
    shown = np.concatenate([np.arange(n_seen), rng.choice(n_seen, sessions * trials - n_seen, replace=False)])
    shown = rng.permutation(shown).reshape(sessions, trials)
    order[0] = 1 + rng.integers(0, 10000, 30000)
    for k in range(sessions):
        order[0, k * 750 : k * 750 + trials] = 1 + shown[k]
    shared = 1 + np.sort(rng.choice(73000, 1000, replace=False))
    rest = 1 + np.arange(73000)
    rest = rng.permutation(np.setdiff1d(rest, shared))
    own = rest[:72000].reshape(8, 9000)
    subjectim = np.concatenate([np.tile(shared, (8, 1)), own], axis=1)
    return {
        "masterordering": order.astype(float),
        "subjectim": subjectim.astype(float),
        "sharedix": shared[None].astype(float),
        "basiccnt": np.zeros((3, 40)),
        "stimpattern": np.zeros((40, 12, 75)),
    }


def pictures_seen(design, number, sessions, trials):
    """(sessions, trials) 0-based NSD numbers, spelled out trial by trial."""
    out = np.zeros((sessions, trials), int)
    for s in range(sessions):
        for k in range(trials):
            place = int(design["masterordering"][0, s * 750 + k])
            out[s, k] = int(design["subjectim"][number - 1, place - 1]) - 1
    return out


def _save_design(root, design):
    path = root / EXPDESIGN
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, design, do_compression=True)


def write_log(root, subject, seen):
    """behav/responses.tsv: 1-based ids, and columns that are not read."""
    lines = ["SUBJECT\tSESSION\tRUN\tTRIAL\t73KID\t10KID\tTIME\tISOLD\tISCORRECT\tRT"]
    for s, row in enumerate(seen, start=1):
        lines += [f"{int(subject[4:])}\t{s}\t1\t{k}\t{nsd + 1}\t1\t0.5\t0\tNaN\t800" for k, nsd in enumerate(row, 1)]
    write(root / LOG.format(subject), "\n".join(lines).encode() + b"\n")


def _write_stimuli(root, numbers, rng):
    """Blocks of colour; returns (n, 27) mean colours of the 3 × 3 grid."""
    path = root / STIMULI
    path.parent.mkdir(parents=True, exist_ok=True)
    grids = rng.integers(0, 256, (len(numbers), 3, 3, 3), dtype=np.uint8)
    place = np.arange(SIDE) * 3 // SIDE
    with h5py.File(path, "w") as file:
        bricks = file.create_dataset(
            "imgBrick", (73000, SIDE, SIDE, 3), np.uint8, chunks=(1, SIDE, SIDE, 3), compression="gzip",
            compression_opts=1,
        )  # fmt: skip
        for number, grid in zip(numbers, grids, strict=True):
            bricks[number] = grid[place][:, place]
    return (grids.reshape(len(numbers), 27) / 127.5 - 1).astype(np.float32)


def general_mask(hemi):
    """(163842,) nsdgeneral of the fixture: 1 inside, 0 and −1 outside."""
    mask = np.zeros(FULL)
    mask[: 10242 // 8] = 1
    mask[40000:43000] = 1
    mask[100:200] = -1
    mask[200 : 220 + 10 * (hemi == "rh")] = 0
    return mask


def _write_betas(root, subject, colours, rng):
    folder = root / BETAS.format(subject)
    for hemi in HEMISPHERES:
        inside = np.flatnonzero(general_mask(hemi) == 1)
        mix = rng.normal(size=(27, len(inside))).astype(np.float32)
        scale = rng.uniform(0.5, 3, len(inside)).astype(np.float32)
        for s, seen in enumerate(colours, start=1):
            signal = seen @ mix / 3 + 0.7 * rng.normal(size=(len(seen), len(inside)))
            values = np.zeros((len(seen), FULL), np.float32)
            values[:, inside] = scale * (signal + s)  # each session has a level of its own
            if (hemi, s) == ("lh", 2):
                values[:, MISSING] = np.nan
            write_mgh(folder / f"{hemi}.betas_session{s:02d}.mgh", values)
        write_mgh(folder / f"{hemi}.ncsnr.mgh", rng.uniform(0.3, 1.0, FULL))


def _write_labels(root, subject, rng):
    """Native labels with a transform, and the atlases of fsaverage."""
    label = root / "nsddata" / "freesurfer" / subject / "label"
    general = root / "nsddata" / "freesurfer" / "fsaverage" / "label"
    for hemi in HEMISPHERES:
        n = NATIVE[hemi]
        transform = 1 + rng.integers(0, n, FULL)
        transform[:n] = 1 + np.arange(n)
        path = root / "nsddata" / "ppdata" / subject / "transforms" / f"{hemi}.white-to-fsaverage.mgz"
        write_mgh(path, transform)
        for kind, names in CLASSES.items():
            labels = (np.arange(n) // 40) % (len(names) + 2) - 1  # −1 off the map, 0 none
            if kind == "floc-words" and hemi == "rh":
                labels = np.minimum(labels, 0)  # none on the right
            write_mgh(label / f"{hemi}.{kind}.mgz", labels)
        write_mgh(general / f"{hemi}.nsdgeneral.mgz", general_mask(hemi))
        write_mgh(general / f"{hemi}.streams.mgz", np.arange(FULL) % 8)
        write_mgh(general / f"{hemi}.Kastner2015.mgz", np.arange(FULL) % 3)
    for kind, names in CLASSES.items():
        write(label / f"{kind}.mgz.ctab", ctab(names))
    write(general / "streams.mgz.ctab", ctab(STREAMS))
    write(general / "Kastner2015.mgz.ctab", ctab(("V1v", "V1d")))
    write(general / "nsdgeneral.mgz.ctab", ctab(("nsdgeneral",)))


def ctab(names):
    """A colour table with a trailing tab and uneven white space."""
    return "".join(f"{k} {name}\t\n" for k, name in enumerate(("Unknown", *names))).encode()
