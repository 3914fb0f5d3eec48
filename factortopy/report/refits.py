"""New fits of one network for the report, each kept as a run that a second call finds or goes on with."""

import hashlib
import json
import re
from pathlib import Path

from factortopy.analysis.gallery import read_gallery
from factortopy.encoder.encoder import Encoder
from factortopy.encoder.fitting import SOLVERS
from factortopy.errors import InputError
from factortopy.runs.folder import RunBusy
from factortopy.runs.run import Run
from factortopy.runs.settings import DEFAULTS, check_settings, load_subject_of
from factortopy.runs.training import train_run
from factortopy.storage.home import cache_dir


def shared_folder():
    """Where the app keeps new fits: the next report of the same network finds them."""
    return cache_dir("refits")


def make_all(tasks, on_progress=None):
    """Make the fits of several networks; progress counts them together.

    tasks : list of (Refits, {words: changes}); raises as ``Refits.make``
    """
    total, before = sum(len(planned) for _, planned in tasks), 0
    for refits, planned in tasks:
        refits.on_progress = None if on_progress is None else _together(on_progress, before, total)
        refits.make(planned)
        before += len(planned)


def _together(on_progress, before, total):
    return lambda progress: on_progress(
        progress | ({"fit": before + progress["fit"], "fits": total} if "fit" in progress else {})
    )


class Refits:
    """Fits that differ from a finished run in some settings.

    Parameters
    ----------
    folder : path
        Where the runs are kept.
    run : Run
        The finished one that they start from; it stands for itself and is not fitted again, unless ``steps`` asks for
        another number.
    steps : int, optional
        Optimiser steps of every fit; the run's own when None.
    on_progress, say : callables, as for ``train_run``
    """

    def __init__(self, folder, run, steps=None, on_progress=None, say=None):
        self.folder, self.run, self.on_progress, self.say = Path(folder), run, on_progress, say
        own = {key: run.settings.get(key) for key in DEFAULTS}
        self.base = check_settings(own | ({"steps": steps} if steps else {}))
        self.itself = steps is None or steps == self.steps_of(own)
        self._subject = None
        self._doing = {}  # which of many fits this is, for on_progress
        self._failed = {}  # {folder: why it cannot be fitted}

    @staticmethod
    def steps_of(settings):
        """Optimiser steps that settings come to; the paper's is an upper bound."""
        return settings.get("steps") or SOLVERS[settings["recipe"]][1]().steps

    @property
    def steps(self):
        return self.steps_of(self.base)

    @property
    def decay(self):
        """Steps after which the base's regulariser is gone."""
        own = SOLVERS[self.base["recipe"]][1]().decay
        return self.base["decay"] or round(own * self.steps if self.base["recipe"] == "fast" else own)

    def fitted(self, settings):
        """The encoder of the base settings with these changes, fitted now or before.

        Parameters
        ----------
        settings : dict
            Changes of settings of a training (``runs.settings``); {} is the run itself.

        Raises
        ------
        InputError
            As ``train_run``. KeyboardInterrupt when it was stopped: what was learnt is kept, and the next call goes on.
        """
        full = self.full(settings)
        if full == self.base and self.itself:
            return Encoder.load(self.run.path)
        name = self.name(full)
        if name in self._failed:
            raise self._failed[name]
        say = None if self.kept(settings) else self.say  # nothing happens to a kept one
        run = train_run(self.folder / name, **full, resume=True, on_progress=self._progress, say=say)
        if run.status != "finished":
            raise KeyboardInterrupt
        return Encoder.load(run.path)

    def full(self, settings):
        """The base's complete settings with these changes; none starts from a fitted encoder, near which it would stay."""
        return check_settings(self.base | ({"warm": None} if settings else {}) | settings)

    def kept(self, settings):
        """True when the fit with these changes was finished before."""
        return Run(self.folder / self.name(self.full(settings))).status == "finished"

    def gallery(self, settings):
        """The held-out pictures of the fit with these changes, which was made before; None where it keeps none."""
        full = self.full(settings)
        return read_gallery(self.run.path if full == self.base and self.itself else self.folder / self.name(full))

    def make(self, planned):
        """Make all fits that are not kept yet; what cannot be fitted is left to who asks for it.

        Parameters
        ----------
        planned : {words: changes}
            ``on_progress`` learns of them beside what ``train_run`` tells: fit (how many are done), fits (of how many) and
            doing (words).

        Raises
        ------
        RunBusy
            When another process makes one of them. KeyboardInterrupt as ``fitted``.
        """
        missing = {words: changes for words, changes in planned.items() if not self.kept(changes)}
        kept = len(planned) - len(missing)
        if kept and self.say:
            self.say(f"{kept} of {len(planned)} new fits are kept from before")
        for k, (words, changes) in enumerate(missing.items(), kept):
            self._doing = {"fit": k, "fits": len(planned), "doing": words}
            if self.say:
                self.say(f"new fit {k + 1} of {len(planned)}: {words}")
            try:
                self.fitted(changes)
            except RunBusy:
                raise
            except InputError as error:
                self._failed[self.name(self.full(changes))] = error
        self._doing = {}

    def _progress(self, progress):
        return None if self.on_progress is None else self.on_progress(progress | self._doing)

    def name(self, full):
        """Folder of complete settings: what differs from the base in words, and a hash of all that is no default."""
        differs = [f"{k}-{full[k]}" for k in sorted(full) if full[k] != self.base[k] or k == "seed"]
        words = re.sub(r"[^A-Za-z0-9]+", "-", "_".join(differs)).strip("-")[:60]
        own = {k: v for k, v in full.items() if v != DEFAULTS[k]}
        if full["pictures"]:  # fits of before learnt from fewer than were asked for: they are not taken for these
            own["of"] = "pictures to train and to validate on"
        own = json.dumps(own, sort_keys=True)
        return f"{words}_{hashlib.blake2b(own.encode(), digest_size=4).hexdigest()}"

    def subject(self):
        """The subject with all pictures, loaded once."""
        if self._subject is None:
            self._subject = load_subject_of(self.base)
        return self._subject
