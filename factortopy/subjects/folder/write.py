"""Writing a subject in the folder layout: for data of one's own, and for tests."""

import os
import shutil
from pathlib import Path

import numpy as np

from factortopy.formats.problems import stop
from factortopy.storage.files import write_atomic, write_json
from factortopy.storage.names import any_script
from factortopy.subjects.split import SPLIT_PARTS

_SIDES = ("L", "R")


def write_folder(subject, path, normalised="session"):
    """Write a subject of pictures as a folder that ``load_subject`` reads.

    Parameters
    ----------
    subject : Subject
        ``Subject(responses, images, hemi, vertex, …)`` checks plain arrays on the way.
    path : path
        A folder that does not exist or is empty.
    normalised : "session" or "none"
        Whether responses are z-scored per session already; "none" lets the loader do it (with ``subject.session``).

    Returns
    -------
    Path

    Raises
    ------
    InputError
        For a folder that holds something, a subject without pictures, or one of films.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise stop(path, "a new or an empty folder", "something in it", "choose another")
    if subject.images is None or subject.film is not None:
        actual = "responses alone" if subject.images is None else "films"
        raise stop("subject", "one with pictures", actual, "see docs/folder.md for films")
    for part in ("images", "responses", "vertices", "roi", "noise", "maps"):
        (path / part).mkdir(parents=True, exist_ok=True)
    about = {
        "subject": subject.name, "space": "fsaverage", "density": subject.density, "normalised": normalised,
        "averaged": False, "image_degrees": subject.image_degrees, "simulated": subject.simulated,
    }  # fmt: skip
    names = [_picture(subject, k, path / "images") for k in range(len(subject.images))]
    for h, side in enumerate(_SIDES):
        rows = np.flatnonzero(subject.hemi == h)
        if not len(rows):
            continue

        def save(part, values, name="", side=side, rows=rows):
            np.save(path / part / f"hemi-{side}{name}.npy", np.asarray(values)[..., rows])

        save("responses", subject.responses)
        save("vertices", subject.vertex.astype(np.int32))
        for k, mask in enumerate(subject.rois.values()):
            save("roi", mask.astype(np.int16), f"_{k:03d}")
        if subject.noise_ceiling is not None:
            save("noise", subject.noise_ceiling, "_noise_ceiling")
        for name, values in subject.maps.items():
            save("maps", values.astype(np.float32), f"_{any_script(name)}")
    for k, name in enumerate(subject.rois):
        write_atomic(path / "roi" / f"{k:03d}.tsv", f"index\tname\n1\t{' '.join(name.split())}\n")
    columns = {"image": [names[i] for i in subject.image_index], "split": _split(subject)}
    if subject.session is not None:
        columns["session"] = subject.session
    rows = zip(*columns.values(), strict=True)
    text = "\t".join(columns) + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    write_atomic(path / "trials.tsv", text)
    write_json(path / "dataset.json", about)
    return path


def _picture(subject, k, folder):
    """Name of the file that picture ``k`` was written to: PNG and JPEG as they are, everything else as PNG."""
    picture = subject.images[k]
    if isinstance(picture, str | os.PathLike) and Path(picture).suffix.lower() in (".png", ".jpg", ".jpeg"):
        name = f"{k + 1:06d}{Path(picture).suffix.lower()}"
        shutil.copyfile(picture, folder / name)
        return name
    from PIL import Image

    name = f"{k + 1:06d}.png"
    Image.fromarray(np.asarray(subject.image(k))).save(folder / name)
    return name


def _split(subject):
    """Part of each trial; refused where some trials are in none, which trials.tsv cannot say."""
    parts = np.full(subject.n_trials, "", dtype="<U5")
    for part in SPLIT_PARTS:
        parts[getattr(subject.split, part)] = part
    if (parts == "").any():
        raise stop("split", "every trial in a part", f"{int((parts == '').sum()):,} in none", "leave those trials out")
    return parts
