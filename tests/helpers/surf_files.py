"""FreeSurfer's surface files, written for tests; nothing installed is looked at."""

import struct

import nibabel.freesurfer as freesurfer
import numpy as np
import pytest

from factortopy.surfaces import meshes

N = meshes.N_VERTICES


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    """No mesh on this machine but those that a test puts there."""
    for name in ("FACTORTOPY_FSAVERAGE", "SUBJECTS_DIR", "NILEARN_SHARED_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path / "nilearn"))
    monkeypatch.setenv("HOME", str(tmp_path))


def write_patch(path, rows, coords):
    with open(path, "wb") as file:
        file.write(struct.pack(">ii", -1, len(rows)))
        records = np.empty(len(rows), dtype=[("vertex", ">i4"), ("xyz", ">f4", 3)])
        records["vertex"] = np.where(np.arange(len(rows)) % 7 == 0, -(rows + 1), rows + 1)  # some on the border
        records["xyz"] = coords
        file.write(records.tobytes())


def write_surf(folder, density, patch=True):
    coords, mesh = moved(density)
    folder.mkdir(parents=True)
    n, faces = mesh.n, mesh.faces[: half(density)]
    for k, side in enumerate(("lh", "rh")):
        rows = slice(k * n, (k + 1) * n)
        for kind in ("white", "pial", "inflated", "sphere"):
            freesurfer.write_geometry(folder / f"{side}.{kind}", coords[kind][rows], faces)
        freesurfer.write_morph_data(folder / f"{side}.sulc", mesh.sulc[rows])
        if patch:
            used = np.unique(mesh.flat_faces[mesh.flat_faces[:, 0] // n == k]) - k * n
            write_patch(folder / f"{side}.cortex.patch.flat", used, 2 * coords["flat"][rows][used])
    return folder


def half(density):
    """Triangles of one hemisphere."""
    return 2 * N[density] - 4


def moved(density):
    """A mesh that differs from the preview, as the real one does: each white coordinate by 0.25 mm."""
    mesh = meshes._preview(density)
    return {**mesh.coords, "white": mesh.coords["white"] + np.float32(0.25)}, mesh
