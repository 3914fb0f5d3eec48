"""Which pictures are trained on and which are held out, and their pixels as the network takes them."""

import numpy as np

from factortopy.errors import InputError, Stopped, unexpected
from factortopy.pictures.reading import read_picture
from factortopy.storage.files import read_json, write_json

MEMORY = 1e9  # bytes of pixels that are kept; the rest is read again each time
HELD_OUT = 0.2  # of a class with too few pictures for both parts


class Pixels:
    """Pictures squashed to a network's input size, read when they are first needed.

    paths : list of Path; size : side in pixels
    """

    def __init__(self, size):
        self.size, self._kept, self._room = int(size), {}, MEMORY

    def read(self, path):
        """(S, S, 3) uint8 of one picture; InputError where it cannot be read."""
        if path in self._kept:
            return self._kept[path]
        from PIL import Image

        image = Image.fromarray(read_picture(path, longest=4 * self.size).pixels)
        pixels = np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC))
        if self._room >= pixels.nbytes:
            self._kept[path], self._room = pixels, self._room - pixels.nbytes
        return pixels

    def batch(self, paths):
        """(B, S, S, 3) uint8."""
        return np.stack([self.read(path) for path in paths])


def split(folder, pixels, per_class, test_per_class, seed, on_progress=None):
    """Draw training and held-out pictures of each class; a picture that cannot be read is listed and replaced by the next.

    Parameters
    ----------
    folder : ClassFolder
    pixels : Pixels
    on_progress : callable, optional
        Gets (done, total) pictures; returning False stops.

    Returns
    -------
    dict
        classes (list of str), train and test (lists of (path relative to the folder, class number)), problems; None when stopped.

    Raises
    ------
    InputError
        When fewer than two classes have a picture for each part.
    """
    rng = np.random.default_rng([seed, 20])
    classes, train, test, problems, done = [], [], [], [], 0
    total = sum(min(n, per_class + test_per_class) for n in folder.counts().values())
    bad = []

    def good(paths, most):
        nonlocal done
        chosen = []
        for path in paths:
            if len(chosen) >= most:
                break
            try:
                pixels.read(path)
            except InputError as error:
                bad.append(f"{path.relative_to(folder.path)}: {str(error).split(': ', 1)[-1]}")
                continue
            chosen.append(path)
            done += 1
            if on_progress is not None and on_progress(min(done, total), total) is False:
                raise Stopped
        return chosen

    try:
        for name, files in folder.classes.items():
            drawn = [files[i] for i in rng.permutation(len(files))]
            given = folder.held_out.get(name)
            if given:
                own = good(drawn, per_class)
                held = good([given[i] for i in rng.permutation(len(given))], test_per_class)
            else:
                both = good(drawn, per_class + test_per_class)
                fewest = max(1, min(test_per_class, round(HELD_OUT * len(both))))
                cut = min(per_class, len(both) - fewest)
                own, held = both[: max(cut, 0)], both[max(cut, 0) :]
            if not own or not held:
                expected = "expected two pictures or more that can be read"
                problems.append(f"class {name}: {expected}, found {len(own) + len(held)}; left out")
                continue
            if len(own) < per_class:
                problems.append(f"class {name}: {per_class} pictures to train on were asked for, there are {len(own)}")
            train += [(str(p.relative_to(folder.path)), len(classes)) for p in own]
            test += [(str(p.relative_to(folder.path)), len(classes)) for p in held]
            classes.append(name)
    except Stopped:
        return None
    if len(classes) < 2:
        first = f" ({bad[0]})" if bad else ""
        expected = "two classes or more with two readable pictures each"
        raise unexpected(folder.path, expected, f"{len(classes)}{first}", "add pictures")
    drawn = {"classes": classes, "train": train, "test": test}
    return drawn | {"problems": [*folder.problems, *problems, *bad], "unreadable": len(bad)}


def kept_split(path, folder, pixels, settings, on_progress=None):
    """The split of ``path`` (split.json), drawn and written where there is none yet."""
    if path.is_file():
        drawn = read_json(path, "fine-tuning")
        gone = [name for name, _ in (*drawn["train"], *drawn["test"]) if not (folder.path / name).is_file()]
        if gone:
            expected = f"the {len(drawn['train']) + len(drawn['test'])} pictures of {path.name}"
            actual = f"{len(gone)} missing ({gone[0]})"
            raise unexpected(folder.path, expected, actual, "put them back or begin again in another folder")
        return drawn
    drawn = split(folder, pixels, settings["per_class"], settings["test_per_class"], settings["seed"], on_progress)
    if drawn is not None:
        write_json(path, drawn)
    return drawn
