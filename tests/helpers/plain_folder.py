"""Folders in FactorTopy's own layout, generated at test time (simulated, seeded): pictures that drive vertices, or a film."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

N10 = 10242


def write(path, content):
    """Bytes, text, a dict (JSON) or an array (.npy) in place of a file."""
    path = Path(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, dict):
        path.write_text(json.dumps(content))
    else:
        np.save(path, content)


def about(folder, **changes):
    """Change keys of dataset.json; None removes one."""
    said = json.loads((folder / "dataset.json").read_text()) | changes
    write(folder / "dataset.json", {key: value for key, value in said.items() if value is not None})


def table(folder, **columns):
    """Write trials.tsv."""
    rows = zip(*columns.values(), strict=True)
    write(folder / "trials.tsv", "\t".join(columns) + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))


def make_folder(root, name="anna", trials=24, vertices=40, hemispheres="LR", seed=0, density="10k", extras=True):
    """A subject of pictures; columns ``vertices`` a hemisphere, of a patch of the mesh."""
    rng = np.random.default_rng(seed)
    folder = Path(root) / name
    (folder / "images").mkdir(parents=True)
    grids = rng.integers(0, 256, (trials, 3, 3, 3), dtype=np.uint8)
    for k, grid in enumerate(grids):
        Image.fromarray(grid).resize((32, 32), Image.Resampling.NEAREST).save(folder / f"images/picture-{k:03d}.png")
    seen = grids.reshape(trials, 27) / 127.5 - 1
    said = {"subject": name, "space": "fsaverage", "density": density, "normalised": "session", "averaged": False}
    write(folder / "dataset.json", said | {"simulated": True})
    table(folder, image=[f"picture-{k:03d}.png" for k in range(trials)], session=np.arange(trials) // 8)
    for hemi in hemispheres:
        raw = seen @ rng.normal(size=(27, vertices)) + rng.normal(size=(trials, vertices))
        write(folder / f"responses/hemi-{hemi}.npy", ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32))
        write(folder / f"vertices/hemi-{hemi}.npy", np.sort(rng.choice(N10, vertices, replace=False)).astype(np.int32))
        if extras:
            write(folder / f"roi/hemi-{hemi}_visual.npy", (np.arange(vertices) % 4).astype(np.int16))
            write(folder / f"noise/hemi-{hemi}_ncsnr.npy", np.full(vertices, 1.0, np.float32))
            write(folder / f"maps/hemi-{hemi}_polar_angle.npy", rng.uniform(0, 360, vertices).astype(np.float32))
    if extras:
        write(folder / "roi/visual.tsv", "index\tname\n0\tnone\n1\tV1v\n2\tV1d\n3\tFFA\n")
    return folder


def clone(folder, root):
    """A copy to change."""
    return Path(shutil.copytree(folder, Path(root) / Path(folder).name))


def frames(n, seed=0, size=24):
    """(n, size, size, 3) uint8: blocks of colour, new ones every frame, neighbours alike."""
    rng = np.random.default_rng(seed)
    drift = rng.normal(size=(n, 3, 3, 3))
    for k in range(1, n):
        drift[k] = 0.6 * drift[k - 1] + 0.8 * drift[k]
    grid = np.clip(128 + 60 * drift, 0, 255).astype(np.uint8)
    return grid.repeat(size // 3, 1).repeat(size // 3, 2)


def make_film_folder(root, delay=3, runs=2, trs=200, per_tr=2, tr=1.0, vertices=24, noise=0.5, seed=0, kernel=None):
    """A subject that watched a folder of frames a run; vertices answer to what was shown ``delay`` TRs before.

    kernel : (K,) or (K, vertices of both hemispheres) weights of delays 0, 1, …, instead of one delay
    """
    rng = np.random.default_rng(seed)
    folder, mix, answers = Path(root) / "film", rng.normal(size=(27, 2 * vertices)), []
    kernel = np.eye(delay + 1)[delay] if kernel is None else np.asarray(kernel)
    kernel = np.broadcast_to(kernel[:, None] if kernel.ndim == 1 else kernel, (len(kernel), 2 * vertices))
    columns = {"stimulus": [], "run": [], "onset": []}
    for run in range(runs):
        shown = frames(trs * per_tr, seed + run)
        place = folder / f"stimuli/film-{run}"
        place.mkdir(parents=True)
        for k, frame in enumerate(shown):
            Image.fromarray(frame).save(place / f"{k:05d}.png", compress_level=1)
        colours = shown[:, 4::8, 4::8].reshape(trs, per_tr, 27).mean(1) / 127.5 - 1
        drive = (colours - colours.mean(0)) @ mix
        slow = np.stack([np.convolve(drive[:, v], kernel[:, v])[:trs] for v in range(2 * vertices)], 1)
        answers.append(slow / slow.std(0) + noise * rng.normal(size=slow.shape))
        columns["stimulus"] += [f"film-{run}"] * trs
        columns["run"] += [run + 1] * trs
        columns["onset"] += list(np.arange(trs) * tr)
    answers = np.concatenate(answers).astype(np.float32)
    for h, hemi in enumerate("LR"):
        write(folder / f"responses/hemi-{hemi}.npy", answers[:, h * vertices : (h + 1) * vertices])
        write(folder / f"vertices/hemi-{hemi}.npy", np.arange(vertices, dtype=np.int32) * 100)
    table(folder, **columns)
    said = {"space": "fsaverage", "density": "10k", "normalised": "none", "averaged": False, "simulated": True}
    write(folder / "dataset.json", said | {"tr": tr, "fps": per_tr / tr, "frames_per_tr": per_tr})
    return folder
