"""Names from outside are bounded before they become a path, and every look-up may find nothing."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.errors import InputError
from factortopy.storage.names import any_script, as_path, file_stem, is_inside, is_there

HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "/",
    "/etc",
    "a/../../b",
    "x" * 300,
    "a/" * 3000,
    "\0",
    "\ud800",
    "C:x",
    "a\\b",
    "~nobodyatall/x",
]
RESERVED = ["con", "NUL", "com1", "Lpt9", "aux"]
NAMES = st.one_of(st.text(max_size=400), st.sampled_from(HOSTILE + RESERVED))
PROPERTY = settings(max_examples=200, deadline=None, derandomize=True)


@PROPERTY
@given(words=NAMES, longest=st.integers(10, 120))
def test_stems_are_plain_short_and_one_part(words, longest):
    for name in (file_stem(words, longest, also="_.+="), file_stem(words, longest), any_script(words, longest)):
        assert name and name.lower() not in RESERVED and name[0] != "." and name == os.path.basename(name)
        assert len(name.encode()) <= 255 and len(name) <= longest + 1
    assert file_stem(words, longest).isascii()


def test_long_names_stay_different():
    a, b = (file_stem("x" * 200 + end) for end in "ab")
    assert a != b and len(a) == len(b) == 100 and file_stem("demo-1_demo-vit") == "demo-1_demo-vit"
    assert any_script("Küche / Ost: 1") == "Küche - Ost- 1"


@PROPERTY
@given(name=NAMES)
def test_a_relative_name_never_leaves_its_folder(name):
    there = is_there("/tmp", name)
    assert not there or (is_inside(name) and os.path.abspath(f"/tmp/{name}").startswith("/tmp"))


@pytest.mark.parametrize("name", HOSTILE[7:11] + HOSTILE[13:])
def test_what_is_no_path_is_one_line(name):
    with pytest.raises(InputError) as error:
        as_path(name, "sweep")
    assert "expected a path" in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("name", [n for n in HOSTILE if n not in ("", ".", "..", "/", "/etc", "\0")] + ["con"])
def test_ways_in_refuse_names_in_one_line(name, tmp_path, monkeypatch):
    from factortopy.backbones import load_backbone
    from factortopy.backbones.weights import read_weights
    from factortopy.cli.finished_runs import finished_run
    from factortopy.experiments.protocol import read_protocol
    from factortopy.formats.tables import read_table
    from factortopy.jobs.job import find
    from factortopy.runs.run import find_run
    from factortopy.storage.files import read_json, read_tensors
    from factortopy.subjects.loading import load_subject
    from factortopy.sweeps.folder import read

    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    ways = (
        lambda n: read_weights(n, "a network"), finished_run, read_protocol, read_table, find, find_run, read_json, read_tensors,
        load_subject, read, lambda n: find(f"jobs/{n}"), lambda n: load_backbone(f"finetuned/{n}"),
    )  # fmt: skip
    for way in ways:
        with pytest.raises(InputError) as error:
            way(name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["x" * 300, "a/" * 3000, "\0", "\ud800", "/gone", None])
@pytest.mark.parametrize("job", [None, "12_3"])
def test_a_sweep_whose_runs_are_gone_or_nowhere(place, job, tmp_path, monkeypatch):
    from factortopy import sweeps
    from factortopy.sweeps.folder import make, read

    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path / "home"))
    sweep = make({"subject": ["demo-1"], "backbone": ["demo-vit"], "seed": [0, 1]}, out=tmp_path / "s")
    content = json.loads((sweep.path / "sweep.json").read_text())
    content["runs"][0] |= {"path": place, "job": job}
    (sweep.path / "sweep.json").write_text(json.dumps(content))
    table = sweeps.rows(read(sweep.path))
    assert table[0]["status"] == ("deleted" if place else "planned") and table[1]["status"] == "planned"
