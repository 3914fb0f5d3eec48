"""FreeSurfer's own surface files: geometry, curvature, flat patches and annotations read strictly, annotations written.

All are big-endian. A surface of triangles is ff ff fe, a comment of two lines, the numbers of vertices and triangles,
coordinates, triangles. A curvature file is ff ff ff, the numbers of vertices, triangles and values a vertex, then values;
an old one has two counts of 3 bytes, then hundredths as int16. A patch is −1, a count, then vertex, x, y, z of each. An
annotation is a count, then vertex and colour of each, then a table of keys, names and colours.
Nothing in a header is believed before the file's size agrees; more may follow behind (tags).

Source: nibabel.freesurfer.io and https://surfer.nmr.mgh.harvard.edu/fswiki/FileFormats
"""

import tempfile
from pathlib import Path

import numpy as np

from factortopy.formats.files import COPY, content, first_bytes
from factortopy.formats.problems import foreign, stop
from factortopy.storage.files import write_atomic

_MOST = 64 * 2**20  # bytes: twice a surface of fsaverage
_SURFACE, _CURVATURE, _PATCH = "a FreeSurfer surface of triangles", "a FreeSurfer curvature file", "a FreeSurfer patch"
_ANNOTATION = "a FreeSurfer annotation"
_NODE = np.dtype([("vertex", ">i4"), ("xyz", ">f4", 3)])


def geometry_counts(path):
    """(vertices, triangles) that a surface's header states; only the header is read. InputError as ``read_geometry``."""
    return _geometry_header(path, first_bytes(path, _SURFACE, 2000)[1])[:2]


def read_geometry(path):
    """Coordinates and triangles of a surface.

    Returns
    -------
    coords : (n, 3) float32
    triangles : (F, 3) int32, as they are in the file: whoever uses them checks that they name its vertices

    Raises
    ------
    InputError
        For a missing, cut or damaged file, a pointer in its place, another kind.
    """
    data = content(path, _SURFACE, _MOST)
    vertices, triangles, offset = _geometry_header(path, data[:2000])
    words = f"{vertices:,} vertices and {triangles:,} triangles"
    _check_length(path, words, data, offset + 12 * (vertices + triangles))
    coords = np.frombuffer(data, ">f4", 3 * vertices, offset).astype(np.float32).reshape(-1, 3)
    faces = np.frombuffer(data, ">i4", 3 * triangles, offset + 12 * vertices).astype(np.int32).reshape(-1, 3)
    return coords, faces


def _geometry_header(path, head):
    """(vertices, triangles, offset of the coordinates)."""
    end = head.find(b"\n", head.find(b"\n") + 1) + 1  # two lines of comment, the second mostly empty
    if head[:3] != b"\xff\xff\xfe" or end < 5 or len(head) < end + 8:
        raise _of_another_kind(path, _SURFACE, head)
    vertices, triangles = (int(v) for v in np.frombuffer(head[end : end + 8], ">i4"))
    if min(vertices, triangles) < 1:
        raise stop(path, _SURFACE, f"{vertices:,} vertices, {triangles:,} triangles", COPY)
    return vertices, triangles, end + 8


def curvature_count(path):
    """Vertices that a curvature file's header states; only the header is read. InputError as ``read_curvature``."""
    return _curvature_header(path, *first_bytes(path, _CURVATURE, 1024))[0]


def read_curvature(path):
    """(n,) float32 of a file with a number a vertex: curvature, sulcal depth, thickness.

    Raises
    ------
    InputError
        For a missing, cut or damaged file, a pointer in its place, another kind.
    """
    data = content(path, _CURVATURE, _MOST)
    vertices, offset, dtype = _curvature_header(path, len(data), data[:1024])
    _check_length(path, f"{vertices:,} vertices", data, offset + vertices * dtype.itemsize)
    values = np.frombuffer(data, dtype, vertices, offset).astype(np.float32)
    return values if dtype.kind == "f" else values / 100


def _curvature_header(path, size, head):
    """(vertices, offset of the values, their type)."""
    if head[:3] == b"\xff\xff\xff" and len(head) >= 15:
        vertices, _, values = (int(v) for v in np.frombuffer(head[3:15], ">i4"))
        if vertices < 1 or values != 1:
            raise stop(path, _CURVATURE, f"{vertices:,} vertices with {values:,} values each", COPY)
        return vertices, 15, np.dtype(">f4")
    vertices = int.from_bytes(head[:3], "big")
    if vertices < 1 or size != 6 + 2 * vertices:  # an old file has no mark of its own
        raise _of_another_kind(path, _CURVATURE, head)
    return vertices, 6, np.dtype(">i2")


def is_curvature(size, head):
    """Whether a file of ``size`` bytes that begins with ``head`` has a number a vertex, in the new form or the old."""
    return head[:3] == b"\xff\xff\xff" or (size > 2000 and size == 6 + 2 * int.from_bytes(head[:3], "big"))


def is_annotation(size, head):
    """Whether a file of ``size`` bytes that begins with ``head`` lists a colour for each vertex, from vertex 0 on."""
    first = np.frombuffer(head[:24].ljust(24, b"\xff"), ">i4")
    return first[0] > 2 and size >= 4 + 8 * int(first[0]) and first[1::2].tolist()[:2] == [0, 1]


def read_annot(path):
    """Regions of an annotation.

    Returns
    -------
    keys : (n,) float32, of the table below, NaN in no region
    labels : {key: (name, (r, g, b, a) floats)}

    Raises
    ------
    InputError
        For a missing, cut or damaged file, another kind, vertices that are not 0, 1, 2, …, an annotation without its colours.
    """
    data = content(path, _ANNOTATION, _MOST)
    if not is_annotation(len(data), data):
        raise _of_another_kind(path, _ANNOTATION, data)
    n = int(np.frombuffer(data, ">i4", 1)[0])
    vertices, colours = np.frombuffer(data, ">i4", 2 * n, 4).reshape(n, 2).T
    if not np.array_equal(vertices, np.arange(n)):
        raise stop(path, f"vertices 0 to {n - 1:,} in their order", "others", "save it again (FreeView, mris_convert)")
    table = _colour_table(path, data, 4 + 8 * n)
    key_of = {r + (g << 8) + (b << 16): key for key, (_, (r, g, b, _)) in reversed(table.items())}  # the first counts
    there, place = np.unique(colours & 0xFFFFFF, return_inverse=True)
    keys = np.array([key_of.get(int(colour), np.nan) for colour in there], np.float32)[place]
    labels = {key: (name, (r / 255, g / 255, b / 255, 1 - t / 255)) for key, (name, (r, g, b, t)) in table.items()}
    return keys, labels


def _colour_table(path, data, at):
    """{key: (name, (r, g, b, transparency))} behind the vertices of an annotation, in FreeSurfer's old or new form."""
    entries = {}

    def whole(count=1):
        nonlocal at
        if at + 4 * count > len(data):
            raise ValueError
        numbers = [int(v) for v in np.frombuffer(data, ">i4", count, at)]
        at += 4 * count
        return numbers if count > 1 else numbers[0]

    def words():
        nonlocal at
        length = whole()
        if not 0 <= length <= 4096 or at + length > len(data):
            raise ValueError
        at += length
        return data[at - length : at].split(b"\0")[0].decode("utf-8", "replace")

    try:
        if whole() != 1:
            raise stop(path, "an annotation with its colours and names", "one without", "save it with its colour table")
        count = whole()
        newer = count < 0
        if newer:
            if count != -2:
                raise ValueError
            whole()  # the largest key
        words()  # the table's own file
        for k in range(whole() if newer else count):
            key = whole() if newer else k
            name, colour = words(), whole(4)
            if not all(0 <= part <= 255 for part in colour) or len(entries) > 100_000:
                raise ValueError
            entries[key] = (name, colour)
    except ValueError:
        raise stop(path, "a whole colour table behind the vertices", "a damaged one, or cut off", COPY) from None
    return entries


def read_patch(path, n):
    """A flat patch of a surface with ``n`` vertices.

    Returns
    -------
    vertices : (K,) int64, each once
    coords : (K, 3) float32, finite

    Raises
    ------
    InputError
        For a missing, cut or damaged file, a pointer in its place, vertices that the surface does not have.
    """
    data = content(path, _PATCH, _MOST)
    mark, count = (int(v) for v in np.frombuffer(data[:8].ljust(8, b"\0"), ">i4"))
    if mark != -1 or count < 1:
        raise _of_another_kind(path, _PATCH, data)
    _check_length(path, f"{count:,} vertices", data, 8 + _NODE.itemsize * count)
    nodes = np.frombuffer(data, _NODE, count, 8)
    vertices = np.abs(nodes["vertex"].astype(np.int64)) - 1  # counted from 1, negative on the patch's border
    coords = nodes["xyz"].astype(np.float32)
    if vertices.min() < 0 or vertices.max() >= n or len(np.unique(vertices)) != count:
        raise stop(path, f"vertices 1 to {n:,}, each once", "others", COPY)
    if not np.isfinite(coords).all():
        raise stop(path, "coordinates", "values that are not numbers", COPY)
    return vertices, coords


def write_annot(path, labels, colours, names):
    """Write regions with names and colours; returns the path.

    Parameters
    ----------
    labels : (n,) int, row of ``colours`` of each vertex; −1 in no region, which FreeView leaves uncoloured
    colours : (k, 3) uint8
    names : list of k str
    """
    from nibabel.freesurfer import write_annot as write

    table = np.column_stack([colours, np.zeros(len(colours), int)])  # the last is transparency
    with tempfile.TemporaryDirectory() as folder:  # nibabel writes by name only
        file = Path(folder) / "file.annot"
        write(str(file), labels, table, names, fill_ctab=True)
        write_atomic(path, file.read_bytes())
    return Path(path)


def _check_length(path, what, data, needed):
    if len(data) < needed:
        raise stop(path, what, f"{len(data):,} bytes: it was cut off", COPY)


def _of_another_kind(path, what, head):
    if len(head) < 8:
        return stop(path, what, f"{len(head):,} bytes", COPY)
    content = foreign(head[:1024], "")
    return stop(path, what, "another kind of file" + (f" ({content})" if content else ""), COPY)
