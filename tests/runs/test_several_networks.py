"""``extract`` of several networks on the command line: one pass, one that cannot be had stops no other."""

import pytest
from tiny_here import run_here, tiny  # noqa: F401  (a fixture)

from factortopy.errors import InputError
from factortopy.runs import extraction
from factortopy.runs.extraction import WrongRequest, extract_features, extract_networks

TINY = {"subject": "tiny", "backbone": "tiny-net"}


def test_names_with_commas(tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_HOLD", str(tmp_path / "none"))
    done = run_here("extract", "--subject", "tiny", "--backbone", "tiny-net, tiny-held")
    assert done.returncode == 0 and done.stderr == ""
    for name in ("tiny-net", "tiny-held"):
        assert f"{name}, before it starts: 60 pictures: about" in done.stdout
        assert f"{name} on tiny: 60 pictures, 3 layers, on disk" in done.stdout


@pytest.mark.parametrize("words", [("tiny-net,",), ("tiny-net,demo-vit", "--weights", "w.safetensors")])
def test_lists_that_make_no_sense(words):
    done = run_here("extract", "--subject", "tiny", "--backbone", *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--backbone tiny-net," in done.stderr


@pytest.mark.parametrize("together", [4e9, 0.5])
def test_one_that_cannot_be_had_stops_no_other(tiny, monkeypatch, together):  # noqa: F811
    monkeypatch.setattr(extraction, "TOGETHER", together)
    monkeypatch.setattr(extraction, "_weight", lambda backbone: 1.0)
    got = []
    with pytest.raises(InputError, match="no-such.*; .*nor-this"):
        for subject, backbone, features in extract_networks(TINY, ["no-such", "tiny-net", "nor-this", "tiny-net"]):
            got.append((subject.name, backbone.name, len(features)))
    assert got == [("tiny", "tiny-net", 60)] * 2


def test_one_alone_as_before(tiny):  # noqa: F811
    subject, backbone, features = extract_features(TINY | {"layers": [2, 0]})
    assert (subject.name, backbone.name, features.layer_names) == ("tiny", "tiny-net", ["three", "one"])
    with pytest.raises(WrongRequest, match="no-such"):
        extract_features(TINY | {"backbone": "no-such"})


def test_precision_is_a_setting_of_its_own(tiny):  # noqa: F811
    _, backbone, exact = extract_features(TINY)
    _, _, mixed = extract_features(TINY | {"precision": "bfloat16"})
    assert exact.local[0].filename != mixed.local[0].filename
    with pytest.raises(InputError, match="expected one of float32, float16, bfloat16, found 'bfloat17'"):
        extract_features(TINY | {"precision": "bfloat17"})
