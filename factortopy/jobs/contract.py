"""What a kind of work is to the queue: the contract that each module beside this one fulfils with a class."""

from abc import ABC, abstractmethod

from factortopy.errors import InputError


class Kind(ABC):
    """A kind of work, beside trainings. One object stands for it in ``kinds.KINDS``; what one job is lies in the job's folder.

    name : what run.json calls it
    words : what pages call it
    again : True when the result lies elsewhere: a finished one may be done again, and its folder go

    Listing jobs asks for title and words alone: what takes long to import is imported in ``check_settings`` and ``work``.
    """

    name: str
    words: str
    again = True

    @abstractmethod
    def title(self, settings):
        """What a job of complete settings is about, in a few words."""

    def folder(self, settings):
        """What its folder is called; other characters than letters and digits become "-"."""
        return self.title(settings)

    @abstractmethod
    def check_settings(self, settings):
        """Complete settings (JSON values), which do anywhere on this machine: the worker starts elsewhere.

        Raises
        ------
        InputError
            Naming the setting.
        """

    @abstractmethod
    def work(self, job, on_progress):
        """Do it, from wherever it is to the end; safe to call twice.

        What was done before a kill or stop is kept where it belongs (tokens and responses in the cache, a checkpoint in the
        folder), so the next call goes on from there.

        Parameters
        ----------
        job : Job
            Offers path, settings, log(line), show(pictures), update(**changes) and stop_requested().
        on_progress : callable
            Gets a dict (stage, step, total, …); returning False stops.

        Returns
        -------
        dict
            JSON values that run.json keeps as ``result``.

        Raises
        ------
        Stopped
            When it was asked to stop.
        InputError
            For what the user can mend.
        """


def only(settings, *keys):
    """Raise InputError for a setting that is none of ``keys``."""
    for key in sorted(set(settings) - set(keys)):
        raise InputError(f"settings: {key!r} is not one of {', '.join(keys)}")


def last_part(path):
    """The name of a file or folder of any system's path."""
    return str(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
