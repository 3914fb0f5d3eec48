"""An Algonauts-format folder through check, train, score and maps, as a user of the command line walks it."""

import json

import nibabel
import numpy as np
from algonauts_folder import make_algonauts
from tiny_here import run_here
from trials import run_command

from factortopy.encoder import Encoder


def test_check_train_score_maps(tmp_path):
    folder = make_algonauts(tmp_path / "data", "subj01", trials=60)
    done = run_command("check", folder)
    assert done.returncode == 0 and "Algonauts 2023" in done.stdout and "Can be trained on" in done.stdout
    run = tmp_path / "run"
    done = run_here(
        "train", "--subject", folder, "--backbone", "demo-vit", "--steps", 30, "--density", "10k", "--out", run
    )
    assert done.returncode == 0, done.stderr
    info = json.loads((run / "run.json").read_text())
    assert info["finished"] and not info["simulated"] and info["subject"] == "subj01"
    encoder = Encoder.load(run)
    done = run_here("score", run)
    assert done.returncode == 0 and "V1" in done.stdout and "simulated" not in done.stdout
    done = run_here("maps", run, "--out", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    for h, side in enumerate("LR"):
        label = nibabel.load(tmp_path / "maps" / f"hemi-{side}_layer.label.gii").agg_data()
        assert label.shape == (10242,)
        mine = encoder.hemi == h
        painted = mine & encoder.scores["predicted"].astype(bool)
        expected = np.zeros(10242, dtype=int)
        expected[encoder.vertex[painted]] = encoder.selectors().layer_argmax[painted] + 1
        np.testing.assert_array_equal(label, expected)
        score = nibabel.load(tmp_path / "maps" / f"hemi-{side}_score.func.gii").agg_data()
        np.testing.assert_allclose(score[encoder.vertex[mine]], encoder.scores["score"][mine], rtol=1e-5)
    assert list((tmp_path / "maps").glob("*.png")) and not list((tmp_path / "maps").glob("*simulated*"))


def test_a_folder_that_is_no_data_set(tmp_path):
    done = run_command("check", tmp_path)
    assert done.returncode == 2 and "data set" in done.stdout + done.stderr
    train = ("train", "--backbone", "demo-vit", "--out", tmp_path / "run", "--subject")
    for _ in range(2):  # a mistake at the start leaves nothing that stands in the way of the next try
        done = run_here(*train, tmp_path / "nothing")
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and "nothing" in done.stderr
    assert not (tmp_path / "run").exists()
