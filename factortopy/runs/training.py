"""The one unit of work: train an encoder in a run folder; safe to call twice, stopped at any moment, resumed."""

import os
import shutil
from dataclasses import replace

import numpy as np

from factortopy.analysis.gallery import make_gallery
from factortopy.encoder.encoder import Encoder
from factortopy.encoder.films import rows_of
from factortopy.encoder.fitting import fit, goes_on
from factortopy.errors import InputError
from factortopy.runs.attempt import attempt, signals
from factortopy.runs.extraction import WrongRequest, extract_features
from factortopy.runs.folder import RunFromNewer, RunGone
from factortopy.runs.recorder import Recorder
from factortopy.runs.run import Run
from factortopy.runs.settings import check_settings
from factortopy.storage.files import read_json, write_json
from factortopy.storage.machine import free_megabytes
from factortopy.wording import score_text

RESERVE_MEGABYTES = 20  # what the small files of a run need, and room for the system to breathe


def train_run(
    path,
    subject=None,
    backbone=None,
    recipe=None,
    seed=None,
    *,
    resume=False,
    queued=False,
    on_progress=None,
    say=None,
    **settings,
):
    """Train an encoder in a run folder, from wherever it is to the end.

    Parameters
    ----------
    path : path-like
        The run folder; made when it is not there.
    subject, backbone, recipe, seed, settings
        What to train (``runs.settings.check_settings``; recipe "fast", seed 0 and the factorized model with all factors by default).
        An existing run knows them; what is given must agree.
    resume : bool
        Needed for a folder that holds an unfinished run. A finished run is left alone.
    queued : bool
        Started by the queue: go on only when the run still waits there.
    on_progress : callable, optional
        Gets a dict (stage, step, total, loss, val_score, remaining, …); returning False stops.
    say : callable, optional
        Gets one line for each thing that happens.

    Returns
    -------
    Run
        Its ``status`` is "finished", or "stopped" when somebody asked for that.

    Raises
    ------
    RunBusy
        When another process holds the run.
    InputError
        For everything else that the user can mend.
    """
    asked = {"subject": subject, "backbone": backbone, "recipe": recipe, "seed": seed, **settings}
    run = Run(path)
    say = say or (lambda line: None)
    if run.path.is_dir() and run.status == "finished":
        _same_wish(run, run.settings, {key: value for key, value in asked.items() if value is not None}, "look at it")
        Encoder.load(run.path)  # a damaged one is said, not passed as good
        say("finished already; left alone")
        return run
    if queued and not (run.path / "run.json").exists():
        raise RunGone(f"{run.path}: this run's folder is gone; it was deleted before its turn came")
    fresh = not (run.path / "run.json").exists()
    run.make_folder()
    recorder = Recorder(run, on_progress)
    try:
        with run.lock(), signals(recorder):
            settings = _open(run, asked, resume)
            if run.info["finished"] or (queued and run.info["state"] != "queued"):
                return run
            if not queued:
                run.clear_stop()  # an old wish; the queue keeps one that came while the run waited
            done = attempt(run, recorder, queued, lambda seconds: _train(run, settings, recorder, say, seconds))
            if not done:
                say(f"stopped; what was learnt is kept in {run.path}, go on with --resume")
    except WrongRequest:
        # Nothing stands in the way of the corrected command. The app's runs stay and say why.
        if fresh and not queued:
            run.forget()
        raise
    return run


def _open(run, asked, resume):
    """The run's settings; makes run.json where there is none. The lock is held."""
    given = {key: value for key, value in asked.items() if value is not None}
    file = run.path / "run.json"
    if not file.exists():
        settings = check_settings(given)
        run.write_new(settings, "running")
        return settings
    try:
        settings = run.settings
    except RunFromNewer:
        raise
    except InputError:
        if not (resume and {"subject", "backbone"} <= set(given)):
            raise
        # Torn by a broken copy: what was asked is told again, so the run goes on from its checkpoint.
        os.replace(file, run.path / "run.json.damaged")
        run.write_new(check_settings(given), "running")
        return run.settings
    if run.info["finished"]:
        return settings
    if not resume:
        raise InputError(
            f"{run.path}: holds an unfinished run ({run.state(locked=False)[0]}); go on with --resume or choose "
            "another folder"
        )
    _same_wish(run, settings, given, "resume")
    return settings


def _same_wish(run, settings, given, verb):
    """Refuse settings that are not the run's own."""
    wanted = check_settings({**settings, **given})
    for key in given:
        if wanted[key] != settings[key]:
            raise InputError(
                f"{run.path}: {key} of this run is {settings[key]!r}, asked for was {wanted[key]!r}; {verb} without it "
                "or choose another folder"
            )


def _train(run, settings, recorder, say, seconds_before):
    """Load, extract, fit, save, score, finish."""
    for left in run.path.glob(".*.part"):
        left.unlink(missing_ok=True)  # of a process that was killed while it wrote
    checkpoint = run.path / "checkpoint"
    unfinished = (checkpoint / "state.json").exists()
    going_on = unfinished and goes_on(checkpoint)
    if run.info.get("scores") and not unfinished:  # killed between the last result and "finished"
        _finish(run, say)
        return
    recorder.begin("pictures")
    _check_space(run, RESERVE_MEGABYTES)

    def on_subject(subject):
        recorder.places(subject)
        # Known from here on, so that the map that forms says "simulated" as well.
        if going_on and run.info.get("surface", subject.surface) != subject.surface:
            raise InputError(
                f"{run.path}: expected the encoder's coordinates to come from {run.info['surface'] or 'fsaverage5'}, as when this run "
                f"was begun, found {subject.surface or 'no surfaces beside the data'}; put them back, or train anew"
            )
        run.update(
            subject=subject.name, simulated=bool(subject.simulated), density=subject.density, surface=subject.surface,
            pictures=_pictures(subject),
        )  # fmt: skip
        recorder.check()

    def on_network(subject, backbone):
        recorder.check()
        n_vertices, n_layers = len(subject.vertex), len(backbone.layer_names)
        # Encoder, selectors and a checkpoint with its optimiser, twice: a file is whole before the old one goes.
        _check_space(run, RESERVE_MEGABYTES + 2 * 4 * n_vertices * (300 + n_layers) // 1_000_000)
        say(
            f"{subject.name}: {len(subject.images)} pictures, {n_vertices} vertices; {backbone.name}: {n_layers} layers"
        )
        for notice in backbone.notices:
            say(f"{backbone.name}: {notice}")
        write_json(run.path / "split.json", subject.split.as_dict())  # rows of the subject's trials
        recorder.begin("features", len(subject.images))

    subject, backbone, features = extract_features(settings, recorder.on_job, on_subject, on_network)
    recorder.check()

    done = read_json(checkpoint / "state.json") if going_on else {}
    recorder.begin("fit", done.get("total", settings["steps"]), done.get("step", 0))
    if unfinished:
        say(
            "going on from the checkpoint"
            if going_on
            else "the checkpoint is of an earlier version; the fit begins again"
        )
    encoder = fit(
        subject,
        features,
        recipe=settings["recipe"],
        seed=settings["seed"],
        steps=settings["steps"],
        **{key: settings[key] for key in ("model", "select", "topology", "space_samples")},
        **_reduction(settings, backbone, say),
        **_regulariser(settings),
        weights=settings["channel"],
        warm=[Encoder.load(path) for path in settings["warm"]] if settings["warm"] else None,
        on_progress=recorder.on_fit,
        out=run.path,
        resume=going_on,
    )
    recorder.check()

    rows = []
    if settings["channel"]:
        recorder.begin("score")
        rows = score(encoder, subject, features)
    run.check_there()
    encoder.save(run.path, finished=False)
    if settings["channel"]:
        make_gallery(encoder, subject, features, run.path)
    run.update(vertices=len(subject.vertex), scores=rows, seconds=seconds_before + recorder.seconds())
    _finish(run, say)


def _pictures(subject):
    """How many different pictures each part holds, {"train", "val", "test": int}; None of a film."""
    if subject.film is not None:
        return None
    return {part: len(np.unique(rows_of(subject, trials))) for part, trials in subject.split.as_dict().items()}


def _reduction(settings, backbone, say):
    """What pooled ridge reduces channels by: the network's own weights, the data where those cannot be told."""
    if settings["model"] != "ridge" or backbone.channel_weights() is not None:
        return {}
    say(f"{backbone.name}: which weights write its layers is not known; ridge takes principal components of its tokens")
    return {"reduce": "data"}


def _regulariser(settings):
    """The recipe's own settings with another number of steps after which the regulariser is gone."""
    if settings["decay"] is None:
        return {}
    from factortopy.encoder.fitting import SOLVERS

    own = SOLVERS[settings["recipe"]][1]()
    steps = settings["steps"] or own.steps
    return {"settings": replace(own, decay=settings["decay"] / (steps if settings["recipe"] == "fast" else 1))}


def score(encoder, subject, features):
    """Fill ``encoder.scores``, which ``encoder.save`` writes: score, predicted, noise_ceiling, each (N,).

    Returns
    -------
    list of dict
        The table by ROI of ``analysis.by_roi``; the row "all" stands first.
    """
    from factortopy import analysis

    analysis.score_run(encoder, subject, features)
    ceiling = encoder.noise_ceiling
    encoder.scores["noise_ceiling"] = (
        np.full(len(subject.vertex), np.nan, np.float32) if ceiling is None else np.asarray(ceiling, np.float32)
    )
    return sorted(analysis.by_roi(encoder), key=lambda row: row["roi"] != "all")


def _finish(run, say):
    """All results are written: remove what only an unfinished run needs, then say "finished". A kill in between is mended here."""
    shutil.rmtree(run.path / "checkpoint", ignore_errors=True)
    (run.path / "preview.safetensors").unlink(missing_ok=True)
    run.clear_stop()
    run.finish(
        "the loss was no number at the end; the best state before that was kept" if run.info.get("diverged") else None
    )
    if not run.info["scores"]:
        say(f"finished: selectors alone, in {run.path}")
        return
    whole = run.info["scores"][0]
    score = np.nan if whole["score"] is None else whole["score"]
    say(f"finished: mean R² {score_text(score)} over {whole['vertices']} vertices, in {run.path}")


def _check_space(run, needed):
    free = free_megabytes(run.path)
    if free < needed:
        raise InputError(
            f"{run.path}: a training needs about {needed} MB there, {free} MB are free; free space or choose another "
            "folder"
        )
