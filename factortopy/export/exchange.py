"""Maps and tables for other programs: GIFTI, FreeSurfer's MGZ and annot, CIFTI, BIDS names, tidy CSV."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.analysis.slope import hierarchy
from factortopy.encoder.selectors import Selectors
from factortopy.errors import InputError
from factortopy.formats.cifti import write_dscalar
from factortopy.formats.freesurfer import write_annot
from factortopy.formats.gifti import SIDES, write_func_gii, write_label_gii
from factortopy.formats.mgh import write_mgz
from factortopy.storage.files import write_atomic, write_json
from factortopy.storage.records import versions
from factortopy.surfaces.coordinates import Vertices
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.view import colour
from factortopy.wording import PROGRAM

PAPER = "Yang, Gee and Shi: Brain Decodes Deep Nets, CVPR 2024, arXiv:2312.01280"
BIDS_VERSION = "1.10.0"
FUNCTIONS = {  # what stands in each file's own metadata
    "confidence": "layer confidence, 0 uniform to 1 one-hot",
    "scale": "scale, 0 local to 1 global",
    "score": "brain score R2 on test trials",
    "space": ("x, -1 left to 1 right", "y, -1 top to 1 bottom"),
}


@dataclass(frozen=True)
class RunMaps:
    """What of a fitted encoder goes into files.

    selectors : Selectors; score : (N,), brain score; painted : (N,) bool, vertices predicted above chance: the selectors'
    maps hold these alone, the score holds all; vertices : Vertices; simulated : bool
    """

    selectors: Selectors
    score: np.ndarray
    painted: np.ndarray
    vertices: Vertices
    simulated: bool

    @property
    def layer(self) -> np.ndarray:
        """(2n,) int of both whole hemispheres: 0 unpainted, l + 1 for layer l."""
        return self.vertices.whole(np.where(self.painted, self.selectors.layer_argmax + 1, 0), fill=0)

    @property
    def table(self) -> list:
        """(key, name, colour) of each layer."""
        n_layers = self.selectors.layer.shape[1]
        colours = colour.layers(n_layers)
        return [(k + 1, f"layer {k + 1} of {n_layers}", colours[k]) for k in range(n_layers)]

    def functions(self) -> dict:
        """{name: (2n,) or (2n, 2) float of both whole hemispheres}, NaN where there is nothing."""
        chosen = self.selectors
        values = {"confidence": chosen.layer_confidence, "scale": chosen.scale, "space": chosen.space}
        kept = {
            name: np.where(self.painted.reshape(-1, *[1] * (np.ndim(v) - 1)), v, np.nan) for name, v in values.items()
        }
        kept["score"] = np.asarray(self.score, dtype=float)
        return {name: self.vertices.whole(kept[name]) for name in FUNCTIONS}


def halves(density: str) -> list[tuple[str, str, slice]]:
    """(letter, structure, rows of the whole mesh) of each hemisphere."""
    n = N_VERTICES[density]
    return [(letter, structure, slice(side * n, (side + 1) * n)) for side, (letter, structure) in enumerate(SIDES)]


def plain_name(letter: str, name: str, ending: str) -> str:
    """``hemi-L_score.func.gii``."""
    return f"hemi-{letter}_{name}.{ending}"


def write_gifti(out: Path, of: RunMaps, name: Callable[[str, str, str], str] = plain_name) -> Iterator[Path]:
    """A label file of the best layer and a file a function, for each hemisphere; ``name`` gives the files' names."""
    layer, functions, table = of.layer, of.functions(), of.table
    for letter, structure, rows in halves(of.vertices.density):
        path = out / name(letter, "layer", "label.gii")
        yield write_label_gii(path, layer[rows], table, of.simulated, structure)
        for kind, values in functions.items():
            path = out / name(letter, kind, "func.gii")
            yield write_func_gii(path, values[rows], FUNCTIONS[kind], of.simulated, structure)


# ---------------------------------------------------------------- FreeSurfer


def write_freesurfer(out: Path, of: RunMaps) -> Iterator[Path]:
    """``lh.layer.annot`` with names and colours, ``lh.{confidence,scale,score,space}.mgz``, and the same for rh.

    MGZ has no place for words, so that "simulated" stands in the names. NaN where there is no value.
    """
    word = "_simulated" if of.simulated else ""
    layer, functions, table = of.layer, of.functions(), of.table
    names, colours = [name for _, name, _ in table], [rgb for _, _, rgb in table]
    for letter, _, rows in halves(of.vertices.density):
        side = f"{letter.lower()}h"
        yield write_annot(out / f"{side}.layer{word}.annot", layer[rows] - 1, colours, names)  # unpainted: −1
        for kind, values in functions.items():
            yield write_mgz(out / f"{side}.{kind}{word}.mgz", values[rows])


# ---------------------------------------------------------------- CIFTI


def write_cifti(out: Path, of: RunMaps) -> Iterator[Path]:
    """``maps.dscalar.nii``: layer (1 … L), confidence, scale, score and space of the encoder's vertices alone."""
    n, maps = N_VERTICES[of.vertices.density], {}
    for name, values in {"layer": np.where(of.layer > 0, of.layer, np.nan), **of.functions()}.items():
        for column, label in zip(np.reshape(values, (2 * n, -1)).T, ("x", "y")):
            maps[f"space {label}" if name == "space" else name] = column
    sides = [np.sort(of.vertices.vertex[of.vertices.hemi == side]) for side in (0, 1)]
    models = [(structure, vertices, n) for (_, structure), vertices in zip(SIDES, sides) if len(vertices)]
    index = np.sort(of.vertices.rows)
    meta = {"Data": "simulated" if of.simulated else "measured", "Program": f"{PROGRAM} {versions()['factortopy']}"}
    path = out / f"maps{'_simulated' if of.simulated else ''}.dscalar.nii"
    yield write_dscalar(path, {name: values[index] for name, values in maps.items()}, models, meta)


# ---------------------------------------------------------------- BIDS


def write_bids(out: Path, of: RunMaps, info: Mapping) -> Iterator[Path]:
    """A BIDS derivative of the maps: ``bids/sub-ID/func/sub-ID_hemi-L_space-fsaverage_den-10k_desc-score_statmap.func.gii``.

    The best layer is a ``dseg.label.gii``. One JSON file a map, for both hemispheres, says what it holds and whether the
    data are simulated, and so do ``dataset_description.json``, ``README`` and the folder's name.
    """
    mark = " (simulated)" if of.simulated else ""
    subject = re.sub("[^A-Za-z0-9]", "", str(info.get("subject") or ""))[:60] or "unnamed"
    root = out / ("bids_simulated" if of.simulated else "bids")
    folder = root / f"sub-{subject}" / "func"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: could not be made ({error.strerror or error}); choose another folder with --out"
        ) from None
    title = f"{info.get('backbone') or 'network'} on {info.get('subject') or 'subject'}{mark}"
    data = "Simulated: no person was measured." if of.simulated else "Fitted to measured responses."
    facts = {
        "Name": f"FactorTopy maps: {title}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": PROGRAM, "Version": versions()["factortopy"], "Description": f"{title}. {data}"}],
        "ReferencesAndLinks": [PAPER],
    }
    write_json(root / "dataset_description.json", facts)
    write_atomic(root / "README", f"Maps of an encoder: {title}. {data}\nMethod: {PAPER}\n")
    yield from (root / "dataset_description.json", root / "README")
    place = f"space-fsaverage_den-{of.vertices.density}"
    suffix = {"label.gii": "dseg", "func.gii": "statmap"}
    words = {"layer": "Layer with the largest weight, 1 first; 0 unpainted (not predicted above chance)", **FUNCTIONS}
    for name, text in words.items():
        path = folder / f"sub-{subject}_{place}_desc-{name}_{'dseg' if name == 'layer' else 'statmap'}.json"
        description = {"Description": text if isinstance(text, str) else "; ".join(text), "Simulated": of.simulated}
        network = {key: info.get(key) for key in ("backbone", "recipe", "seed")}
        write_atomic(path, json.dumps(description | {"Encoder": network}, indent=1))
        yield path
    yield from write_gifti(
        folder,
        of,
        lambda letter, name, ending: f"sub-{subject}_hemi-{letter}_{place}_desc-{name}_{suffix[ending]}.{ending}",
    )


# ---------------------------------------------------------------- tidy tables


def place_columns(encoder) -> dict:
    """The columns that say which vertex a row is about: hemisphere, vertex, rois."""
    rois = [";".join(name for name, mask in encoder.rois.items() if mask[i]) for i in range(encoder.n_vertices)]
    return {"hemisphere": np.array(["L", "R"])[encoder.hemi], "vertex": encoder.vertex, "rois": rois}


def write_vertices(path: Path, encoder, columns: Mapping) -> Path:
    """A table with a row a vertex of the encoder: hemisphere, vertex, rois, then ``columns`` {name: (N,)}, then simulated."""
    import pandas as pd

    frame = pd.DataFrame({**place_columns(encoder), **columns, "simulated": bool(encoder.simulated)})
    write_atomic(path, frame.to_csv(index=False, float_format="%.6g"))
    return path


def write_tables(out: Path, encoder, rows: list | None) -> Iterator[Path]:
    """A row an observation: ``scores.csv`` (a row an area), ``vertices.csv``, ``layer_weights.csv``, ``hierarchy.csv``.

    Parameters
    ----------
    encoder : Encoder
        Scored. A baseline, which has no selectors, gives the scores alone.
    rows : list of dict
        The score table of run.json.
    """
    import pandas as pd

    word, origin = "_simulated" if encoder.simulated else "", {"simulated": encoder.simulated}

    def keep(name, frame):
        path = out / f"{name}{word}.csv"
        write_atomic(path, frame.assign(**origin).to_csv(index=False, float_format="%.6g"))
        return path

    if rows:
        yield keep("scores", pd.DataFrame(rows))
    columns = {name: encoder.scores[name] for name in encoder.scores}
    if encoder.noise_ceiling is not None:
        columns["noise_ceiling"] = encoder.noise_ceiling
    if encoder.has_selectors:
        chosen = encoder.selectors()
        columns |= {
            "layer": chosen.layer_argmax + 1, "layer_mean": chosen.layer_mean, "confidence": chosen.layer_confidence,
            "scale": chosen.scale, "x": chosen.space[:, 0], "y": chosen.space[:, 1],
        }  # fmt: skip
    yield write_vertices(out / f"vertices{word}.csv", encoder, columns)
    if not encoder.has_selectors:
        return
    n, n_layers = chosen.layer.shape
    place = place_columns(encoder)
    long = {name: np.repeat(place[name], n_layers) for name in ("hemisphere", "vertex")}
    long |= {"layer": np.tile(np.arange(1, n_layers + 1), n), "weight": chosen.layer.ravel()}
    yield keep("layer_weights", pd.DataFrame(long))
    try:
        fitted = hierarchy(chosen, encoder.rois)
    except InputError:  # fewer than two levels of the hierarchy are among the areas
        return
    yield keep("hierarchy", pd.DataFrame([{"b0": fitted.b0, "b1": fitted.b1, "slope": fitted.slope}]))
