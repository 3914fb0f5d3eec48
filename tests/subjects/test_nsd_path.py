"""A three-session NSD folder through check, train, score and maps, as a user of the command line walks it."""

import json

import nibabel
import numpy as np
from nsd_folder import BETAS, make_nsd
from tiny_here import run_here
from trials import run_command

from factortopy.encoder import Encoder
from factortopy.subjects.loading import load_subject
from factortopy.subjects.split import Split


def test_check_train_score_maps(tmp_path):
    root = make_nsd(tmp_path / "nsd")
    done = run_command("check", root)
    assert done.returncode == 0 and "Natural Scenes Dataset" in done.stdout and "Can be trained on" in done.stdout
    run = tmp_path / "run"
    words = ("train", "--subject", root, "--subject-id", "subj01", "--backbone", "tiny-net", "--steps", 10)
    done = run_here(*words, "--out", run)
    assert done.returncode == 0, done.stderr
    info = json.loads((run / "run.json").read_text())
    assert info["finished"] and not info["simulated"] and info["subject"] == "subj01"
    encoder, subject = Encoder.load(run), load_subject(root)
    assert np.array_equal(encoder.vertex, subject.vertex) and np.array_equal(encoder.hemi, subject.hemi)
    assert Split(**json.loads((run / "split.json").read_text())) == subject.split
    done = run_here("score", run)
    assert done.returncode == 0 and "V1" in done.stdout and "simulated" not in done.stdout
    done = run_here("maps", run, "--out", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    assert nibabel.load(tmp_path / "maps" / "hemi-L_layer.label.gii").agg_data().shape == (163842,)


def test_faults_are_lines_and_exit_2(tmp_path):
    root = make_nsd(tmp_path / "nsd")
    folder = root / BETAS.format("subj01")
    (folder / "rh.betas_session01.mgh").unlink()
    (folder / "lh.betas_session02.mgh").write_bytes(b"<html>")
    done = run_command("check", root)
    assert done.returncode == 2 and done.stdout.count("STOPS: ") == 2 and done.stderr == ""
    done = run_here("train", "--subject", root, "--backbone", "tiny-net", "--out", tmp_path / "run")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
