"""fsaverage's surfaces beside a data set: drawn, used for the encoder's coordinates, remembered, and left out when damaged."""

import shutil

import numpy as np
import pytest
from nibabel import freesurfer
from plain_folder import make_folder
from surf_files import nothing_installed, write_surf  # noqa: F401

from factortopy import surfaces
from factortopy.subjects.loading import load_subject
from factortopy.subjects.subset import fewer_pictures
from factortopy.surfaces import meshes

SURF = "nsddata/freesurfer/fsaverage/surf"


@pytest.fixture(scope="module")
def surf(tmp_path_factory):
    """A made-up fsaverage6."""
    folder = write_surf(tmp_path_factory.mktemp("surf") / "fsaverage6" / "surf", "41k", patch=False)
    for side in ("lh", "rh"):  # longer than the preview, as no real one is
        coords, faces = freesurfer.read_geometry(folder / f"{side}.inflated")
        freesurfer.write_geometry(folder / f"{side}.inflated", coords * (1, 1.2, 1), faces)
    return folder


@pytest.fixture
def folder(surf, tmp_path):
    folder = make_folder(tmp_path, trials=60, density="41k")
    shutil.copytree(surf, folder / "fsaverage6" / "surf")
    return folder


def test_used_for_drawing_and_for_the_encoder(folder):
    assert meshes.load_mesh("41k").preview and meshes.remembered() == []
    subject = load_subject(folder)
    place = str(folder / "fsaverage6" / "surf")
    assert subject.surface == place and meshes.remembered() == [place]
    assert any(place in note for note in subject.remarks)
    mesh = meshes.load_mesh("41k")  # whoever draws, now and after a restart
    assert not mesh.preview and place in mesh.source
    inflated = [freesurfer.read_geometry(f"{place}/{side}.inflated")[0] for side in ("lh", "rh")]
    apart = surfaces.apart(np.concatenate(inflated), 40962)
    low = apart.min(0)
    expected = (apart - low) * (100 / (apart.max(0) - low).max())
    rows = subject.vertices.rows
    np.testing.assert_allclose(subject.coords, expected[rows], atol=1e-3)
    assert np.abs(subject.coords - subject.vertices.coords()).max() > 1
    np.testing.assert_array_equal(fewer_pictures(subject, 20).coords, subject.coords)
    assert load_subject(folder, density="10k").surface is None


def test_gone_again_means_a_preview(folder):
    load_subject(folder)
    shutil.rmtree(folder / "fsaverage6")
    assert meshes.load_mesh("41k").preview and load_subject(folder).surface is None


def test_damaged_surfaces_are_left_out_with_a_warning(folder):
    path = folder / "fsaverage6" / "surf" / "rh.pial"
    path.write_bytes(path.read_bytes()[:5000])
    subject = load_subject(folder)
    assert subject.surface is None and meshes.remembered() == [] and meshes.load_mesh("41k").preview
    (warning,) = [problem.line() for problem in subject.warnings if "rh.pial" in problem.line()]
    assert "preview" in warning


def test_damaged_after_it_was_remembered(folder):
    load_subject(folder)
    path = folder / "fsaverage6" / "surf" / "rh.sulc"
    path.write_bytes(path.read_bytes()[:500])
    assert meshes.load_mesh("41k").preview


def test_a_resumed_run_keeps_its_coordinates(folder, tmp_path):
    from factortopy.errors import InputError
    from factortopy.runs.training import train_run

    asked = {"subject": str(folder), "backbone": "demo-vit", "steps": 4, "seed": 0}
    run = train_run(
        tmp_path / "run", **asked, on_progress=lambda progress: progress["stage"] != "fit" or progress["step"] < 2
    )
    assert run.status == "stopped" and run.info["surface"] == str(folder / "fsaverage6" / "surf")
    shutil.move(folder / "fsaverage6", tmp_path / "away")
    with pytest.raises(InputError, match="coordinates"):
        train_run(tmp_path / "run", resume=True)
    shutil.move(tmp_path / "away", folder / "fsaverage6")
    assert train_run(tmp_path / "run", resume=True).status == "finished"


def test_where_it_is_looked_for(surf, tmp_path):
    assert meshes.surfaces_in(tmp_path, "41k") is None
    for below in ("fsaverage6/surf", "freesurfer/fsaverage6/surf", "nsddata/freesurfer/fsaverage6/surf"):
        root = tmp_path / below.replace("/", "-")
        shutil.copytree(surf, root / below)
        assert meshes.surfaces_in(root, "41k") == root / below and meshes.surfaces_in(root, "164k") is None
    own = tmp_path / "own"  # a person's own surface is not taken
    shutil.copytree(surf, own / "surf")
    assert meshes.surfaces_in(own, "41k") is None


def test_a_damaged_registry_is_written_anew(folder):
    from factortopy.storage.home import home

    (home() / "fsaverage.json").write_text("[1")
    assert meshes.remembered() == []
    load_subject(folder)
    assert len(meshes.remembered()) == 1


@pytest.mark.slow
def test_nsds_own_surfaces(tmp_path):
    from nsd_folder import make_nsd

    root = make_nsd(tmp_path / "nsd")
    write_surf(root / SURF, "164k")
    subject = load_subject(root)
    assert subject.surface == str(root / SURF) and not meshes.load_mesh("164k").preview
    assert load_subject(root, density="41k").surface == str(root / SURF)  # cut to its first vertices
