"""The features that a training reads: subject, network and extraction, as a training, the job "Features" and the command line do it."""

import contextlib

from factortopy.backbones.loading import load_backbone
from factortopy.encoder.films import reducing
from factortopy.errors import InputError, Stopped
from factortopy.features.extraction import extract_many
from factortopy.runs.settings import antialiased, load_subject_of
from factortopy.subjects.progress import for_work, listening
from factortopy.subjects.subset import fewer_pictures, half_of_pictures

TOGETHER = 4e9  # bytes of weights of networks that share a pass, where one alone does not take more


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
    (all_three,) = extract_networks(settings, [settings["backbone"]], on_progress, on_subject, on_network)
    return all_three


def extract_networks(settings, names, on_progress=lambda progress: None, on_subject=None, on_network=None):
    """The same of several networks: yields (subject, backbone, features) of each, those of one pass over the pictures after it.

    names : of networks, in place of the settings' own. As many share a pass as ``TOGETHER`` holds; one that fails stops no
        other, the error names it at the end.
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
    how = {
        "antialias": antialiased(settings),
        "precision": settings.get("precision"),
        **reducing(whole, settings.get("pca")),
    }
    left, failed = list(names), []
    while left:
        backbones = []
        while left and sum(map(_weight, backbones)) < TOGETHER:
            try:
                with _asked_for():
                    backbones.append(load_backbone(left.pop(0), settings.get("weights"), stage("weights")))
            except WrongRequest as error:
                failed.append(error)
                continue
            if on_network is not None:
                on_network(subject, backbones[-1])
        try:
            every = extract_many(backbones, subject.images, on_progress=stage("features"), **how) if backbones else []
        except InputError as error:
            failed.append(error)
            continue
        if every is None:
            raise Stopped
        for backbone, features in zip(backbones, every, strict=True):
            yield subject, backbone, features.only(settings["layers"]) if settings.get("layers") else features
    if failed:
        raise failed[0] if len(failed) == 1 else InputError("; ".join(map(str, failed)))


def _weight(backbone):
    """Bytes of a network's weights."""
    model = getattr(backbone, "model", None)
    return sum(weight.nbytes for weight in model.parameters()) if model is not None else 0
