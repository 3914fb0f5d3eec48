"""The command line: verbs, exit codes, one line for what is wrong, Ctrl-C."""

import csv
import os
import pty
import signal
import subprocess
import sys

import pytest
from tiny_here import run_here
from trials import TRAIN, command, environment, fitting, start_command, told_in_one_line, wait_for

from factortopy.cli.main import main, parser
from factortopy.cli.progress import Ticker, progress_line
from factortopy.runs.run import Run
from factortopy.storage.home import runs_dir
from factortopy.wording import duration

VERBS = (
    "check",
    "extract",
    "train",
    "score",
    "simulate",
    "work",
    "maps",
    "export",
    "compare",
    "report",
    "finetune",
    "sweep",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, trained by the command line with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    result = subprocess.run(
        command(*TRAIN, "--steps", 30, "--out", home / "runs" / "tiny"),
        env=environment(FACTORTOPY_HOME=str(home)), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return Run(home / "runs" / "tiny"), result


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0 and f"factortopy {verb}" in capsys.readouterr().out


def test_verbs_are_those_that_are_built():
    (verbs,) = [action for action in parser()._actions if action.dest == "verb"]
    assert sorted(verbs.choices) == sorted(VERBS)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("paint",),
        ("train", "--seed", "x"),
        ("train", "--seed", "-1"),
        ("train", "--steps", "0"),
        ("train", "--recipe", "slow"),
        ("extract", "--subject", "tiny", "--backbone", "tiny-net", "--precision", "bfloat17"),
        ("extract", "--subject", "demo-1"),
        ("maps", "x"),
        ("train", "--frobnicate"),
    ],
)
def test_wrong_words_are_one_line(words, capsys):
    with pytest.raises(SystemExit) as left:
        main([*words])
    said = capsys.readouterr()
    assert left.value.code == 2 and said.out == "" and said.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("train",),
        ("train", "--subject", "demo-1"),
        ("train", "--resume", "--out", "{tmp}/nothing"),
        ("train", "--subject", "{tmp}/no-such", "--backbone", "tiny-net", "--out", "{tmp}/new"),
        ("score", "no-such-run"),
        ("score", "../../etc"),
        ("score", "{tmp}"),
        ("maps", "{tmp}/gone", "--out", "{tmp}/maps"),
        ("check", "{tmp}/no-such"),
        ("extract", "--subject", "{tmp}/no\nsuch", "--backbone", "tiny-net"),
    ],
)
def test_wrong_input_is_one_line(words, tmp_path, capsys):
    code = main([word.format(tmp=tmp_path) for word in words])
    said = capsys.readouterr()
    assert code == 2
    if words[0] == "check":  # prints its findings
        assert "no-such" in said.out + said.err
    else:
        assert said.err.count("\n") == 1 and "Traceback" not in said.err


def test_unknown_network_leaves_nothing_in_the_way_of_the_corrected_command(tmp_path):
    words = ("train", "--subject", "tiny", "--backbone", "no-such-net", "--out", tmp_path / "a")
    assert "no-such-net" in told_in_one_line(run_here(*words))
    assert not (tmp_path / "a").exists()


def test_train_says_what_it_does(trained):
    run, result = trained
    assert run.status == "finished" and result.stderr == ""
    for word in ("features", "fit", "score", "finished"):
        assert word in result.stdout
    assert "\r" not in result.stdout


def test_finished_run_is_left_alone(trained, capsys):
    run, _ = trained
    before = {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()}
    assert main(["train", "--out", str(run.path), "--resume"]) == 0
    same = ["--subject", run.settings["subject"], "--backbone", run.settings["backbone"]]
    assert main(["train", *same, "--out", str(run.path)]) == 0
    assert "left alone" in capsys.readouterr().out
    assert main(["train", *same, "--seed", "77", "--out", str(run.path)]) == 2  # another wish is no wish for this run
    assert {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()} == before


def test_score_prints_and_writes_the_table(trained, tmp_path, capsys):
    run, _ = trained
    assert main(["score", str(run.path), "--csv", str(tmp_path / "scores.csv")]) == 0
    said = capsys.readouterr().out
    assert "simulated" in said and "V1" in said and "ceiling" in said
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["roi"] for row in rows] == ["all", "V1"] and rows[0]["simulated"] == "True"
    assert float(rows[0]["score"]) == pytest.approx(run.info["scores"][0]["score"])
    assert main(["score", str(run.path), "--csv", str(tmp_path / "no" / "such" / "folder.csv")]) == 2


def test_score_computes_what_is_missing(trained, tmp_path):
    """A run that was saved by ``encoder.save`` alone has no scores yet."""
    import shutil

    run, _ = trained
    bare = Run(shutil.copytree(run.path, tmp_path / "bare"))
    (bare.path / "scores.safetensors").unlink()
    bare.update(scores=None)
    result = run_here("score", bare.path)
    assert result.returncode == 0, result.stderr
    assert bare.info["scores"] == run.info["scores"] and bare.status == "finished"
    assert (bare.path / "scores.safetensors").read_bytes() == (run.path / "scores.safetensors").read_bytes()


def test_missing_or_cut_files_of_a_run_are_named(trained, tmp_path, capsys):
    import shutil

    for name in ("encoder.safetensors", "selectors.safetensors", "scores.safetensors"):
        copy = Run(shutil.copytree(trained[0].path, tmp_path / name))
        content = (copy.path / name).read_bytes()
        (copy.path / name).write_bytes(content[: len(content) // 2])
        assert main(["maps", str(copy.path), "--out", str(tmp_path / "maps")]) == 2
        (copy.path / name).unlink()
        assert main(["maps", str(copy.path), "--out", str(tmp_path / "maps")]) == 2
        assert capsys.readouterr().err.count(name) >= 2


def test_maps_are_written(trained, tmp_path, capsys):
    assert main(["maps", str(trained[0].path), "--out", str(tmp_path / "maps")]) == 0
    names = sorted(os.listdir(tmp_path / "maps"))
    for side in "LR":
        assert f"hemi-{side}_layer.label.gii" in names
        assert {f"hemi-{side}_{what}.func.gii" for what in ("confidence", "scale", "score", "space")} <= set(names)
    pictures = [name for name in names if name.endswith(".png")]
    assert pictures and all("simulated" in name for name in pictures)
    assert len(capsys.readouterr().out.splitlines()) == len(names)


def test_ctrl_c_stops_and_keeps_the_checkpoint(tmp_path):
    """Ctrl-C, then TERM after resuming; a second Ctrl-C is not needed."""
    out = tmp_path / "a"
    first = start_command(*TRAIN, "--steps", 100_000, "--out", out)
    wait_for(lambda: fitting(Run(out)))
    first.send_signal(signal.SIGINT)
    told, errors = first.communicate(timeout=60)
    assert first.returncode == 130 and "Traceback" not in errors and "--resume" in told
    assert Run(out).state() == ("stopped", "stopped by signal SIGINT") and (out / "checkpoint" / "state.json").exists()
    assert "--resume" in told_in_one_line(run_here(*TRAIN, "--out", out))
    assert "stopped" in told_in_one_line(run_here("score", out))

    reached = Run(out).progress()["step"]  # the first one's word, until the second writes its own
    second = start_command("train", "--out", out, "--resume")
    wait_for(lambda: (fitting(Run(out)) or 0) > reached)
    second.send_signal(signal.SIGTERM)
    told, _ = second.communicate(timeout=60)
    assert second.returncode == 143 and "going on from the checkpoint" in told
    assert Run(out).status == "stopped"


def test_extract_on_a_terminal_renews_one_line():
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("extract", "--subject", "tiny", "--backbone", "tiny-net"),
        env=environment(),
        stdout=theirs,
        stderr=theirs,
    )
    assert process.wait(timeout=60) == 0
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert "60 pictures, 3 layers" in said and "\rfeatures · " in said and "Traceback" not in said


def test_default_folder_is_a_new_run(trained, monkeypatch):
    """Without --out the run is made under the home folder; two of the same settings do not meet."""
    made = []
    monkeypatch.setattr("factortopy.runs.training.train_run", lambda out, *a, **k: made.append(out) or trained[0])
    assert main([*TRAIN]) == 0
    made[0].mkdir()
    assert main([*TRAIN]) == 0
    assert made == [runs_dir() / "tiny_tiny-net_fast_seed0", runs_dir() / "tiny_tiny-net_fast_seed0-2"]


def test_light_verbs_do_not_wait_for_torch(trained):
    code = "import sys; from factortopy.__main__ import main; code = main(sys.argv[1:]); "
    code += "sys.exit(code or 3 * ('torch' in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code, "score", str(trained[0].path)], env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_reader_that_leaves_is_no_fault(trained):
    words = " ".join(command("score", trained[0].path))
    result = subprocess.run(
        ["bash", "-c", f"{words} | true; exit ${{PIPESTATUS[0]}}"], env=environment(), capture_output=True, text=True
    )
    assert result.returncode in (0, 1) and "Traceback" not in result.stderr and "Broken" not in result.stderr


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr("factortopy.cli.finished_runs.score", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["score", "x"])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (89, "89 s"), (95, "2 min"), (3599, "60 min"), (7500, "2 h 5 min"), (-3, "0 s")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_progress_lines(capsys):
    whole = {"stage": "fit", "step": 20, "total": 200, "loss": 0.51234, "val_score": 0.1, "remaining": 100.0}
    assert progress_line(whole) == "fit · 20 of 200 · loss 0.5123 · validation R² 0.100 · 2 min left"
    assert progress_line({"stage": "score", "step": 0, "total": None}) == "score"
    ticker = Ticker()
    for step in range(50):
        ticker({**whole, "step": step})
    assert len(capsys.readouterr().out.splitlines()) == 1  # a line every ten seconds, not one a step
