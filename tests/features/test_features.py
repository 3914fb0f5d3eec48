"""Features: what is cached, what is computed again, what survives a stop, a kill, a full disk, a second process."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections import namedtuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_network import SmallNetwork, pictures
from trials import ROOT, environment, wait_for

from factortopy.encoder.reduce import on_grid
from factortopy.errors import InputError
from factortopy.features import filling
from factortopy.features.extraction import Features, compute, extract
from factortopy.storage.home import cache_dir


def same(found, expected):
    """Assert that two Features hold the same numbers."""
    assert found.layer_names == expected.layer_names and len(found) == len(expected)
    for kind in ("local", "global_"):
        for a, b in zip(getattr(found, kind), getattr(expected, kind), strict=True):
            assert a.dtype == np.float16
            np.testing.assert_array_equal(a, b)


def folders():
    """Folders of the feature cache."""
    return [path for path in cache_dir("features").iterdir() if path.is_dir()]


# ---------------------------------------------------------------- tokens


def test_pooling_equals_torch():
    network, images = SmallNetwork(sides=(16, 4)), pictures(5, 16)
    found = compute(network, images, grid=8)
    local, token = network.tokens(images)
    for l in range(2):
        expected = F.interpolate(local[l].permute(0, 3, 1, 2), (8, 8), mode="bilinear", antialias=True)
        assert found.local[l].shape == (5, 8, 8, local[l].shape[-1])
        np.testing.assert_allclose(found.local[l], expected.permute(0, 2, 3, 1).numpy(), rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(found.global_[l], token[l].half().numpy())


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.integers(1, 20), st.integers(1, 12), st.integers(1, 3))
def test_grid_keeps_constants_range_and_mirrors(side, grid, channels):
    rng = np.random.default_rng(side * 100 + grid)
    tokens = rng.standard_normal((3, side, side, channels)).astype(np.float16)
    pooled = on_grid(tokens, grid).numpy().reshape(3, grid, grid, channels)
    np.testing.assert_allclose(on_grid(np.full_like(tokens, 0.5), grid), 0.5, rtol=2e-3)
    mirrored = on_grid(tokens[:, ::-1, ::-1].copy(), grid).numpy().reshape(pooled.shape)
    np.testing.assert_allclose(mirrored, pooled[:, ::-1, ::-1], atol=4e-3)
    assert pooled.min() >= tokens.min() - 4e-3 and pooled.max() <= tokens.max() + 4e-3  # averages, no overshoot
    if side == grid:
        np.testing.assert_array_equal(pooled, tokens)


def test_pooled_when_extracted_or_when_fitted_is_the_same():
    network, images = SmallNetwork(sides=(16, 4)), pictures(7)
    early, late = compute(network, images, grid=8), compute(network, images, grid=None)
    assert late.local[0].shape == (7, 16, 16, 3) and late.local[1].shape == (7, 4, 4, 6)
    for a, b in zip(early.local, late.local, strict=True):
        np.testing.assert_allclose(a.reshape(7, 64, -1), on_grid(b, 8), atol=1e-3)


def test_pictures_of_different_sizes_and_kinds(tmp_path):
    images = [*pictures(3, 16), *pictures(2, 24, 1), *pictures(1, 16, 2), *pictures(34, 24, 3)]
    whole = compute(SmallNetwork(), images)
    for i in (0, 3, 5, 39):
        same(whole[i : i + 1], compute(SmallNetwork(), images[i]))
    Image.fromarray(images[4]).save(tmp_path / "a.png")
    for other in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(images[4])):
        same(compute(SmallNetwork(), [other]), whole[4:5])
        same(compute(SmallNetwork(), other), whole[4:5])  # a single one needs no list
    with pytest.raises(InputError, match="at least one"):
        compute(SmallNetwork(), [])


@pytest.mark.parametrize(
    "bad", [np.zeros((16, 16, 3), np.float32), np.zeros((16, 16), np.uint8), np.zeros((16, 16, 4), np.uint8)]
)
def test_arrays_that_are_no_pictures_are_refused(bad):
    with pytest.raises(InputError, match="read_image"):
        compute(SmallNetwork(), [bad])


@pytest.mark.parametrize("run", [compute, extract])
@pytest.mark.parametrize("gain", [1e9, float("nan")])
def test_tokens_beyond_half_precision_are_named(run, gain):
    with pytest.raises(InputError, match="small, layer fine.*half precision") as caught:
        run(SmallNetwork(gain), pictures(3))
    assert "\n" not in str(caught.value)


def test_the_caller_keeps_its_gradients():
    made = []

    def look(done, total):
        made.append((torch.ones(1, requires_grad=True) * 2).requires_grad)

    extract(SmallNetwork(), pictures(3), on_progress=look)
    assert made == [True]


# ---------------------------------------------------------------- the cache


def test_what_is_cached_is_not_computed_again():
    network, images = SmallNetwork(), pictures(40)
    first = extract(network, images)
    assert network.pictures == 41  # one more tells the sizes
    again = extract(network, [np.array(image) for image in images])
    assert network.pictures == 41
    same(again, first)
    same(first, compute(SmallNetwork(), images))
    assert isinstance(again.local[0], np.memmap) and not again.local[0].flags.writeable
    assert (again.backbone, again.trained, again.layer_names) == ("small", True, ["fine", "coarse"])


def test_whatever_changes_the_tokens_is_computed_anew():
    images = pictures(6)
    extract(SmallNetwork(), images)
    changed = images.copy()
    changed[5, 3, 3, 0] ^= 1
    cases = {
        "another picture": (SmallNetwork(), changed, 8),
        "other weights": (SmallNetwork(2.0), images, 8),
        "another order": (SmallNetwork(), images[::-1], 8),
        "another grid": (SmallNetwork(), images, 4),
        "fewer": (SmallNetwork(), images[:5], 8),
        "another shape": (SmallNetwork(), [i.reshape(8, 32, 3) for i in images], 8),
    }
    for name, (network, given_, grid) in cases.items():
        found = extract(network, given_, grid=grid)
        assert network.calls, name
        same(found, compute(network, given_, grid))
    assert len(folders()) == 1 + len(cases)


def test_files_count_by_their_content(tmp_path):
    images, paths = pictures(4), []
    for i, image in enumerate(images):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
    network = SmallNetwork()
    first = extract(network, paths)
    moved = tmp_path / "moved"
    moved.mkdir()
    same(extract(SmallNetwork(), [shutil.copy(path, moved) for path in paths]), first)
    assert len(folders()) == 1
    Image.fromarray(images[0]).save(paths[1])
    same(extract(network, paths), compute(network, images[[0, 0, 2, 3]]))
    paths[2].unlink()
    with pytest.raises(InputError, match="2.png"):
        extract(network, paths)


def test_without_the_cache_nothing_is_kept():
    extract(SmallNetwork(), pictures(3), cache=False)
    assert not folders()
    with pytest.raises(InputError, match="at least one"):
        extract(SmallNetwork(), [])


# ---------------------------------------------------------------- stopped, killed, damaged


def test_a_stopped_extraction_resumes_to_the_same_features():
    images = [*pictures(50, 16), *pictures(50, 24, 1)]
    seen, network = [], SmallNetwork()

    def stop(done, total):
        seen.append((done, total))
        return done < 60

    assert extract(network, images, on_progress=stop) is None
    assert seen == [(32, 100), (50, 100), (82, 100)]
    network = SmallNetwork()
    same(extract(network, images, on_progress=lambda done, total: seen.append(done)), compute(SmallNetwork(), images))
    assert network.pictures == 1 + 18 and seen[-1] == 100


def test_a_stop_at_the_last_picture_is_no_stop():
    found = extract(SmallNetwork(), pictures(5), on_progress=lambda done, total: False)
    assert len(found) == 5


KILLED = """
import os, signal, sys
from factortopy.features.extraction import extract
from small_network import SmallNetwork, pictures
def on_progress(done, total):
    if done >= int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
extract(SmallNetwork(), pictures(2300, 8), on_progress)
"""


@pytest.mark.parametrize("killed_at, kept", [(500, 0), (1500, 1024)])
def test_a_killed_extraction_is_never_taken_for_whole(killed_at, kept):
    process = subprocess.run([sys.executable, "-c", KILLED, str(killed_at)], env=helper_environment(), timeout=60)
    assert process.returncode == -9
    (folder,) = folders()
    assert (folder / "local-00.npy").exists() and not (folder / "done.json").exists()
    if (folder / "progress.json").exists():  # a slow machine keeps more: it marks every ten seconds as well
        marked = json.loads((folder / "progress.json").read_text())["done"]
        assert kept <= marked < killed_at + 64
        kept = marked
    network, images = SmallNetwork(), pictures(2300, 8)
    same(extract(network, images), compute(SmallNetwork(), images))
    assert network.pictures == 1 + 2300 - kept


def helper_environment():
    found = environment()
    return found | {"PYTHONPATH": os.pathsep.join([found["PYTHONPATH"], str(ROOT / "tests" / "helpers")])}


def test_a_kill_while_files_are_made_starts_from_the_beginning():
    images = pictures(40)
    first = extract(SmallNetwork(), images)
    (folder,) = folders()
    expected = [np.array(a) for a in first.local]
    (folder / "done.json").unlink()
    (folder / "progress.json").unlink()
    (folder / "global-01.npy").unlink()
    (folder / "local-00.npy").write_bytes(b"\x93NUMPY")
    network = SmallNetwork()
    found = extract(network, images)
    assert network.pictures == 41
    np.testing.assert_array_equal(found.local[0], expected[0])


@pytest.mark.parametrize("harm", ["cut", "empty", "gone"])
def test_damaged_features_are_made_again(harm):
    images = pictures(40)
    expected = compute(SmallNetwork(), images)
    extract(SmallNetwork(), images)
    path = folders()[0] / "local-01.npy"
    data = path.read_bytes()
    path.unlink()
    if harm != "gone":
        path.write_bytes(data[: len(data) // 2] if harm == "cut" else b"")
    same(extract(SmallNetwork(), images), expected)


def test_a_torn_progress_file_starts_from_the_beginning():
    images = pictures(100)
    extract(SmallNetwork(), images, on_progress=lambda done, total: done < 64)
    (folder,) = folders()
    assert json.loads((folder / "progress.json").read_text()) == {"done": 64}
    (folder / "progress.json").write_text('{"done"')
    network = SmallNetwork()
    same(extract(network, images), compute(SmallNetwork(), images))
    assert network.pictures == 101


# ---------------------------------------------------------------- a full disk

Usage = namedtuple("Usage", "total used free")


def test_too_little_space_is_said_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(filling.shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 30_000))
    network = SmallNetwork()
    with pytest.raises(InputError, match=r"need 0\.2 MB, 0\.0 MB are free.*FACTORTOPY_HOME") as caught:
        extract(network, pictures(200))
    assert "\n" not in str(caught.value) and network.pictures == 1 and not folders()


def test_a_disk_that_cannot_hold_them_is_said():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(InputError, match="0.2 MB.*FACTORTOPY_HOME") as caught:
            extract(SmallNetwork(), pictures(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value) and not folders()
    assert len(extract(SmallNetwork(), pictures(200))) == 200  # with space it works


def test_space_is_taken_at_the_start():
    """A file with holes would kill the process (SIGBUS) when the disk fills up in the middle."""
    extract(SmallNetwork(), pictures(2000, 8), on_progress=lambda done, total: False)
    for path in folders()[0].glob("*.npy"):
        status = path.stat()
        assert status.st_blocks * 512 >= status.st_size


# ---------------------------------------------------------------- two at once

TOGETHER = """
import hashlib, sys, time
import numpy as np
from factortopy.features.extraction import extract
from small_network import SmallNetwork, pictures
network, images = SmallNetwork(), pictures(600, 8)
print("ready", flush=True)
sys.stdin.readline()
found = extract(network, images, on_progress=lambda done, total: time.sleep(0.03))
digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in (*found.local, *found.global_)))
print(network.pictures, digest.hexdigest(), flush=True)
"""


def test_two_processes_extract_once_and_agree():
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    pair = [subprocess.Popen([sys.executable, "-c", TOGETHER], env=helper_environment(), **streams) for _ in range(2)]
    for process in pair:
        assert process.stdout.readline() == "ready\n"
    for process in pair:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60)[0].split() for process in pair]
    assert sorted(int(count) for count, _ in results) == [0, 601]
    expected = compute(SmallNetwork(), pictures(600, 8))
    digest = hashlib.sha256(b"".join(a.tobytes() for a in (*expected.local, *expected.global_))).hexdigest()
    assert {found for _, found in results} == {digest}


def test_one_who_waits_for_another_sees_progress_and_can_leave():
    images, go_on, seen = pictures(100), threading.Event(), []

    def slow(done, total):
        go_on.wait(10)

    first = threading.Thread(target=extract, args=(SmallNetwork(), images, slow))
    first.start()
    wait_for(lambda: folders())
    network = SmallNetwork()

    def leave(done, total):
        seen.append((done, total))
        return len(seen) < 2

    assert extract(network, images, on_progress=leave) is None
    assert seen == [(0, 100)] * 2 and network.pictures == 0
    go_on.set()
    first.join()
    same(extract(network, images), compute(SmallNetwork(), images))
    assert network.pictures == 0  # read from the cache


# ---------------------------------------------------------------- Features themselves


def made(n=5, layers=2):
    rng = np.random.default_rng(0)
    local = [rng.standard_normal((n, 4, 4, 3 + l)) for l in range(layers)]
    return Features.from_arrays(local, [t.mean((1, 2)) for t in local])


def test_rows_can_be_chosen_in_every_way():
    whole = extract(SmallNetwork(), pictures(6))
    whole.weights, whole.trained, whole.drawings_only = "untrained", False, True
    for rows, n in ((slice(1, 4), 3), (np.array([5, 0, 0]), 3), (np.arange(6) > 3, 2), (2, 1), (np.int64(2), 1)):
        part = whole[rows]
        assert len(part) == n and part.layer_names == whole.layer_names
        assert (part.backbone, part.weights, part.trained, part.drawings_only) == ("small", "untrained", False, True)
        np.testing.assert_array_equal(part.local[1], whole.local[1][np.atleast_1d(np.arange(6)[rows])])
        np.testing.assert_array_equal(part.global_[0], whole.global_[0][np.atleast_1d(np.arange(6)[rows])])


def test_features_of_ones_own():
    found = made()
    assert len(found) == 5 and found.layer_names == ["layer 1", "layer 2"] and found.backbone == ""
    named = Features.from_arrays(found.local, found.global_, ["a", "b"])
    assert named.layer_names == ["a", "b"]


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f: (f.local[:1], f.global_, None), "1 and 2"),
        (lambda f: ([], [], None), "at least one"),
        (lambda f: (f.local, f.global_, ["a"]), "1 layer names for 2"),
        (lambda f: ([f.local[0], f.local[1][:3]], f.global_, None), "layer 2"),
        (lambda f: (f.local, [f.global_[0][:2], f.global_[1]], None), "layer 1"),
        (lambda f: ([t.reshape(5, 16, -1) for t in f.local], f.global_, None), "layer 1"),
        (lambda f: (f.local, [t[:, None] for t in f.global_], None), "layer 1"),
    ],
)
def test_features_that_do_not_belong_together_are_refused(change, words):
    with pytest.raises(InputError, match=words) as caught:
        Features.from_arrays(*change(made()))
    assert "\n" not in str(caught.value)
