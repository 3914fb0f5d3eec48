"""A small labelled set to try fine-tuning without data: rendered drawings in class folders, labelled as rendered."""

from pathlib import Path

from factortopy.errors import unexpected
from factortopy.finetune.folder import RENDERED
from factortopy.storage.machine import explain_os_error

SEEDS = 40_000_000  # not those of networks, subjects, localizer or samples
CLASSES = ("face", "body", "animal", "car", "cup", "tool", "solid", "word", "indoor", "landscape", "street")
NOTE = (
    "Drawings rendered by FactorTopy, not photographs. Objects on varied backgrounds, and three kinds of scenes without objects.\n"
    "The demo networks and the simulated subjects know such drawings, from other seeds.\n"
)


def write_drawings(folder, per_class=40, size=112, on_progress=None):
    """Write PNG drawings of 8 kinds of objects and 3 kinds of scenes into class folders.

    Parameters
    ----------
    folder : path, new or empty; on_progress : callable, gets (done, total), returning False stops

    Returns
    -------
    Path, None when stopped
    """
    from PIL import Image

    from factortopy.stimuli.scenes import render_scene

    folder, total = Path(folder), per_class * len(CLASSES)
    if folder.is_dir() and (folder / RENDERED).is_file():
        return folder
    # An interrupted one is gone on with.
    if folder.is_dir() and any(path.name not in CLASSES for path in folder.iterdir()):
        raise unexpected(folder, "a new or empty folder for drawings", "other files", "choose another one")
    try:
        for k, name in enumerate(CLASSES):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                picture, _ = render_scene(SEEDS + 100_000 * k + i, name, size)
                Image.fromarray(picture).save(folder / name / f"{name}-{i:03d}.png")
                if on_progress is not None and on_progress(k * per_class + i + 1, total) is False:
                    return None
        (folder / RENDERED).write_text(NOTE, encoding="utf-8")
    except OSError as error:
        raise explain_os_error(error, folder) from None
    return folder
