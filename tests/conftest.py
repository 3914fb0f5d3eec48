"""Fixtures that several tests share."""

import functools
import sys

import numpy as np
import pytest
from browser import browser, what_is_seen  # noqa: F401  (one for all modules: playwright starts once a process)


def pytest_collection_finish():
    """Each AppTest looks through all installed packages for components, a quarter of a second: once will do."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed browser test prints what its pages showed: elsewhere nobody can look."""
    report = yield
    if report.when == "call" and report.failed and "browser" in item.fixturenames:
        report.sections.append(("what the browser showed", what_is_seen(item.funcargs)))
    return report


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch, request):
    """Each test keeps what it makes in a folder of its own."""
    if "shared_home" not in request.fixturenames:
        monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """Streamlit puts the page's script in place of the main module and leaves it there: back after each test."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def planted():
    """A planted-truth problem (simulated), small enough for every run of the tests."""
    from planted import plant

    return plant()


@pytest.fixture(scope="session")
def planted_subject(planted):
    from factortopy.subjects.subject import Subject

    n = len(planted.hemi) // 2
    vertex = np.concatenate([np.arange(n), np.arange(n)])
    return Subject(
        planted.responses, None, planted.hemi, vertex, coords=planted.coords, name="planted", simulated=True,
        noise_ceiling=np.full(len(vertex), planted.ceiling), rois={"first half": vertex < n // 2},
    )  # fmt: skip


@pytest.fixture(scope="session")
def planted_fit(planted, planted_subject):
    """The planted problem, fitted with a few steps of the fast recipe: for tests of what an encoder is, not of how good."""
    from factortopy.encoder import fit

    return fit(planted_subject, planted.features, seed=0, steps=10)
