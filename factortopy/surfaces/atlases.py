"""Published atlases of fsaverage: areas and measured retinotopy, where their packages are installed."""

from __future__ import annotations

import importlib.metadata

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.mgh import read_mgh
from factortopy.formats.problems import DataError, stop
from factortopy.surfaces.meshes import N_VERTICES, load_mesh
from factortopy.surfaces.retinotopy import Retinotopy, fitted_retinotopy

_BENSON_AREAS = dict(
    enumerate(("V1", "V2", "V3", "hV4", "VO1", "VO2", "LO1", "LO2", "TO1", "TO2", "V3b", "V3a"), start=1)
)
_WANG_AREAS = dict(
    enumerate(
        "V1v V1d V2v V2d V3v V3d hV4 VO1 VO2 PHC1 PHC2 MST hMT LO2 LO1 V3b V3a IPS0 IPS1 IPS2 IPS3 IPS4 IPS5 SPL1 FEF".split(),
        start=1,
    )
)
_HCP_AREAS = {
    1: "V1", 2: "MST", 3: "V6", 4: "V2", 5: "V3", 6: "V4", 7: "V8", 13: "V3A", 18: "FFC", 19: "V3B", 20: "LO1",
    21: "LO2", 22: "PIT", 23: "MT", 31: "POS1", 126: "PHA1", 127: "PHA3", 138: "PH", 146: "IP0", 153: "VMV1",
    154: "VMV3", 155: "PHA2", 156: "V4t", 157: "FST", 158: "V3CD", 159: "LO3", 160: "VMV2", 163: "VVC",
}  # fmt: skip
ATLASES = {
    "benson14": ("benson14_varea.v4_0", _BENSON_AREAS, "Benson et al. 2014/2018 retinotopy template"),
    "wang15": ("wang15_mplbl.v1_0", _WANG_AREAS, "Wang et al. 2015 probabilistic visual areas"),
    "hcp-mmp1": ("glasser16_atlas.v1_0", _HCP_AREAS, "HCP-MMP1, Glasser et al. 2016, visual areas"),
}


def _atlas_file(stem, side):
    """Path of one of neuropythy's fsaverage files, without importing neuropythy; None where it is not installed."""
    try:
        package = importlib.metadata.distribution("neuropythy")
    except importlib.metadata.PackageNotFoundError:
        return None
    path = package.locate_file(f"neuropythy/lib/data/fsaverage/surf/{side}.{stem}.mgz")
    return path if path.is_file() else None


def available_atlases() -> dict[str, str]:
    """{name: citation} of the atlases whose files are on this machine (``pip install --no-deps neuropythy``)."""
    return {
        name: text for name, (stem, _, text) in ATLASES.items() if all(_atlas_file(stem, side) for side in ("lh", "rh"))
    }


def load_atlas(name: str, density: str = "10k") -> dict[str, np.ndarray]:
    """ROIs of a published atlas on the whole mesh.

    Returns
    -------
    {area: (2n,) bool}

    Raises
    ------
    InputError
        When the atlas is unknown or neuropythy's files are not installed.
    """
    if name not in ATLASES:
        raise InputError(f"atlas {name!r}: expected one of {', '.join(ATLASES)}")
    stem, areas, _ = ATLASES[name]
    labels = np.concatenate([_read_atlas(stem, side, density) for side in ("lh", "rh")])
    return {area: labels == code for code, area in areas.items() if (labels == code).any()}


def benson_retinotopy(density: str = "10k") -> Retinotopy:
    """Benson's template as a ``Retinotopy`` (V1, V2, V3, hV4), read from neuropythy's files."""
    angle, ecc, area = (
        np.concatenate([_read_atlas(f"benson14_{what}.v4_0", side, density) for side in ("lh", "rh")])
        for what in ("angle", "eccen", "varea")
    )
    n = N_VERTICES[density]
    side = np.where(np.arange(2 * n) < n, 1, -1)  # both hemispheres hold 0 to 180 degrees
    area = np.where(area <= 4, area, 0).astype(int)
    theta = np.deg2rad(angle)
    x, y, ecc = (np.where(area == 0, np.nan, v) for v in (side * ecc * np.sin(theta), ecc * np.cos(theta), ecc))
    return Retinotopy(area, x, y, ecc, ATLASES["benson14"][2])


def atlas_retinotopy(density: str = "10k") -> Retinotopy:
    """The ``Retinotopy`` to compare with: Benson's template where it is installed, else our own fit to it."""
    return benson_retinotopy(density) if "benson14" in available_atlases() else fitted_retinotopy(load_mesh(density))


def _read_atlas(stem, side, density):
    path = _atlas_file(stem, side)
    if path is None:
        raise InputError(
            f"atlas file {side}.{stem}.mgz: expected neuropythy's files on this machine, found none; "
            "install them with: pip install --no-deps neuropythy"
        )
    try:
        values = read_mgh(path, N_VERTICES["164k"], surface="fsaverage").astype(np.float64)
    except DataError as error:
        raise stop(
            path,
            f"a whole atlas file ({error.problem.expected})",
            f"a damaged one ({error.problem.actual})",
            "install neuropythy again",
        ) from None
    return values[: N_VERTICES[density]]
