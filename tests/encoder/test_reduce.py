"""Principal components of tokens and what is kept of them: the cache, tokens read in place, what is no number (synthetic)."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import ROOT

import factortopy as ft
from factortopy.encoder import fast, fitting, problem, reduce
from factortopy.encoder.problem import pose
from factortopy.features.components import principal
from factortopy.features.extraction import Features


def test_principal_components_keep_what_they_say(small):
    rng, train = np.random.default_rng(0), np.arange(70)
    mix = rng.standard_normal((20, 20)) * 0.8 ** np.arange(20)[:, None]
    tokens = (rng.standard_normal((80, 4, 4, 20)) @ mix * rng.uniform(0.1, 50, 20) + 100).astype(np.float32)
    device, raw = torch.device("cpu"), torch.from_numpy(tokens).reshape(-1, 20)
    standard = (raw - raw[: 70 * 16].mean(0)) / raw[: 70 * 16].std(0)
    widths = []
    for keep in (0.8, 0.95, 0.99, 1.0):
        basis = reduce.components(tokens, train, device, 4, keep)
        scores = basis.scores(raw)
        held = scores[: 70 * 16].var(0).sum() / 20
        smallest = basis.variance[-1] / 20
        assert keep - 1e-3 <= held < keep + smallest + 1e-3  # no more components than are needed
        torch.testing.assert_close(scores[: 70 * 16].var(0), basis.variance, rtol=5e-3, atol=1e-4)
        torch.testing.assert_close(scores[: 70 * 16].mean(0), torch.zeros(len(basis.variance)), atol=2e-3, rtol=0)
        back = torch.linalg.lstsq(scores[: 70 * 16], standard[: 70 * 16]).solution  # what they tell of new pictures
        lost = (standard[70 * 16 :] - scores[70 * 16 :] @ back).square().sum() / standard[70 * 16 :].square().sum()
        assert float(lost) == pytest.approx(1 - float(held), abs=0.03)
        widths.append(len(basis.variance))
    assert widths == sorted(widths) and widths[-1] == 20 and widths[0] < 12


# ---------------------------------------------------------------- the cache of reduced tokens


@pytest.fixture
def on_disk(small, tmp_path):
    """Opens the features as memory-mapped files, as extracted ones are."""
    for kind, arrays in (("local", small.features.local), ("global", small.features.global_)):
        for l, array in enumerate(arrays):
            np.save(tmp_path / f"{kind}-{l}.npy", array)

    def load(mode="r"):
        parts = [[np.load(tmp_path / f"{k}-{l}.npy", mmap_mode=mode) for l in range(3)] for k in ("local", "global")]
        return Features.from_arrays(*parts)

    return load


def entries():
    return sorted(p for p in reduce.cache_dir("reduced").iterdir())


def reduced(features, grid=4):
    return reduce.reduced(features, grid, torch.device("cpu"))


def assert_equal_tokens(first, second):
    for some, others in zip(first, second, strict=True):
        for a, b in zip(some, others, strict=True):
            if isinstance(a, reduce.Basis):
                for name in ("matrix", "offset", "variance"):
                    torch.testing.assert_close(getattr(a, name), getattr(b, name))
            else:
                np.testing.assert_array_equal(a, b)


def test_reduced_tokens_are_made_once(on_disk, small, monkeypatch):
    first = reduced(on_disk())
    assert_equal_tokens(first, reduced(small.features))  # as without a cache
    assert all(isinstance(a, np.memmap) for a in first[0]) and len(entries()) == 1
    with monkeypatch.context() as patch:
        patch.setattr(reduce, "components", None)
        assert_equal_tokens(first, reduced(on_disk()))
    reduced(on_disk(), 2)  # another grid, other components
    assert len(entries()) == 2


def test_changed_files_are_reduced_again(on_disk, tmp_path):
    first = reduced(on_disk())
    array = np.load(tmp_path / "local-1.npy")
    np.save(tmp_path / "local-1.npy", array[::-1] * 2)
    os.utime(tmp_path / "local-1.npy", (1, 1))
    assert not np.array_equal(reduced(on_disk())[0][1], first[0][1])


def test_parts_of_files_are_told_apart(on_disk, small):
    whole = reduced(on_disk())
    for part in (slice(0, 60), slice(20, 80), slice(0, 80, 2), slice(None, None, -1)):
        assert_equal_tokens(reduced(on_disk()[part]), reduced(small.features[part]))
    rows = np.arange(80)[::-1].copy()
    assert_equal_tokens(reduced(on_disk()[rows]), reduced(small.features[rows]))
    written = on_disk("c")  # pages that differ from the file
    written.local[0][:] = written.local[0][::-1]
    assert not np.array_equal(reduced(written)[0][0], whole[0][0])
    assert_equal_tokens(reduced(on_disk()), whole)


@pytest.mark.parametrize("name", ["local-01.npy", "basis.safetensors", "done.json"])
@pytest.mark.parametrize("harm", ["missing", "empty", "half", "zeros", "folder gone", "other shape"])
def test_damaged_caches_are_made_again(on_disk, name, harm, monkeypatch):
    first = [[np.array(a) if isinstance(a, np.ndarray) else a for a in part] for part in reduced(on_disk())]
    (folder,) = entries()
    data = (folder / name).read_bytes()
    (folder / name).unlink()
    if harm == "folder gone":
        for path in folder.iterdir():
            path.unlink()
    elif harm == "other shape":
        np.save(folder / "local-01.npy", first[0][1][:40])
    elif harm != "missing":
        (folder / name).write_bytes({"empty": b"", "half": data[: len(data) // 2], "zeros": bytes(len(data))}[harm])
    assert_equal_tokens(reduced(on_disk()), first)
    assert entries() == [folder]
    with monkeypatch.context() as patch:  # and kept
        patch.setattr(reduce, "components", None)
        assert_equal_tokens(reduced(on_disk()), first)


def test_zeros_in_the_middle_of_a_cache_are_noticed(on_disk):
    first = [[np.array(a) if isinstance(a, np.ndarray) else a for a in part] for part in reduced(on_disk())]
    (folder,) = entries()
    held = np.load(folder / "local-02.npy", mmap_mode="r+")
    held[len(held) // 2 :] = 0
    held.flush()
    assert_equal_tokens(reduced(on_disk()), first)


def test_files_are_known_wherever_they_lie(on_disk, tmp_path, monkeypatch):
    first, elsewhere = reduced(on_disk()), tmp_path / "moved"
    elsewhere.mkdir()
    for path in tmp_path.glob("*.npy"):
        shutil.copy2(path, elsewhere)  # as it was written, to the nanosecond
    parts = [[np.load(elsewhere / f"{kind}-{l}.npy", mmap_mode="r") for l in range(3)] for kind in ("local", "global")]
    with monkeypatch.context() as patch:
        patch.setattr(reduce, "components", None)
        assert_equal_tokens(first, reduced(Features.from_arrays(*parts)))
    path = elsewhere / "local-1.npy"
    when, other = path.stat().st_mtime_ns, np.load(path)[::-1]
    np.save(path, other)
    os.utime(path, ns=(when, when))  # other tokens in a file that looks alike
    parts[0][1] = np.load(path, mmap_mode="r")
    assert not np.array_equal(reduced(Features.from_arrays(*parts))[0][1], first[0][1])


def test_every_split_finds_the_components_made(on_disk, small, monkeypatch):
    """Whatever the training pictures are: a further subject, a half and fewer pictures start from the same."""
    first, second = small.subject(), small.subject()
    second.split = ft.Split(*(79 - part for part in (first.split.train, first.split.val, first.split.test)))
    one = pose(first, on_disk(), 4, "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(reduce, "components", None)
        other = pose(second, on_disk(), 4, "cpu")
    for a, b in zip(one.local_basis, other.local_basis, strict=True):
        assert torch.equal(a.matrix, b.matrix)
    assert set(one.train) != set(other.train)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_token_that_is_no_number_is_found_anywhere(small, data):
    kind, layer = data.draw(st.sampled_from(["local", "global_"])), data.draw(st.integers(0, 2))
    arrays = {name: [np.array(t) for t in getattr(small.features, name)] for name in ("local", "global_")}
    place = tuple(data.draw(st.integers(0, side - 1)) for side in arrays[kind][layer].shape)
    arrays[kind][layer][place] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    with pytest.raises(ft.InputError, match=f"layer {layer + 1}: expected finite numbers, found NaN or infinity"):
        reduced(Features.from_arrays(**arrays))


def test_a_token_that_is_no_number_leaves_no_cache(on_disk, tmp_path):
    tokens = np.load(tmp_path / "local-1.npy", mmap_mode="r+")
    tokens[37, 1, 2, 3] = np.nan
    tokens.flush()
    with pytest.MonkeyPatch.context() as patch:  # not among those that settle the components
        patch.setattr(reduce, "_enough", lambda rows, layer, grid: rows[rows != 37])
        with pytest.raises(ft.InputError, match="layer 2: expected finite numbers"):
            reduced(on_disk())
    assert not entries()


def test_what_older_versions_kept_is_removed(on_disk):
    kept = reduce.cache_dir("reduced")
    older, newer = kept / "0123456789abcdef", kept / f"{reduce.FORMAT + 1}-0123456789abcdef"
    for folder in (older, newer):
        folder.mkdir()
        (folder / "done.json").write_text("{}")
    reduced(on_disk())
    assert not older.exists() and newer.exists() and len(entries()) == 2


# ---------------------------------------------------------------- more components than are kept


@pytest.fixture
def three(monkeypatch):
    """Scores on three components alone are kept; the tokens have eight."""
    for module in (reduce, problem):
        monkeypatch.setattr(module, "FEW", 3)


@pytest.mark.parametrize("model", ["factorized", "classtoken", "patchtoken", "gnetvit"])
def test_tokens_in_place_are_aligned_as_scores_are(subject, small, model, monkeypatch, request):
    """Folded into the alignment, components give what scores on all of them give; the first ones are the same numbers."""
    rows, made = np.arange(20), []
    for kept in ("all", "three"):
        if kept == "three":
            request.getfixturevalue("three")
        posed = pose(subject, small.features, 4, "cpu")
        assert posed.raw == (kept == "three") and posed.principal
        net = fitting._model(model, posed, 6, 0, True, ("space", "layer", "scale"), 1, "fast")
        with torch.no_grad():
            made.append((posed, net.pictures(posed.tokens(rows)), posed.tokens(rows, few=True)))
    (whole, rows_whole, few_whole), (part, rows_part, few_part) = made
    assert part.local[0] is small.features.local[0] and part.few[0][0].shape[-1] == 3
    torch.testing.assert_close(rows_part, rows_whole, rtol=5e-3, atol=5e-3)  # scores were rounded to half precision
    for a, b in zip([*few_whole[0], *few_whole[1]], [*few_part[0], *few_part[1]], strict=True):
        torch.testing.assert_close(a[..., :3], b, rtol=2e-3, atol=2e-3)


def test_few_components_are_the_first_rows_of_the_alignment(subject, small, three):
    posed = pose(subject, small.features, 4, "cpu")
    net = fitting._model("factorized", posed, 6, 0, True, ("space", "layer", "scale"), 1, "fast")
    with torch.no_grad():
        for kind in (net.local, net.global_):
            for weight in kind.weight:
                weight[3:] = 0
        short, long = (
            net.pictures(posed.tokens(np.arange(9), few=True), few=True),
            net.pictures(posed.tokens(np.arange(9))),
        )
    torch.testing.assert_close(short, long, rtol=5e-3, atol=5e-3)


@pytest.mark.usefixtures("single_precision")
def test_a_fit_on_tokens_in_place_is_that_on_scores(subject, small, monkeypatch, request):
    monkeypatch.setattr(fast, "start", lambda *rest: None)  # which sees no more than the first components
    whole = ft.fit(subject, small.features, steps=6, grid=4).selectors()
    request.getfixturevalue("three")
    part = ft.fit(subject, small.features, steps=6, grid=4).selectors()
    for name in ("space", "layer", "scale", "channel"):
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name), rtol=0.05, atol=0.02, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(
    channels=st.integers(1, 9), components=st.integers(1, 9), far=st.sampled_from([0.0, 1.0, 1e3]),
    scaled=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_centred_tokens_say_what_scores_say(channels, components, far, scaled, seed):
    """Maps of centred tokens, of scores and of raw tokens are one, wherever the channels' mean lies."""
    rng = torch.Generator().manual_seed(seed)
    tokens = torch.randn(400, channels, generator=rng, dtype=torch.float64) * (1 + torch.arange(channels)) + far
    basis = principal(
        *(t.float() for t in (tokens.mean(0), torch.cov(tokens.T, correction=0).reshape(channels, -1))), most=components
    )
    if scaled:
        scale = 1 / tokens.std(0).float()
        basis = reduce.Basis(scale, -tokens.mean(0).float() * scale, torch.ones(channels))
    weight = torch.randn(len(basis.variance), 3, generator=rng)
    centred = basis.centred(tokens.float()) @ basis.of_centred(weight)
    matrix, offset = basis.to_raw(weight)
    bound = {"rtol": 1e-4, "atol": 1e-4 * (1 + far)}
    torch.testing.assert_close(centred, basis.scores(tokens.float()) @ weight, **bound)
    torch.testing.assert_close(centred, tokens.float() @ matrix + offset, **bound)
    exact = (tokens - tokens.mean(0)) @ (basis.of_centred(weight).double() * (basis.matrix[:, None] if scaled else 1))
    torch.testing.assert_close(centred.double(), exact, rtol=1e-3, atol=1e-3 + 1e-6 * far)


# ---------------------------------------------------------------- killed processes, full disks


KILLED = """
import os, sys
import numpy as np, torch
from factortopy.encoder import reduce
from factortopy.features.components import principal
from factortopy.features.extraction import Features

reduce._finish = lambda *rest: os.kill(os.getpid(), 9)
names = [[f"{sys.argv[1]}/{kind}-{l}.npy" for l in range(3)] for kind in ("local", "global")]
features = Features.from_arrays(*([np.load(name, mmap_mode="r") for name in part] for part in names))
reduce.reduced(features, 4, torch.device("cpu"))
"""


def test_what_killed_processes_left_is_removed(on_disk, tmp_path):
    result = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, timeout=60)
    assert result.returncode == -9
    (left,) = entries()
    assert left.suffix == ".part"
    os.utime(left, (1, 1))  # long ago: one that was written to today may still be written to
    reduced(on_disk())
    (folder,) = entries()
    assert (folder / "done.json").exists()


def test_a_full_disk_is_said(on_disk, monkeypatch):
    def full(*rest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ft.InputError, match="No space left on device.*free space") as caught:
        reduced(on_disk())
    assert "\n" not in str(caught.value) and not entries()
