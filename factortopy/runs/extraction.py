"""The features that a training reads: subject, network and extraction, as a training, the job "Features" and the command line do it."""

import contextlib

from factortopy.backbones.loading import load_backbone
from factortopy.encoder.films import reducing
from factortopy.errors import InputError, Stopped
from factortopy.features.extraction import extract
from factortopy.runs.settings import antialiased, load_subject_of
from factortopy.subjects.progress import for_work, listening
from factortopy.subjects.subset import fewer_pictures, half_of_pictures


class WrongRequest(InputError):
    """The subject or network that was asked for cannot be had; nothing was begun."""


@contextlib.contextmanager
def _asked_for():
    try:
        yield
    except InputError as error:
        raise WrongRequest(error) from None


def extract_features(settings, on_progress=lambda progress: None, on_subject=None, on_network=None):
    """Load what settings of a training name, and extract what it reads; what is on disk already is taken from there.

    Parameters
    ----------
    settings : dict
        subject and backbone, and what else of ``runs.settings.SETTINGS`` says how they are read.
    on_progress : callable
        Gets a dict (stage "pictures", "weights" or "features", step, total); returning False stops.
    on_subject, on_network : callable, optional
        Called with the subject when it is loaded, and with subject and network before the extraction.

    Returns
    -------
    subject, backbone, features

    Raises
    ------
    WrongRequest
        Where subject or network cannot be had.
    Stopped
        When it was asked to stop; what was extracted is kept.
    """

    def stage(name):
        return lambda done, total: on_progress({"stage": name, "step": done, "total": total})

    with _asked_for():
        with listening(for_work(on_progress)):
            subject = load_subject_of(settings)
        if settings.get("pictures"):
            subject = fewer_pictures(subject, settings["pictures"])
        # The features, and what reduces them, are those of all pictures: a half finds them on disk.
        whole = subject
        if settings.get("half"):
            subject = half_of_pictures(whole, settings["half"])
    if on_subject is not None:
        on_subject(subject)
    with _asked_for():
        backbone = load_backbone(settings["backbone"], settings.get("weights"), stage("weights"))
    if on_network is not None:
        on_network(subject, backbone)
    reduction = reducing(whole, settings.get("pca"))
    features = extract(
        backbone, subject.images, on_progress=stage("features"), antialias=antialiased(settings), **reduction
    )
    if features is None:
        raise Stopped
    return subject, backbone, features.only(settings["layers"]) if settings.get("layers") else features
