"""Every sample of README and docs runs: Python blocks of a page in order, in one namespace, and the command lines between."""

import contextlib
import io
import os
from functools import partial

import numpy as np
import pytest
from doc_samples import PAGES, ROOT, arguments, flags, samples, unknown_names

from factortopy.cli.main import main, parser
from factortopy.subjects.subject import Subject

WITH_SAMPLES = {page.relative_to(ROOT).as_posix(): found for page in PAGES if (found := samples(page))}
QUICK = {
    "docs/tutorial.md", "docs/your_data.md", "docs/folder.md", "docs/formats.md", "docs/teach.md",
}  # fmt: skip
PICTURES, EVERY, STEPS = 60, 6, 3


def test_the_collector_finds_what_is_there():
    kinds = {sample.kind for found in WITH_SAMPLES.values() for sample in found}
    assert kinds == {"python", "shell"} and len(WITH_SAMPLES) > 8
    assert set(WITH_SAMPLES) >= QUICK | {"README.md", "docs/lab.md", "docs/nsd.md"}
    assert any(sample.mark for sample in WITH_SAMPLES["docs/nsd.md"])
    wrong = unknown_names("import factortopy as ft\nft.fitt(1)\nft.load_subject('demo', densty='10k')")
    assert sorted(wrong) == ["ft.fitt", "ft.load_subject(densty=)"]


@pytest.mark.parametrize("page", WITH_SAMPLES)
def test_names_and_flags_exist(page):
    verbs = next(action for action in parser()._actions if action.dest == "verb").choices
    for sample in WITH_SAMPLES[page]:
        where = f"{page}:{sample.line}"
        if sample.kind == "python":
            compile(sample.text, where, "exec")
            assert unknown_names(sample.text) == [], where
        for line in sample.lines:
            verb, used = flags(line)
            assert verb in verbs, where
            assert used <= set(verbs[verb]._option_string_actions), where
            words = arguments(line)
            if words is not None:
                try:
                    with contextlib.redirect_stderr(io.StringIO()) as said:
                        parser().parse_args(words)
                except SystemExit:
                    pytest.fail(f"{where}: {line}: {said.getvalue()}")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("doc-home")


@pytest.fixture
def small(home, tmp_path, monkeypatch):
    """A demo subject of 60 pictures and 359 vertices, fits of three steps, an empty folder to work in."""
    from factortopy.encoder import fitting
    from factortopy.subjects import demo

    def few(number=1, whole=demo.load_demo):
        s = whole(number, PICTURES)
        pick = slice(None, None, EVERY)
        per_vertex = ({k: v[pick] for k, v in found.items()} for found in (s.rois, s.maps))
        rois, maps = per_vertex
        return Subject(
            s.responses[:, pick], s.images, s.hemi[pick], s.vertex[pick], rois=rois, maps=maps, name=s.name,
            noise_ceiling=s.noise_ceiling[pick], simulated=True, density=s.density, image_degrees=s.image_degrees,
        )  # fmt: skip

    monkeypatch.setenv("FACTORTOPY_HOME", str(home))
    monkeypatch.setattr(demo, "load_demo", few)
    monkeypatch.setitem(fitting.SOLVERS, "fast", (fitting.FastFit, partial(fitting.FastSettings, steps=STEPS)))
    work = tmp_path / "work"
    work.mkdir()
    (work / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(work)
    return work


def given(page):
    """What a page takes as given, because it is the reader's own."""
    rng, n = np.random.default_rng(0), 24
    if page in ("docs/your_data.md", "docs/folder.md"):
        hemi = np.repeat([0, 1], n // 2)
        out = {
            "responses": rng.standard_normal((30, n)).astype(np.float32), "hemi": hemi,
            "images": rng.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8), "vertex": np.tile(np.arange(n // 2), 2),
            "v1": np.arange(n) < 6, "session": np.repeat([1, 2], 15), "ceiling": np.full(n, 0.5), "np": np,
            "local": [rng.standard_normal((30, 4, 4, 3)) for _ in range(2)],
            "global_": [rng.standard_normal((30, 3)) for _ in range(2)],
            "mask_left": np.arange(10242) < n // 2,
        }  # fmt: skip
        return out | {"betas_left": out["responses"][:, : n // 2]}
    return {}


def walk(page, work):
    """Run a page's samples as a reader would."""
    namespace = given(page) | {"__name__": "sample"}
    for sample in WITH_SAMPLES[page]:
        if sample.mark:
            continue
        where = f"{page}:{sample.line}"
        if sample.kind == "python":
            exec(compile("\n" * sample.line + sample.text, str(ROOT / page), "exec"), namespace)  # noqa: S102
            continue
        for line in sample.lines:
            words = arguments(line)
            if words is not None:
                assert main(words) == 0, f"{where}: {line}"
    return namespace


@pytest.mark.parametrize(
    "page",
    [p if p in QUICK else pytest.param(p, marks=[pytest.mark.slow, pytest.mark.timeout(1500)]) for p in WITH_SAMPLES],
)
def test_samples_run(page, small):
    namespace = walk(page, small)
    if page == "docs/tutorial.md":
        assert namespace["score"].shape == namespace["painted"].shape == (namespace["encoder"].n_vertices,)
        assert (small / "layer_simulated.png").stat().st_size > 10_000 and "simulated" in " ".join(
            os.listdir("take-away")
        )
    if page == "docs/sklearn.md":
        assert namespace["scores"].shape == (3,) and np.isfinite(namespace["scores"]).all()
    if page == "docs/figure.md":
        assert namespace["score"].shape == (10242,)
