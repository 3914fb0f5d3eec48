"""``brain_view``: the interactive brain as a Streamlit component. The browser's side is in ``assets/``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.storage.files import write_atomic
from factortopy.surfaces.coordinates import full_index
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.view import colour, geometry
from factortopy.view.brainmap import UNPAINTED, BrainMap, score_bytes
from factortopy.view.bundle import script
from factortopy.view.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike

NAME = "factortopy.brain"
STATES = ("vertex", "map", "threshold", "roi", "camera")


@dataclass(frozen=True)
class Seen:
    """What the visitor has chosen in a brain view.

    vertex : int or None, row of the whole mesh (left hemisphere first)
    map : str or None, name of the map that was switched to
    threshold : float or None, least score that is shown
    roi : str or None, name of the selected region
    camera : str or None, the view's camera and layout as a short text (at most 59 characters: letters, digits, ``.-_``)
        that ``brain_view(camera=…)`` takes; None until the camera has been moved
    """

    vertex: int | None = None
    map: str | None = None
    threshold: float | None = None
    roi: str | None = None
    camera: str | None = None


def brain_view(
    maps: BrainMap | Sequence[BrainMap],
    *,
    rois: Mapping[str, np.ndarray] | None = None,
    key: str,
    height: int = 560,
    group: str | None = None,
    selected: int | None = None,
    map: str | None = None,
    threshold: float | None = None,
    score: np.ndarray | None = None,
    score_label: str = "R²",
    simulated: bool = False,
    labels: bool = True,
    layout: str = "both",
    controls: str = "full",
    report: Sequence[str] = ("vertex", "threshold"),
    on_change: Callable[[], Any] | None = None,
    density: str = "10k",
    roi: str | None = None,
    swipe: Any = None,
    camera: str | None = None,
    heading: str = "",
    comparing: bool = True,
) -> Seen:
    """Show the brain with one or several maps, on the surface and on the flat map.

    Parameters
    ----------
    maps : BrainMap or list of BrainMap
        Sent together and switched in the browser.
    rois : dict of name to (V,) bool or to whole-mesh rows, optional
        Outlined and named (``whole_rois`` makes them from a subject's).
    key : str
        Identity of the view; camera and choices outlive reruns.
    height : int
        Pixels, the same from the first moment on.
    group : str, optional
        Views of one group share camera, hovered and selected vertex.
    selected : int, optional
        Row of the whole mesh to select; acts when it changes. None and −1 select nothing.
    map : str, optional
        Name of the map to show first; acts when it changes.
    threshold : float, optional
        Least ``score`` that is shown; acts when it changes. The visitor can move it.
    score : (V,) float, optional
        Score of the whole mesh, NaN where there is none, for the threshold slider (``whole`` makes it).
    simulated : bool
        Shows the badge "simulated".
    layout : str
        "both", "surface" or "flat".
    controls : str
        "full", or "compact" for small pictures: sentence and legend only.
    report : tuple of str
        Which of "vertex", "map", "threshold", "roi", "camera" rerun the script when they change; the camera is told when
        it has come to rest.
    on_change : callable, optional
        Called when the selected vertex or region has changed.
    density : str
        Of the maps: "10k", "41k" or "164k".
    roi : str, optional
        Name of a region to select; acts when it changes.
    swipe : str, optional
        Name of a map to show right of a divider when the view is first drawn; the visitor can change it.
    camera : str, optional
        ``Seen.camera`` of another time; acts when it changes. One that cannot be read is left out of account.
    heading : str
        Stands in one line above a small picture, in place of the map's sentence, which hovering it then tells.
    comparing : bool
        False takes the view's own buttons Swipe and Difference away.

    Returns
    -------
    Seen
    """
    maps = [maps] if isinstance(maps, BrainMap) else list(maps)
    data = message(
        maps, rois=rois, key=key, group=group, selected=selected, map=map, threshold=threshold, score=score,
        score_label=score_label, simulated=simulated, labels=labels, layout=layout, controls=controls, report=report,
        density=density, roi=roi, swipe=swipe, camera=camera, heading=heading, comparing=comparing,
    )  # fmt: skip
    chosen = {"vertex": selected, "map": map, "threshold": threshold, "roi": roi, "camera": camera}
    result = _component()(
        key=key,
        data=data,
        height=int(height),
        default=chosen | {"vertex": -1 if selected is None else int(selected)},
        **{f"on_{name}_change": on_change if on_change and name in ("vertex", "roi") else _nothing for name in STATES},
    )
    state = {name: _state(key, name, value, getattr(result, name, None)) for name, value in chosen.items()}
    vertex = state.pop("vertex")
    return Seen(vertex=int(vertex) if vertex is not None and vertex >= 0 else None, **state)


def _state(key, name, wanted, reported):
    """What the page wants in the run in which that changes, else what the browser has reported."""
    import streamlit as st

    memory = f"_brain_view_{key}_{name}"
    changed = memory in st.session_state and st.session_state[memory] != wanted
    st.session_state[memory] = wanted
    return wanted if changed else reported


def _nothing():
    """Streamlit reports only states that have a callback."""


def whole_rois(
    rois: Mapping[str, np.ndarray],
    hemi: ArrayLike,
    vertex: ArrayLike,
    density: str = "10k",
) -> dict[str, np.ndarray]:
    """{name: whole-mesh rows} of a subject's {name: (N,) bool}."""
    rows = full_index(hemi, vertex, density)
    return {name: rows[np.asarray(mask, dtype=bool)] for name, mask in (rois or {}).items()}


def message(
    maps, *, rois=None, key="brain", group=None, selected=None, map=None, threshold=None, score=None, score_label="R²",
    simulated=False, labels=True, layout="both", controls="full", report=("vertex", "threshold"), density="10k",
    roi=None, swipe=None, camera=None, heading="", comparing=True,
):  # fmt: skip
    """Bytes for the browser: the maps at the vertices that any of them paints, palettes, regions, words."""
    if not maps:
        raise ValueError("brain_view: at least one map is needed")
    support = np.flatnonzero(np.any([m.painted for m in maps], axis=0))
    index = np.uint16 if 2 * N_VERTICES[density] <= 65535 else np.uint32
    arrays = {"support": support.astype(index)}
    for k, m in enumerate(maps):
        arrays[f"map{k}"] = _map_bytes(m, support)
        arrays[f"palette{k}"] = m.palette.reshape(-1)
    scale = None
    if score is not None:
        code, low, step = score_bytes(score)
        arrays["score"] = code[support]
        scale = {"label": score_label, "low": low, "step": step}
    names, rows = _regions(rois)
    arrays["roiOffsets"] = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.uint32)
    arrays["roiVertices"] = np.concatenate([np.empty(0, int), *rows]).astype(index)
    if sum(m.kind == "value" for m in maps) > 1:
        arrays["differencePalette"] = colour.diverging("blue-red").reshape(-1)
    header = {
        "key": key,
        "group": group,
        "geometry": geometry.built(density).name,
        "coarse": None if density == "10k" else geometry.built("10k").name,  # drawn while a large mesh moves
        "selected": -1 if selected is None else int(selected),
        "map": map,
        "threshold": None if threshold is None else float(threshold),
        "score": scale,
        "roi": roi,
        "swipe": swipe,
        "camera": camera,
        "heading": str(heading),
        "comparing": bool(comparing),
        "simulated": bool(simulated),
        "labels": bool(labels),
        "layout": layout,
        "controls": controls,
        "report": list(report),
        "maps": [_map_header(m) for m in maps],
        "rois": names,
        "roisStamp": _stamp(*arrays["roiOffsets"], *names, arrays["roiVertices"]),
        "scoreStamp": _stamp(arrays.get("score", b""), arrays["support"]),
    }
    header["stamp"] = _stamp(repr(header), *arrays.values())
    return pack(header, arrays)


def _map_bytes(brain_map, support):
    """Value bytes, then second value bytes of a plane, then alpha bytes unless all are opaque."""
    parts = [brain_map.value[support]] if brain_map.value.ndim == 1 else list(brain_map.value[support].T)
    alpha = brain_map.alpha[support]
    if (alpha[parts[0] != UNPAINTED] != 255).any():
        parts.append(alpha)
    return np.concatenate(parts).astype(np.uint8)


def _map_header(m):
    return {
        "name": str(m.name), "group": str(m.group or m.name), "title": str(m.title), "kind": m.kind, "fade": m.fade,
        "legend": m.legend, "words": m.words, "stamp": m.stamp,
    }  # fmt: skip


def _regions(rois):
    names, rows = [], []
    for name, where in (rois or {}).items():
        where = np.asarray(where)
        found = np.flatnonzero(where) if where.dtype == bool else where.astype(int)
        if len(found):
            names.append(str(name))
            rows.append(found)
    return names, rows


def _stamp(*parts):
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, (np.ndarray, np.generic)) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _component():
    folder, files = geometry.folder(), _files()
    for name, content in files.items():
        if not (folder / name).is_file():
            write_atomic(folder / name, content)
    _serve(folder)
    return _registered(*files)


@cache
def _files():
    """{name: text} of style and script; the name changes with the text, so that no browser shows an old one."""
    texts = {"css": (geometry.ASSETS / "brain.css").read_text(encoding="utf-8"), "js": script()}
    return {f"brain-{_stamp(text)}.{kind}": text for kind, text in texts.items()}


@cache
def _registered(css, js):
    import streamlit as st

    html = (geometry.ASSETS / "brain.html").read_text(encoding="utf-8")
    return st.components.v2.component(NAME, html=html, css=css, js=js)


def _serve(folder):
    """Let Streamlit serve the folder under the component's name.

    By itself it would look for a declaration in an installed package; what we serve is made on this machine.
    """
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(NAME) != folder.resolve():
        distribution, component = NAME.split(".")
        config = ComponentConfig(name=component, asset_dir=folder.name)
        manager.register_from_manifest(ComponentManifest(distribution, "0", [config]), folder.parent)
