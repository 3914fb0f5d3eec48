"""What Python sends to a brain view: maps, score, regions and options as one binary message, read by ``assets/``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from factortopy.surfaces.meshes import N_VERTICES
from factortopy.view import colour, geometry
from factortopy.view.brainmap import UNPAINTED, BrainMap, score_bytes
from factortopy.view.packing import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from factortopy.view.options import ViewOptions


def message(maps: Sequence[BrainMap], options: ViewOptions) -> bytes:
    """Bytes for the browser: the maps at the vertices that any of them paints, palettes, regions, options, words."""
    if not maps:
        raise ValueError("brain_view: at least one map is needed")
    support = np.flatnonzero(np.any([m.painted for m in maps], axis=0))
    index = np.uint16 if 2 * N_VERTICES[options.density] <= 65535 else np.uint32
    arrays = {"support": support.astype(index)}
    for k, m in enumerate(maps):
        arrays[f"map{k}"] = _map_bytes(m, support)
        arrays[f"palette{k}"] = m.palette.reshape(-1)
    scale = None
    if options.score is not None:
        code, low, step = score_bytes(options.score)
        arrays["score"] = code[support]
        scale = {"label": options.score_label, "low": low, "step": step}
    names, rows = _regions(options.rois)
    arrays["roiOffsets"] = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.uint32)
    arrays["roiVertices"] = np.concatenate([np.empty(0, int), *rows]).astype(index)
    if sum(m.kind == "value" for m in maps) > 1:
        arrays["differencePalette"] = colour.diverging("blue-red").reshape(-1)
    header = {
        **options.header(),
        "geometry": geometry.built(options.density).name,
        "coarse": None if options.density == "10k" else geometry.built("10k").name,  # drawn while a large mesh moves
        "score": scale,
        "maps": [_map_header(m) for m in maps],
        "rois": names,
        "roisStamp": stamp(*arrays["roiOffsets"], *names, arrays["roiVertices"]),
        "scoreStamp": stamp(arrays.get("score", b""), arrays["support"]),
    }
    header["stamp"] = stamp(repr(header), *arrays.values())
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
    """(names, whole-mesh rows of each) of the regions that have a vertex."""
    names, rows = [], []
    for name, where in (rois or {}).items():
        where = np.asarray(where)
        members = np.flatnonzero(where) if where.dtype == bool else where.astype(int)
        if len(members):
            names.append(str(name))
            rows.append(members)
    return names, rows


def stamp(*parts: object) -> str:
    """16 hexadecimal digits that change with the content of arrays and texts."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, (np.ndarray, np.generic)) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
