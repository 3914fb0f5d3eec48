"""Parsers of data sets, maps, films, addresses and tables, for ``fuzz_parsers``."""

import contextlib
import json
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from fuzz_parsers import noise, parser, put, saved

from factortopy.errors import InputError


def npy_seeds():
    arrays = (
        noise(30, 4).astype(np.float32),
        noise(7).astype(np.int64),
        np.asfortranarray(noise(5, 6).astype(">f8")),
        np.ones(9, bool),
    )
    return [saved(np.save, array) for array in arrays]


@parser(
    "npy", 6, npy_seeds, (b"'descr': '|O'", b"'shape': (", b"'fortran_order': True", b"\x93NUMPY\x03", b"<f2", b"|V8")
)
def _npy(data, folder):
    from factortopy.formats.npy import safe_npy

    array = safe_npy(put(folder, "a.npy", data))
    assert array.dtype.kind in "fiub"


def mapping_seeds():
    from label_tables_pickled import TABLE, mapping_file

    return [mapping_file(TABLE, protocol) for protocol in (2, 4)]


@parser(
    "pickled mapping",
    6,
    mapping_seeds,
    (b"cos\nsystem\n", b"\x8c\x05posix\x8c\x06system\x93", b"tR.", b"\x85R", b"c__builtin__\nexec\n"),
)
def _mapping(data, folder):
    from factortopy.subjects.algonauts.label_tables import safe_mapping

    table = safe_mapping(put(folder, "mapping.npy", data))
    assert all(isinstance(name, str) and len(name) <= 60 for name in table.values())


def mgh_seeds():
    import gzip

    from nsd_folder import mgh_bytes

    made = [mgh_bytes(noise(2, 50), kind) for kind in (">f4", ">i4", ">i2", ">u1")]
    return [*made, *(gzip.compress(one, 6, mtime=0) for one in made[:2])]


@parser("MGH and MGZ", 6, mgh_seeds)
def _mgh(data, folder):
    from factortopy.formats.mgh import open_mgh

    open_mgh(put(folder, "a.mgh", data)).values()


def gifti_seeds():
    from gifti_text import gii, packed

    raw = np.linspace(0, 1, 10242).astype("<f4").tobytes()
    whole = gii(packed(raw))
    labels = whole.replace(
        b"<DataArray",
        b'<LabelTable><Label Key="1" Red="1" Green="0" Blue="0" Alpha="1">V1</Label></LabelTable><DataArray',
        1,
    )
    return [whole, labels, gii(" ".join(["0.5"] * 10242), encoding="ASCII")]


@parser(
    "GIFTI overlay",
    6,
    gifti_seeds,
    (b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b'Dim0="', b'Encoding="ASCII"', b"NIFTI_TYPE_UINT8", b"</Data>"),
)
def _gifti(data, folder):
    from factortopy.view.overlay import read_overlay

    overlay = read_overlay(data, "lh.a.func.gii")
    overlay.maps()


def overlay_seeds():
    from nsd_folder import mgh_bytes

    values = np.linspace(-1, 2, 10242).astype(np.float32)
    return [saved(np.save, values), saved(np.save, np.stack([values, values])), mgh_bytes(values)]


@parser("overlay of npy and MGH", 2, overlay_seeds)
def _overlay(data, folder):
    from factortopy.view.overlay import read_overlay

    read_overlay(data, "lh.a.npy" if data[:6] == b"\x93NUMPY" else "lh.a.mgh").maps()


def stimuli_seeds():
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.h5"
        with h5py.File(path, "w") as file:
            made = file.create_dataset("imgBrick", (8, 425, 425, 3), "u1", chunks=(1, 425, 425, 3), compression="gzip")
            made[2], made[5] = 7, 9
        return [path.read_bytes()]


@parser("HDF5 stimuli", 4, stimuli_seeds, (b"imgBrick", b"TREE", b"HEAP", b"SNOD", b"OHDR"))
def _stimuli(data, folder):
    from factortopy.subjects.nsd.images import NsdImages

    assert NsdImages(put(folder, "s.hdf5", data), [2, 5])[0].shape == (425, 425, 3)


@cache
def design_bytes():
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    design = {
        "masterordering": 1.0 + rng.integers(0, 10000, (1, 30000)),
        "subjectim": 1.0 + rng.integers(0, 73000, (8, 10000)),
    }
    return saved(savemat, {k: v.astype(np.uint32) for k, v in design.items()}, do_compression=True)


@parser(
    "MATLAB design",
    2,
    lambda: [design_bytes()],
    (struct.pack("<2I", 15, 60), struct.pack("<2I", 14, 2**31 - 1), b"masterordering"),
)
def _design(data, folder):
    from factortopy.subjects.nsd.design import read_expdesign

    order, pictures = read_expdesign(put(folder, "d.mat", data))
    assert order.shape == (30000,) and pictures.shape == (8, 10000)


def table_seeds():
    rows = [f"p{k}.png\t{k % 3}\ttrain\t{k / 2}" for k in range(20)]
    text = "\n".join(["image\tsession\tsplit\tonset", *rows]) + "\n"
    commas = text.replace(".", ",").replace("\t", ";").replace(",png", ".png")
    index = "\n".join("\t".join([str(k - 1) if k else "", line]) for k, line in enumerate(text.splitlines()))
    quoted = '"' + text.strip().replace("\t", '","').replace("\n", '"\r\n"') + '"'
    texts = [text, commas, index, quoted, "# by hand\n" + text, text.replace("p1.", "é.")]
    encodings = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252")
    return [one.encode(encoding) for one in texts for encoding in encodings]


@parser(
    "trials.tsv",
    8,
    table_seeds,
    (
        b"image",
        b"\t\t",
        b'"',
        b"\r\n",
        b"\x0b",
        b";",
        b",",
        b"#",
        b"sep=;\n",
        b"1,5",
        b"\xc2\xa0",
        b"PK\x03\x04",
        b"Unnamed: 0",
    ),
)
def _table(data, folder):
    """Whatever is read is a rectangle of the columns that are allowed; names mean files that exist, or none."""
    from factortopy.formats.names import FileNames
    from factortopy.formats.tables import codes, read_table
    from factortopy.subjects.folder.tables import COLUMNS

    table = read_table(put(folder, "trials.tsv", data), ("image",), COLUMNS)
    assert set(table) <= set(COLUMNS) and {len(cells) for cells in table.values()} == {len(table.lines)}
    assert all("\n" not in note.line() for note in table.notes)
    for cells in table.values():
        assert len(codes(cells)) == len(cells)
    files = [f"p{k}.png" for k in range(20)]
    matches = FileNames(files, "images").match(list(dict.fromkeys(table["image"])))
    assert set(matches.files.values()) <= set(files) and not set(matches.files) & set(matches.missing)
    if "onset" in table:
        assert np.isfinite(table.numbers("onset", missing=0.0)).all()


@parser("table of accuracies", 2, lambda: [b"network,accuracy\nnet,0.5\nother,0.25\n", b"network;accuracy\nnet;0,5\n"])
def _accuracies(data, folder):
    from types import SimpleNamespace

    from factortopy.report.tuning import accuracies

    accuracy, _ = accuracies([SimpleNamespace(name="net")], put(folder, "a.csv", data))
    assert set(accuracy) == {"net"} and np.isfinite(accuracy["net"])


@parser("log of NSD", 2, lambda: [b"SUBJECT\tSESSION\t73KID\n" + b"".join(b"1\t1\t%d\n" % (k + 1) for k in range(30))])
def _log(data, folder):
    from factortopy.subjects.nsd.design import check_log

    check_log(put(folder, "responses.tsv", data), {1: 12}, np.arange(30000))


@parser(
    "dataset.json",
    4,
    lambda: [
        json.dumps(
            {
                "subject": "anna",
                "space": "fsaverage",
                "density": "10k",
                "normalised": "session",
                "averaged": False,
                "tr": 1.5,
                "delays": [1, 2],
            }
        ).encode()
    ],
    (b'"density"', b'"delays": ', b'"tr": '),
)
def _about(data, folder):
    from factortopy.subjects.folder.tables import read_about

    problems = []
    read_about(put(folder, "dataset.json", data), problems)
    for problem in problems:
        assert "\n" not in problem.line()


@parser("colour table", 3, lambda: [b"0 Unknown 0 0 0 0\n1 V1v 255 0 0 0\t\n2 V1d 0 255 0 0\n"])
def _ctab(data, folder):
    from factortopy.subjects.nsd.rois import read_ctab

    read_ctab(put(folder, "a.ctab", data))


def surface_seeds():
    from nibabel.freesurfer import write_geometry

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lh.white"
        write_geometry(
            path, noise(12, 3).astype(np.float32), np.array([[k, (k + 1) % 12, (k + 2) % 12] for k in range(12)])
        )
        return [path.read_bytes()]


@parser("FreeSurfer surface", 2, surface_seeds)
def _surface(data, folder):
    from factortopy.surfaces.mesh_files import read_surface

    coords, faces = read_surface(put(folder, "lh.white", data))
    assert faces.max() < len(coords)


def curvature_seeds():
    from nibabel.freesurfer import write_morph_data

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lh.sulc"
        write_morph_data(path, noise(40).astype(np.float32))
        return [path.read_bytes(), (40).to_bytes(3, "big") + bytes(3) + noise(40).astype(">i2").tobytes()]


@parser("FreeSurfer curvature", 1, curvature_seeds)
def _curvature(data, folder):
    from factortopy.formats.freesurfer import read_curvature

    assert read_curvature(put(folder, "lh.sulc", data)).dtype == np.float32


def gifti_surface_seeds():
    from nibabel.gifti import GiftiDataArray, GiftiImage

    faces = np.array([[k, (k + 1) % 12, (k + 2) % 12] for k in range(12)], np.int32)
    arrays = [
        GiftiDataArray(noise(12, 3).astype(np.float32), "NIFTI_INTENT_POINTSET", "NIFTI_TYPE_FLOAT32"),
        GiftiDataArray(faces, "NIFTI_INTENT_TRIANGLE", "NIFTI_TYPE_INT32"),
    ]
    return [GiftiImage(darrays=arrays).to_bytes()]


@parser("GIFTI surface", 1, gifti_surface_seeds, (b"NIFTI_INTENT_NODE_INDEX", b'Endian="BigEndian"', b'Dim1="'))
def _gifti_surface(data, folder):
    from factortopy.formats.gifti import read_gifti

    read_gifti(data, "a.surf.gii", geometry=True).surface()


def cifti_seeds():
    from nibabel import Cifti2Image, cifti2

    models = [cifti2.BrainModelAxis.from_surface(np.arange(6), 10242, f"cortex_{side}") for side in ("left", "right")]
    image = Cifti2Image(noise(3, 12).astype(np.float32), (cifti2.SeriesAxis(0, 1, 3), models[0] + models[1]))
    return [image.to_bytes()]


@parser("CIFTI", 2, cifti_seeds, (b'BrainStructure="', b'IndexCount="', b"VertexIndices", b"<!DOCTYPE x>"))
def _cifti(data, folder):
    from factortopy.subjects.folder.responses import open_cifti

    open_cifti(put(folder, "a.dtseries.nii", data))


def surface_values_seeds():
    import gzip

    from nibabel import Cifti2Image, Nifti1Image, Nifti2Image, cifti2
    from nibabel.freesurfer import write_annot
    from nibabel.gifti import GiftiDataArray, GiftiImage

    folded = noise(1707, 1, 6, 2).astype(np.float32)
    made = [Nifti1Image(folded, np.eye(4)).to_bytes(), Nifti2Image(folded, np.eye(4)).to_bytes()]
    nodes = np.random.default_rng(0).permutation(10242).astype(np.int32)
    arrays = [GiftiDataArray(nodes, "NIFTI_INTENT_NODE_INDEX", "NIFTI_TYPE_INT32")]
    arrays += [GiftiDataArray(noise(10242).astype(np.float32), "NIFTI_INTENT_ZSCORE", "NIFTI_TYPE_FLOAT32")]
    axis = cifti2.LabelAxis(["a"], [{0: ("???", (0, 0, 0, 0)), 3: ("V1", (1, 0, 0, 1))}])
    model = cifti2.BrainModelAxis.from_surface(np.arange(6), 10242, "cortex_left")
    made += [GiftiImage(darrays=arrays).to_bytes(), Cifti2Image(np.full((1, 6), 3, "f4"), (axis, model)).to_bytes()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lh.a.annot"
        colours = np.array([[0, 0, 0, 0], [255, 0, 0, 0], [0, 9, 255, 0]])
        write_annot(str(path), np.arange(10242) % 3, colours, ["unknown", "V1", "V2"], fill_ctab=True)
        made.append(path.read_bytes())
    return [*made, *(gzip.compress(one, 6, mtime=0) for one in made[:1])]


@parser(
    "values on a surface",
    4,
    surface_values_seeds,
    (b"NODE_INDEX", b"CIFTI_INDEX_TYPE_PARCELS", b"n+1", b'Key="', b"ni1"),
)
def _surface_values(data, folder):
    from factortopy.view.overlay import read_overlay

    read_overlay(data, "lh.a").maps()


def rows_seeds():
    from nibabel.gifti import GiftiDataArray, GiftiImage

    nodes = np.random.default_rng(0).permutation(10242)[:60].astype(np.int32)
    series = [
        GiftiDataArray(noise(60).astype("f4"), "NIFTI_INTENT_TIME_SERIES", "NIFTI_TYPE_FLOAT32") for _ in range(3)
    ]
    index = GiftiDataArray(nodes, "NIFTI_INTENT_NODE_INDEX", "NIFTI_TYPE_INT32")
    return [GiftiImage(darrays=[index, *series]).to_bytes(), *surface_values_seeds()[:2], *mgh_seeds()]


@parser("responses of a hemisphere", 2, rows_seeds, (b"NODE_INDEX", b"CortexRight", b'Dim0="', b"n+1"))
def _rows(data, folder):
    from factortopy.subjects.folder.responses import open_rows

    rows = open_rows(put(folder, "hemi-L.func.gii", data), 0)
    assert rows.values().shape == rows.shape
    assert rows.vertices is None or (len(rows.vertices) == rows.shape[1] and rows.vertices.min() >= 0)


def film_seeds():
    from film_files import KINDS, encoded, film, with_matrix

    made = [film(kind, frames=6, size=(48, 32)) for kind in ("mp4", "webm", "gif", "avi") if kind in KINDS]
    mirrored = with_matrix(film("mp4", frames=4, size=(48, 32), pixel=2), 0, 1, 1, 0)
    varying = film("mkv", frames=4, size=(48, 32), times=[0, 0.1, 0.5, 0.7])
    deep = encoded([noise(32, 48, 3)] * 3, pix="yuv420p10le", tags={"colorspace": 9})  # HDR takes 5 s to set up
    return [*made, mirrored, varying, deep]


@parser(
    "video",
    2,
    film_seeds,
    (b"moov", b"mdat", b"stts", b"elst", b"tkhd", b"colr", b"pasp", b"#EXTM3U\nfile:///etc/passwd"),
)
def _video(data, folder):
    from factortopy.pictures.video import read_video

    video = read_video(data, size=32, name="a.mp4")
    assert len(video.frames) == len(video.times)


@parser(
    "address of a page",
    5,
    lambda: [b"demo-vit_demo-1", b"12345", b"Layer", b"0.5,0.1,0.2,3"],
    (b"%2e%2e", b"<img src=x>", b"/etc/passwd", "²٣".encode()),
)
def _address(data, folder):
    from unittest.mock import patch

    from factortopy.runs.run import find_run
    from pages.parts import address
    from pages.parts.words import plain

    text = data.decode("utf-8", "replace")
    with patch.object(address.st, "query_params", {"vertex": text}):
        number = address.number("vertex")
    assert number is None or 0 <= number < 10**9
    plain(text)
    if text == "demo-vit_demo-1":
        find_run(text)
    else:
        with contextlib.suppress(InputError):
            assert find_run(text).path.parent.name == "runs"


@parser("values inside a GIFTI", 1, lambda: [np.linspace(0, 1, 10242).astype("<f4").tobytes()])
def _gifti_inside(data, folder):
    """Damage behind base 64 and zlib, which a damaged file seldom reaches."""
    from gifti_text import gii, packed

    from factortopy.view.overlay import read_overlay

    read_overlay(gii(packed(data)), "lh.a.func.gii").maps()


def sweep_seeds():
    from factortopy.sweeps.folder import make

    with tempfile.TemporaryDirectory() as place:
        axes = {"subject": ["demo-1"], "backbone": ["demo-vit", "demo-mae"], "seed": [0, 1]}
        sweep = make(axes, out=Path(place) / "s")
        whole = (sweep.path / "sweep.json").read_bytes()
    content = json.loads(whole)
    for trial, (path, job) in zip(
        content["runs"], [("/gone", "12_1"), (None, "7"), ("x" * 300, None), ("a", None)], strict=True
    ):
        trial |= {"path": path, "job": job}
    return [whole, json.dumps(content).encode()]


@parser(
    "sweep.json",
    4,
    sweep_seeds,
    (b'"runs": [', b'"axes": {', b'"engine": "slurm"', b'"schema": 1', b'"path": "\\u0000"'),
)
def _sweep(data, folder):
    from factortopy import sweeps
    from factortopy.sweeps import folder as sweepfolder

    put(folder, "sweep.json", data)
    sweep = sweepfolder.read(folder)
    table = sweeps.rows(sweep)
    sweeps.counts(table), sweeps.as_csv(table), sweep.varied  # noqa: B018


def label_seeds():
    lines = "".join(f"p{k},{'ab'[k % 2]}\n" for k in range(8))
    return [
        f"image,label\n{lines}".encode(),
        b"image_id,nv,mel\n" + b"".join(b"p%d,%d,%d\n" % (k, k % 2, 1 - k % 2) for k in range(8)),
    ]


@parser("table of labels", 4, label_seeds, (b"label", b"image_id", b"1.0", b'"', b"\r", b"../p1", b";", b"\t"))
def _labels(data, folder):
    from factortopy.finetune.folder import read_folder

    for k in range(8):
        (folder / f"p{k}.jpg").touch()
    put(folder, "labels.csv", data)
    found = read_folder(folder)
    for files in found.classes.values():
        assert all(path.parent == folder for path in files)
