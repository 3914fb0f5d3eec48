"""What each verb of the command line does; each function gets the parsed options and returns the exit code."""

import signal
import sys
import time
from pathlib import Path

import factortopy
from factortopy.errors import InputError
from factortopy.wording import duration, score_text

SECONDS_BETWEEN_LINES = 10.0
MOST_LINES = 40  # of an experiment's numbers
STAGE_WORDS = {
    "pictures": "pictures and network",
    "weights": "weights",
    "features": "features",
    "fit": "fit",
    "score": "score",
}


class Ticker:
    """Progress for people: one line that renews itself on a terminal, a plain line now and then elsewhere."""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self._said, self._stage, self._width = 0.0, None, 0

    def __call__(self, progress):
        """Show a progress (the dict of progress.json)."""
        now = time.monotonic()
        new_stage = progress["stage"] != self._stage
        last = bool(progress.get("total")) and progress.get("step") == progress["total"]
        if not (new_stage or last) and now - self._said < (0.2 if self.live else SECONDS_BETWEEN_LINES):
            return
        self._said, self._stage = now, progress["stage"]
        if self.live and new_stage:
            self.finish()
        self._write(progress_line(progress))

    def say(self, line):
        """Show a line that stays."""
        self.finish()
        print(line, file=self.out, flush=True)

    def finish(self):
        """End the line that renews itself."""
        if self._width:
            print(file=self.out, flush=True)
            self._width = 0

    def _write(self, line):
        if self.live:
            self.out.write("\r" + line.ljust(self._width))
            self.out.flush()
            self._width = len(line)
        else:
            print(line, file=self.out, flush=True)


def progress_line(progress):
    """One line of a progress: stage, step, loss, score, remaining time."""
    parts = [STAGE_WORDS.get(progress["stage"], progress["stage"])]
    if progress.get("total"):
        unit, word = (1_000_000, " MB") if progress["stage"] == "weights" else (1, "")
        parts.append(f"{progress['step'] // unit} of {progress['total'] // unit}{word}")
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.4f}")
    if progress.get("val_score") is not None:
        parts.append(f"validation R² {score_text(progress['val_score'])}")
    if progress.get("remaining") is not None:
        parts.append(f"{duration(progress['remaining'])} left")
    return " · ".join(parts)


def check(options):
    """Print every finding; 2 when one of them stops a training."""
    from factortopy.subjects.check import check as look_through
    from factortopy.subjects.names import DENSITY
    from factortopy.subjects.progress import listening

    ticker = Ticker(sys.stderr)  # standard output holds the findings alone

    def told(step):
        ticker({"stage": step.words, "step": step.done, "total": step.total, "remaining": step.remaining})

    with listening(told if ticker.live else None):
        findings = look_through(
            options.path, options.subject_id, options.density or DENSITY, options.trials, options.all
        )
    ticker.finish()
    for line in findings.lines():
        print(line)
    return 2 if findings.stops else 0


def extract(options):
    """Features of a subject's pictures into the cache."""
    from factortopy.subjects.progress import for_work, listening

    ticker = Ticker()
    with listening(for_work(ticker)):
        subject = factortopy.load_subject(options.subject, options.subject_id)

    def progress(stage):
        begun = time.monotonic()

        def on_progress(done, total):
            left = (time.monotonic() - begun) / done * (total - done) if done else None
            ticker({"stage": stage, "step": done, "total": total, "remaining": left})

        return on_progress

    backbone = factortopy.load_backbone(options.backbone, options.weights, progress("weights"))
    told = factortopy.plan(backbone, len(subject.images), reduce=options.pca).sentence()
    ticker.say(f"before it starts: {told} at most")
    from factortopy.encoder.films import reducing

    some = reducing(subject, options.pca)
    features = factortopy.extract(backbone, subject.images, on_progress=progress("features"), **some)
    kept = f" of {options.pca} components at most" if options.pca else ""
    ticker.say(
        f"{backbone.name} on {subject.name}: {len(features)} pictures, {len(features.local)} layers{kept}, on disk"
    )
    return 0


def train(options):
    """Train or go on with a run; progress on standard output."""
    from factortopy.runs.run import new_run_name
    from factortopy.runs.training import train_run
    from factortopy.storage.home import runs_dir

    out = options.out
    if out is None:
        if not options.subject or not options.backbone:
            raise InputError(
                "train: expected --subject and --backbone, or --out with a run to resume; see train --help"
            )
        subject = options.subject_id or options.subject
        out = runs_dir() / new_run_name(
            subject, options.backbone, options.recipe or "fast", options.seed or 0, options.pictures,
            options.model or "factorized", (options.select or "space,layer,scale").split(","), not options.no_topology,
            options.weights,
        )  # fmt: skip
    ticker = Ticker()
    try:
        run = train_run(
            out,
            options.subject,
            options.backbone,
            options.recipe,
            options.seed,
            subject_id=options.subject_id,
            density=options.density,
            trials=options.trials,
            weights=options.weights,
            steps=options.steps,
            pca=options.pca,
            pictures=options.pictures,
            model=options.model,
            select=options.select.split(",") if options.select is not None else None,
            topology=False if options.no_topology else None,
            space_samples=options.space_samples,
            resume=options.resume,
            queued=options.queued,
            on_progress=ticker,
            say=ticker.say,
        )
    finally:
        ticker.finish()
    status, reason = run.state()
    if status == "finished":
        print(f"{run.path}: finished")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        if number.name in (reason or ""):
            return 128 + number
    return 0


def score(options):
    """Print the score table of a finished run; scores it first when that was not done."""
    from factortopy.runs.settings import write_score_table

    run, info = _finished(options.run)
    rows = info.get("scores") or _score_now(run, info)
    if info.get("simulated"):
        print(f"{info['subject']} is simulated: these figures do not compare with those of measured brains")
    print(f"{info['backbone']} on {info['subject']}, recipe {info['recipe']}, seed {info['seed']}; test pictures")
    width = max(len(row["roi"]) for row in rows)
    metric = any(row.get("challenge") is not None for row in rows)
    words = "  challenge, mean   median" if metric else ""
    print(f"{'region'.ljust(width)}  vertices  mean R²  ceiling  predicted{words}")
    for row in rows:
        share = "–" if row["share"] is None else f"{row['share']:.0%}"
        print(
            f"{row['roi'].ljust(width)}  {row['vertices']:8d}  {_figure(row['score'])}  {_figure(row['ceiling'])}  "
            f"{share:>9}"
            + (f"  {_figure(row.get('challenge')):>15}  {_figure(row.get('challenge_median'))}" if metric else "")
        )
    if metric:
        print("challenge: the Algonauts 2023 metric, r² / noise ceiling (r below 0 counts 0, at most 1)")
        print("           (high by chance with few test pictures)")
    if rows[0]["score"] is not None and rows[0]["score"] < -1:
        print("R² far below 0: worse than telling the mean; too few pictures or steps")
    if options.csv:
        write_score_table(options.csv, [{"simulated": bool(info.get("simulated")), **row} for row in rows])
        print(f"written: {options.csv}")
    return 0


def _figure(value):
    return "      –" if value is None else f"{value:7.3f}"


def _score_now(run, info):
    """Score a run that was saved without scores; they are kept in it."""
    from factortopy.runs import training
    from factortopy.runs.settings import load_subject_of
    from factortopy.storage.records import without_nan

    settings = {**info, **(info.get("settings") or {})}
    for key in ("subject", "backbone"):
        if not settings.get(key):
            raise InputError(f"{run.path}: expected run.json to name the {key}, found none; this run cannot be scored")
    subject = load_subject_of(settings)
    backbone = factortopy.load_backbone(settings["backbone"], weights=settings.get("weights"))
    with run.lock():
        encoder = factortopy.Encoder.load(run.path)
        rows = training.score(encoder, subject, factortopy.extract(backbone, subject.images))
        encoder.save(run.path)
        run.update(scores=rows)
    return without_nan(rows)


def maps(options):
    """Write the maps of a finished run."""
    from factortopy.export.maps import export_maps

    run, info = _finished(options.run)
    encoder = factortopy.Encoder.load(run.path)
    scores = run.scores()
    if not scores:
        raise InputError(f"{run.path}: expected scores.safetensors, found none; train it again or copy it")
    title = f"{info['backbone']} on {info['subject']}" + (" (simulated)" if info.get("simulated") else "")
    paths = export_maps(
        options.out,
        encoder.selectors(),
        scores["score"],
        scores["predicted"].astype(bool),
        encoder.hemi,
        encoder.vertex,
        encoder.density,
        encoder.simulated,
        title,
        rois=encoder.rois,
    )
    for path in paths:
        print(path)
    return 0


def export(options):
    """Write a finished run to take away."""
    from factortopy.export.run import export_run

    run, _ = _finished(options.run)
    what = [one.strip() for one in options.what.split(",") if one.strip()]
    export_run(run, options.out, what, width=options.width / 2.54, dpi=options.dpi, say=print)
    return 0


def simulate(options):
    """Run an experiment; print its numbers and where the result lies."""
    from factortopy.experiments import protocol as protocols

    protocol = protocols.read_protocol(options.protocol)
    protocol = protocols.complete(protocol | {"settings": protocol["settings"] | _settings(options.set)})
    if options.write:
        protocols.write_protocol(options.write, protocol)
        print(f"written: {options.write}")
        return 0
    run, _ = _finished(options.run)
    encoder, ticker = factortopy.Encoder.load(run.path), Ticker()
    begun, result = time.monotonic(), None if options.again else protocols.kept(run, protocol)

    def on_progress(done, total):
        left = (time.monotonic() - begun) / done * (total - done) if done else None
        ticker({"stage": protocol["experiment"], "step": int(done), "total": total, "remaining": left})

    if result is None:
        try:
            result = protocols.run_protocol(protocol, encoder, on_progress)
        finally:
            ticker.finish()
        protocols.keep(result, run)
    if options.out:
        from factortopy.export.result import export_result

        result.save(options.out)
        told = [str(path) for path in export_result(options.out, result, encoder)]
    else:
        told = [f"kept: {protocols.result_folder(run, protocol)}"]
    lines = protocols.summary(result)
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more in result.json"]
    for line in [*lines, *(f"note: {note}" for note in result.notes), *told]:
        print(line)
    return 0


def work(options):
    """Do a job of the queue."""
    from factortopy.cli.train import work_verb

    return work_verb(options)


def report(options):
    """Write the report of some finished runs."""
    from factortopy.report.command import report_verb

    return report_verb(options)


def finetune(options):
    """Train a network on labelled pictures."""
    from factortopy.finetune.command import finetune_verb

    return finetune_verb(options)


def sweep(options):
    """Train many encoders."""
    from factortopy.sweep_command import sweep_verb

    return sweep_verb(options)


def compare(options):
    """Print networks side by side."""
    from factortopy.report.command import compare_verb

    return compare_verb(options)


def _settings(assignments):
    """{name: value} of NAME=VALUE words; values are JSON, or words as they stand."""
    import json

    out = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text!r}: expected NAME=VALUE")
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    return out


def _finished(name):
    """The finished run of a path or a name, and its run.json."""
    from factortopy.runs.folder import ACTIVE, NAME_PATTERN
    from factortopy.runs.run import Run, find_run

    run = find_run(name) if NAME_PATTERN.fullmatch(name) and not Path(name).is_dir() else Run(name)
    if not run.path.is_dir():
        raise InputError(f"{name}: expected a run folder, found none; give the folder that train --out made")
    info = run.info
    if not info.get("finished"):
        status = run.status
        remedy = "wait until it ends" if status in ACTIVE else f"go on with train --out {run.path} --resume"
        raise InputError(f"{run.path}: expected a finished run, found one that is {status}; {remedy}")
    return run, info
