"""Protocols and the store of results: complete, shared as files, found again, told when wrong."""

import json
import shutil

import numpy as np
import pytest

import factortopy as ft
from factortopy.experiments import protocol as protocols
from factortopy.experiments.responses import Stopped, respond
from factortopy.experiments.result import Result, plain
from factortopy.runs.run import Run, find_run
from factortopy.stimuli.localizer import localizer
from factortopy.storage.home import assets_dir

SMALL = {"experiment": "localizer", "settings": {"n": 4}}


@pytest.fixture(scope="module")
def encoder():
    return ft.Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")


@pytest.mark.parametrize("experiment", protocols.EXPERIMENTS)
def test_every_experiment_has_json_defaults(experiment):
    protocol = protocols.complete({"experiment": experiment})
    assert json.loads(json.dumps(protocol)) == protocol and protocol["settings"]
    assert protocols.complete(protocol) == protocol


def test_protocol_files_come_back(tmp_path):
    protocols.write_protocol(tmp_path / "mine.json", SMALL)
    found = protocols.read_protocol(str(tmp_path / "mine.json"))
    assert found["settings"]["n"] == 4 and found == protocols.complete(SMALL)
    assert protocols.read_protocol("localizer") == protocols.complete({"experiment": "localizer"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"experiment": "localizer", "settings": {"pictres": 3}}', "pictres"),
        ('{"experiment": "seance"}', "seance"),
        ('{"settings": {}}', "experiment"),
        ('{"experiment": "localizer", "settings": 3}', "object"),
        ('{"experiment": "localizer", "protocol": 99}', "99"),
        ('{"experiment": ["x"]}', "expected one of"),
        ('{"experiment": "motion", "settings": {"types": 5}}', "types: expected"),
        ('{"experiment": "localizer", "settings": {"against": 5}}', "against: expected"),
        ('{"experiment": "localizer", "settings": {"category": ["faces"]}}', "category: expected"),
        ('{"experiment": "lesion", "settings": {"doses": 0.5}}', "doses: expected"),
        ('{"experiment": "lesion", "settings": {"contrast": ["a"]}}', "contrast: expected"),
        ('{"experiment": "maximize", "settings": {"steps": true}}', "steps: expected a whole number"),
        ("[1, 2]", "object"),
        ("{", "JSON"),
    ],
)
def test_wrong_protocols_are_named(tmp_path, text, words):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(ft.InputError, match=words):
        protocols.read_protocol(str(tmp_path / "mine.json"))


def test_equal_numbers_find_the_same_result():
    run = find_run("demo-vit_demo-1")
    folders = {protocols.result_folder(run, {"experiment": "retinotopy", "settings": {"noise": n}}) for n in (0, 0.0)}
    assert len(folders) == 1


def test_missing_protocol_says_what_there_is():
    with pytest.raises(ft.InputError, match="retinotopy"):
        protocols.read_protocol("no-such-file.json")


def test_result_is_kept_and_found_again(encoder, tmp_path):
    run = Run(tmp_path / "run")
    shutil.copytree(assets_dir() / "runs" / "demo-vit_demo-1", run.path)
    assert protocols.kept(run, SMALL) is None
    result = protocols.run_protocol(SMALL, encoder)
    assert result.info["simulated"] is True and any("simulated" in note for note in result.notes)
    folder = protocols.keep(result, run)
    assert folder.parent == run.path / "experiments" and protocols.list_results(run) == [folder]
    again = protocols.kept(run, SMALL)
    assert again.numbers == plain(result.numbers) and again.notes == result.notes
    for name, values in result.maps.items():
        np.testing.assert_array_equal(again.maps[name], np.float32(values))
    for name, stack in result.pictures.items():
        np.testing.assert_array_equal(again.pictures[name], stack)
    assert protocols.kept(run, {"experiment": "localizer", "settings": {"n": 5}}) is None
    assert protocols.read_protocol(str(folder / "protocol.json")) == protocols.complete(SMALL)
    # Another encoder under the same name: its results are not those.
    (run.path / "encoder.safetensors").write_bytes(b"other")
    assert protocols.kept(run, SMALL) is None


def test_half_a_result_is_none(encoder, tmp_path):
    run = Run(tmp_path / "run")
    folder = protocols.keep(Result("localizer", protocols.complete(SMALL)["settings"], {"a": np.zeros(3)}), run)
    assert protocols.kept(run, SMALL) is not None
    (folder / "result.safetensors").write_bytes(b"torn")
    assert protocols.kept(run, SMALL) is None
    with pytest.raises(ft.InputError, match="result"):
        Result.load(folder)


def test_results_of_shipped_runs_lie_under_the_home_folder():
    from factortopy.storage.home import home

    assert protocols.folder_of(find_run("demo-vit_demo-1")) == home() / "experiments" / "demo-vit_demo-1"


def test_responses_are_kept_by_content(encoder, monkeypatch):
    images = list(localizer(n=3)["faces"])
    first, asked = respond(encoder, images), []
    np.testing.assert_allclose(first, encoder.predict(images), atol=2e-4)
    monkeypatch.setattr(encoder, "predict", lambda images: asked.append(images))
    np.testing.assert_array_equal(respond(encoder, images), first)
    assert not asked
    monkeypatch.undo()
    other = respond(encoder, images[::-1])  # another order is another question
    np.testing.assert_allclose(other, first[::-1], atol=2e-4)


def test_a_stopped_set_goes_on_from_its_last_whole_block(encoder):
    from factortopy.experiments.responses import BLOCK

    images, seen = np.random.default_rng(0).integers(0, 256, (BLOCK + 8, 112, 112, 3), dtype=np.uint8), []
    with pytest.raises(Stopped):
        respond(encoder, images, lambda done, total: done < BLOCK)
    found = respond(encoder, images, lambda done, total: seen.append(done))
    assert seen == [0, BLOCK, BLOCK, len(images)]  # the first block was there
    np.testing.assert_allclose(found[-8:], encoder.predict(images[-8:]), atol=2e-4)


def test_progress_false_stops(encoder):
    with pytest.raises(Stopped):
        respond(encoder, list(localizer(n=2)["faces"]), on_progress=lambda done, total: False, keep=False)
    with pytest.raises(Stopped):
        protocols.run_protocol(SMALL, encoder, on_progress=lambda done, total: False)


def test_an_encoder_of_bare_features_is_told(planted_fit):
    with pytest.raises(ft.InputError, match="bare features"):
        protocols.run_protocol(SMALL, planted_fit)


def test_plain_values():
    value = {"a": np.float32("nan"), "b": [np.int64(3), True, np.bool_(False)], "c": np.arange(2), 4: "word", "d": None}
    assert plain(value) == {"a": None, "b": [3, True, False], "c": [0, 1], "4": "word", "d": None}


# ---------------------------------------------------------------- the command line


def command(*words, capsys):
    from factortopy.cli.main import main

    code = main(["simulate", *words])
    return code, capsys.readouterr()


def test_command_runs_and_exports(tmp_path, capsys):
    code, told = command("demo-vit_demo-1", "localizer", "--set", "n=4", "--out", str(tmp_path / "out"), capsys=capsys)
    assert code == 0 and "simulated" in told.out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"protocol.json", "result.json", "result.safetensors"} <= names
    assert any(name.endswith(".func.gii") for name in names) and any(name.endswith("_simulated.png") for name in names)


def test_command_keeps_in_the_store(capsys):
    code, told = command("demo-vit_demo-1", "localizer", "--set", "n=4", capsys=capsys)
    assert code == 0 and protocols.kept(find_run("demo-vit_demo-1"), SMALL) is not None


def test_command_writes_a_protocol(tmp_path, capsys):
    path = tmp_path / "mine.json"
    assert command("-", "localizer", "--set", "category=bodies", "--write", str(path), capsys=capsys)[0] == 0
    assert protocols.read_protocol(str(path))["settings"]["category"] == "bodies"


@pytest.mark.parametrize(
    "words", [("demo-vit_demo-1", "seance"), ("no-run", "localizer"), ("demo-vit_demo-1", "localizer", "--set", "=3")]
)
def test_command_says_what_is_wrong_in_a_line(words, capsys):
    code, told = command(*words, capsys=capsys)
    assert code == 2 and told.err.count("\n") == 1 and "Traceback" not in told.err
