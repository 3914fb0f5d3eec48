"""Folders in the exact format of Algonauts 2023, generated at test time: full vertex counts, few trials, seeded."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

FULL = 163842
COUNTS = {"lh": 19004, "rh": 20544}
CLASSES = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
}


def make_algonauts(
    root,
    subject="subj01",
    trials=24,
    tests=4,
    counts=None,
    noise_ceiling=True,
    test_fmri=False,
    pixels=64,
    seed=0,
):
    """Write one subject below ``root`` and return its folder.

    Responses follow the pictures (a linear mix of mean colours in a 3 × 3 grid, plus noise), so that an encoder has
    something to learn. Vertices below 10,242 (fsaverage5) are a patch around the occipital pole where the mesh is at
    hand, so that maps look like visual cortex.
    """
    rng = np.random.default_rng(seed)
    counts = counts or COUNTS
    folder = Path(root) / subject
    masks = {hemi: _mask(hemi, counts[hemi], rng) for hemi in ("lh", "rh")}
    nsd = np.sort(rng.choice(73000, trials + tests, replace=False))
    parts = {"training": ("train", nsd[np.arange(trials + tests) < trials]), "test": ("test", nsd[trials:])}
    colours = {}
    for part, (prefix, numbers) in parts.items():
        if len(numbers):
            colours[part] = _write_pictures(folder / f"{part}_split" / f"{part}_images", prefix, numbers, pixels, rng)
    mixes = {hemi: rng.normal(size=(27, counts[hemi])).astype(np.float32) for hemi in masks}
    for hemi in masks:
        fmri = _responses(colours["training"], mixes[hemi], rng)
        _save(folder / "training_split" / "training_fmri" / f"{hemi}_training_fmri.npy", fmri)
        if test_fmri:
            fmri = _responses(colours["test"], mixes[hemi], rng)
            _save(folder / "test_split" / "test_fmri" / f"{hemi}_test_fmri.npy", fmri)
        if noise_ceiling:
            ceiling = rng.uniform(0.2, 0.8, counts[hemi])  # float64, as the challenge's own script writes it
            _save(folder / "test_split" / "noise_ceiling" / f"{hemi}_noise_ceiling.npy", ceiling)
    _write_rois(folder / "roi_masks", masks)
    return folder


def clone(folder, root):
    """A copy of a subject's folder that shares its files (hard links): change a file only by ``replace_file``."""
    target = Path(root) / Path(folder).name
    shutil.copytree(folder, target, copy_function=os.link)
    return target


def replace_file(path, content):
    """Write an array, bytes or a dict (pickled as np.save does) in place of a file, leaving linked copies alone."""
    path = Path(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=isinstance(content, dict))


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def _mask(hemi, count, rng):
    """(163842,) int mask with ``count`` vertices: a patch of fsaverage5 and a random rest."""
    mask = np.zeros(FULL, dtype=int)
    share = round(count * 10242 / FULL)
    near = _back_of_the_brain(hemi)[:share]
    mask[near] = 1
    rest = rng.choice(np.arange(10242, FULL), count - len(near), replace=False)
    mask[rest] = 1
    mask[rest[: len(rest) // 20]] = 2  # nsdgeneral + RSC is a sum: where both lie it is 2
    return mask


def _back_of_the_brain(hemi):
    from factortopy.surfaces.meshes import load_mesh

    mesh = load_mesh("10k")
    rows = slice(0, mesh.n) if hemi == "lh" else slice(mesh.n, 2 * mesh.n)
    return np.argsort(mesh.coords["white"][rows][:, 1], kind="stable")


def _write_pictures(folder, prefix, numbers, pixels, rng):
    """Blocks of colour with noise; returns (n, 27) mean colours of a 3 × 3 grid."""
    folder.mkdir(parents=True, exist_ok=True)
    grids = rng.integers(0, 256, (len(numbers), 3, 3, 3), dtype=np.uint8)
    for row, (number, grid) in enumerate(zip(numbers, grids, strict=True), start=1):
        image = Image.fromarray(grid).resize((pixels, pixels), Image.Resampling.NEAREST)
        image.save(folder / f"{prefix}-{row:04d}_nsd-{number:05d}.png")
    return (grids.reshape(len(numbers), 27) / 127.5 - 1).astype(np.float32)


def _responses(colours, mix, rng):
    """(images, vertices) float32, z-scored."""
    signal = colours @ mix
    raw = signal / max(signal.std(), 1e-6) + rng.normal(size=signal.shape).astype(np.float32)
    return ((raw - raw.mean(0)) / np.maximum(raw.std(0), 1e-6)).astype(np.float32)


def _write_rois(folder, masks):
    for hemi, mask in masks.items():
        _save(folder / f"{hemi}.all-vertices_fsaverage_space.npy", mask)
        vertices = np.flatnonzero(mask)
        for kind, names in CLASSES.items():
            labels = np.zeros(FULL, dtype=int)
            part = vertices[:: 1 if kind == "streams" else 2]
            # Labels go round (0 among them), so that each ROI has vertices at every density.
            labels[part] = (np.arange(len(part)) // 40) % (len(names) + 1)
            _save(folder / f"{hemi}.{kind}_fsaverage_space.npy", labels)
            _save(folder / f"{hemi}.{kind}_challenge_space.npy", labels[vertices])
    for kind, names in CLASSES.items():
        table = {0: "Unknown", **dict(enumerate(names, start=1))}
        np.save(folder / f"mapping_{kind}.npy", table, allow_pickle=True)
