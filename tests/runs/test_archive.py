"""A run as one file: packed, sent, opened; hostile and damaged archives are refused whole and leave nothing."""

import io
import json
import shutil
import stat
import zipfile

import numpy as np
import pytest
from sent_runs import relist

from factortopy.encoder import Encoder
from factortopy.errors import InputError
from factortopy.runs.archive import LISTING, pack_run, unpack_run
from factortopy.runs.run import Run, list_runs
from factortopy.storage.files import write_json
from factortopy.storage.home import assets_dir, runs_dir

NAME = "sent"
SHIPPED = assets_dir() / "runs" / "demo-vit_demo-1"


@pytest.fixture
def run():
    """A finished run in the store: a shipped one under another name, with a result of the lab."""
    folder = runs_dir() / NAME
    shutil.copytree(SHIPPED, folder)
    info = Run(folder).info
    settings = {"subject": "/home/alice/secret/data", "weights": "/home/alice/w.safetensors"}
    told = {
        "name": NAME,
        "subject": "planted",
        "backbone": "",
        "recipe": "fast",
        "settings": settings,
        "holder": {"pid": 1},
    }
    write_json(folder / "run.json", {**info, **told})
    result = folder / "experiments" / "lesion-00"
    from factortopy.experiments.result import Result

    maps = {"dprime": np.arange(Encoder.load(folder).n_vertices, dtype=np.float32)}
    pictures = {"shown": np.zeros((1, 32, 32, 3), np.uint8)}
    Result("lesion", {}, maps, {"a": 1}, {}, pictures, [], {"simulated": True}).save(result)
    (result / "note.txt").write_text("not ours")
    return Run(folder)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def build(files, change=None):
    """Bytes of an archive; ``change(archive)`` may add to it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        if change:
            change(archive)
    return buffer.getvalue()


def refused(data, match):
    before = sorted(p.name for p in runs_dir().iterdir())
    with pytest.raises(InputError, match=match) as caught:
        unpack_run(data, "bad.zip")
    assert "\n" not in str(caught.value) and str(runs_dir()) not in str(caught.value)
    assert sorted(p.name for p in runs_dir().iterdir()) == before


def test_a_run_comes_back_the_same_under_a_free_name(run, tmp_path):
    path = pack_run(run, tmp_path)
    assert path.name == "sent_simulated.factortopy.zip"
    assert path.read_bytes() == pack_run(run, tmp_path / "again.zip").read_bytes()
    opened = unpack_run(path)
    assert opened.name == "sent-2" and opened.status == "finished" and opened.info["name"] == "sent-2"
    assert unpack_run(path.read_bytes()).name == "sent-3"
    encoder = Encoder.load(opened.path)
    for name in ("space", "layer", "scale", "channel"):
        np.testing.assert_array_equal(
            getattr(encoder.selectors(), name), getattr(Encoder.load(SHIPPED).selectors(), name)
        )
    assert encoder.simulated
    assert {r.name for r in list_runs(shipped=False)} == {"sent", "sent-2", "sent-3"}
    assert not list(runs_dir().glob(".arriving-*"))


def test_nothing_of_the_senders_machine_goes_along(run, tmp_path):
    files = members(pack_run(run, tmp_path / "a.zip", experiments=True))
    assert all(b"alice" not in data and b"note.txt" not in data for data in files.values())
    info = json.loads(files["run.json"])
    assert info["settings"]["subject"] == "data" and "holder" not in info
    assert "experiments/lesion-00/result.json" in files and "experiments/lesion-00/note.txt" not in files
    assert not any("experiments" in name for name in members(pack_run(run, tmp_path / "b.zip")))
    from factortopy.experiments.result import Result

    opened = unpack_run(tmp_path / "a.zip")
    assert Result.load(opened.path / "experiments" / "lesion-00").numbers == {"a": 1}


def test_only_finished_runs_are_packed(run, tmp_path):
    write_json(run.path / "run.json", {**run.info, "finished": False, "state": "stopped"})
    with pytest.raises(InputError, match="stopped"):
        pack_run(run, tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil", "experiments/../../x.png", "evil.pkl", "checkpoint/a.pt", ".bashrc"]
)
def test_foreign_and_leading_out_members(run, tmp_path, name):
    files = members(pack_run(run, tmp_path / "a.zip"))
    refused(build(relist({**files, name: b"x"})), "leads outside|files of a run")
    assert not (tmp_path / "evil.json").exists()


def test_links_bombs_twins_and_scraps(run, tmp_path):
    files = members(pack_run(run, tmp_path / "a.zip"))
    whole = (tmp_path / "a.zip").read_bytes()

    def link(archive):
        info = zipfile.ZipInfo("gallery.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    refused(build({k: v for k, v in files.items() if k != "gallery.jpg"}, link), "symbolic link")
    few = {name: files[name] for name in (LISTING, "run.json")}
    refused(build(relist({**few, "encoder.safetensors": bytes(130 * 2**20)})), "times its size")
    with pytest.warns(UserWarning, match="Duplicate"):
        twins = build(
            files, lambda archive: archive.writestr("history.csv", b"x") or archive.writestr("history.csv", b"y")
        )
    refused(twins, "twice")
    refused(whole[: len(whole) // 2], "whole zip file")
    refused(b"", "whole zip file")
    refused(build({"a.png": b"x"}), "files of a run")
    refused(build({k: v for k, v in files.items() if k != LISTING}), "no factortopy.json")
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    refused(bytes(flipped), "expected")


def test_what_does_not_fit_is_refused(run, tmp_path):
    from safetensors.numpy import load, save

    files = members(pack_run(run, tmp_path / "a.zip"))
    info = json.loads(files["run.json"])

    def with_info(**changes):
        return build(relist({**files, "run.json": json.dumps({**info, **changes}).encode()}))

    refused(build({**files, "run.json": json.dumps({**info, "seed": 1}).encode()}), "a changed one")
    refused(build(relist(files, format=99)), "format 1, found '99'")
    refused(with_info(schema=99), "update FactorTopy")
    refused(with_info(finished=False), "finished run")
    refused(with_info(subject={"a": 1}), "subject's name")
    refused(with_info(density="3k"), "a density of")
    refused(with_info(layer_names=["one"]), "mismatch")
    refused(with_info(scores=[{"roi": 1}]), "table of scores")
    refused(build(relist({**files, "run.json": b"[" * 100_000})), "JSON")
    tensors = load(files["encoder.safetensors"])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        from safetensors import safe_open

        archive.extract("encoder.safetensors", tmp_path)
        with safe_open(tmp_path / "encoder.safetensors", "numpy") as file:
            meta = file.metadata()

    def with_tensors(**changes):
        return build(relist({**files, "encoder.safetensors": save({**tensors, **changes}, meta)}))

    assert unpack_run(with_tensors()).status == "finished"  # the way of changing is no fault itself
    refused(with_tensors(vertex=tensors["vertex"] + 90_000), r"indices from 0 to 10,241 \(10k\), found 9")
    refused(with_tensors(bias=tensors["bias"] * np.nan), "NaN")
    refused(with_tensors(hemi=tensors["hemi"] + 2), "0 for left and 1 for right, found 2, 3")
    refused(build(relist({**files, "encoder.safetensors": b"\xff" * 100})), "safetensors")
    refused(build(relist({**files, "scores.safetensors": save({"score": np.zeros(3)})})), "found 3")


def test_a_name_from_outside_is_never_a_path(run, tmp_path):
    files = members(pack_run(run, tmp_path / "a.zip"))
    for said, name in (("../../x y", "x-y"), ("<img onerror=1>", "img-onerror-1"), ("...", "run"), ([1], "run-2")):
        info = {**json.loads(files["run.json"]), "name": said}
        opened = unpack_run(build(relist({**files, "run.json": json.dumps(info).encode()})))
        assert opened.path.parent == runs_dir() and opened.name == name
