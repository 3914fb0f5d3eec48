"""One way in for values on a surface: whatever holds them gives the same numbers and says what it says; the rest is named."""

import gzip
import io
import pickle

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel import cifti2
from nibabel.freesurfer import write_annot, write_geometry, write_morph_data

from factortopy.errors import InputError
from factortopy.formats.freesurfer import read_annot
from factortopy.formats.surface_shapes import on_surface
from factortopy.formats.surface_values import open_values
from factortopy.formats.twins import alike, alike_where_both

PROPERTY = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
N = 10242
ICO = {642: (107, 1, 6), N: (1707, 1, 6), 40962: (6827, 1, 6), 163842: (27307, 1, 6)}


def refused(path, match):
    with pytest.raises(InputError, match=match) as caught:
        open_values(path)
    words = str(caught.value)
    assert "\n" not in words and words.startswith(f"{path}: expected ") and "; " in words
    return words


def put(path, content):
    path.write_bytes(content)
    return path


# ---------------------------------------------------------------- shapes of MGH and NIfTI


@pytest.mark.parametrize(
    "axes", [*ICO.values(), (N, 1, 1), (1, N, 1), (1, 1, N), (N // 6, 6, 1), (42, 47, 83), (20000, 1, 7)]
)
def test_axes_of_a_surface(axes):
    assert on_surface(axes)


@pytest.mark.parametrize("axes", [(8, 8, 8), (64, 1, 64), (83, 47, 42), (91, 109, 91), (256, 256, 1)])
def test_axes_of_a_volume(axes):
    assert not on_surface(axes)


@given(
    n=st.sampled_from([642, N, 40962]), folded=st.booleans(), frames=st.integers(1, 3),
    kind=st.sampled_from(["f4", "f8", "i2", "u1", "i4"]), order=st.sampled_from("<>"), form=st.sampled_from(["nii", "nii2", "mgh"]),
    packed=st.booleans(), scale=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@PROPERTY
def test_folded_or_not_vertex_k_is_value_k(tmp_path, n, folded, frames, kind, order, form, packed, scale, seed):
    kind = kind if form != "mgh" or kind in ("f4", "i2", "u1", "i4") else "f4"
    truth = np.random.default_rng(seed).integers(0, 200, (frames, n)).astype(kind)
    data = truth.T.reshape((*(ICO[n] if folded else (n, 1, 1)), frames), order="F")
    if form == "mgh":
        content = nibabel.MGHImage(data[..., 0] if frames == 1 else data, np.eye(4)).to_bytes()
        slope, intercept = 1, 0
    else:
        header = (nibabel.Nifti1Header if form == "nii" else nibabel.Nifti2Header)(endianness=order)
        header.set_data_dtype(kind)
        if n > 32767 and not folded and form == "nii":  # FreeSurfer's own way, where an axis is 16 bits
            header.set_data_shape((1, 1, 1, frames))
            header["dim"][1], header["glmin"] = -1, n
        else:
            header.set_data_shape(data.shape)
        slope, intercept = (0.5, 3) if scale else (1, 0)
        header["scl_slope"], header["scl_inter"] = slope, intercept
        header["magic"] = b"n+1" if form == "nii" else b"n+2"
        header["vox_offset"] = 352 if form == "nii" else 544
        content = header.binaryblock + bytes(4) + data.astype(order + kind).tobytes("F")
    path = put(tmp_path / "lh.x.any", gzip.compress(content, 1) if packed else content)
    (values,) = open_values(path)
    assert (
        np.array_equal(values.values(), truth * slope + intercept) and values.vertices is None and values.hemi is None
    )
    assert np.array_equal(np.concatenate([block for _, block in values.blocks()]), values.values())


@pytest.mark.parametrize("turned", [False, True])
def test_two_axes_as_numpy_users_write_them(tmp_path, turned):
    truth = np.random.default_rng(0).standard_normal((3, N)).astype("f4")
    content = nibabel.Nifti2Image(truth if turned else truth.T, np.eye(4)).to_bytes()
    for packed in (False, True):
        (values,) = open_values(put(tmp_path / "x.nii", gzip.compress(content, 1) if packed else content))
        assert np.array_equal(values.values(), truth) and np.array_equal(values.sample(2), truth[::2])


def test_volumes_headers_alone_and_other_numbers(tmp_path):
    for image in (
        nibabel.Nifti1Image(np.zeros((8, 9, 10), "f4"), np.eye(4)),
        nibabel.MGHImage(np.zeros((8, 9, 10), "f4"), np.eye(4)),
    ):
        refused(put(tmp_path / "a.nii", image.to_bytes()), "8 × 9 × 10")
    whole = nibabel.Nifti1Image(np.zeros((N, 1, 1), "f4"), np.eye(4)).to_bytes()
    refused(put(tmp_path / "a.nii", whole[:-9]), "truncated, or its header lies")
    refused(put(tmp_path / "a.nii", whole[:300]), "another kind, or cut off")
    refused(put(tmp_path / "a.nii", whole[:344] + b"ni1\0" + whole[348:]), "header alone")
    packed = gzip.compress(whole)
    refused(put(tmp_path / "a.nii.gz", packed[:-9]), "truncated")
    refused(put(tmp_path / "a.nii.gz", gzip.compress(whole[:-9])), "truncated, or its header lies")
    complex_image = nibabel.Nifti1Image(np.zeros((N, 1, 1), np.complex64), np.eye(4))
    refused(put(tmp_path / "a.nii", complex_image.to_bytes()), "complex numbers")


# ---------------------------------------------------------------- CIFTI


def cortex(vertices=(0, 5, 7), n=N):
    axes = [cifti2.BrainModelAxis.from_surface(np.array(vertices), n, f"Cortex{side}") for side in ("Left", "Right")]
    return axes[0] + axes[1]


def parcels():
    return cifti2.ParcelsAxis(
        ["A"], [np.zeros((0, 3), int)], [{"CIFTI_STRUCTURE_CORTEX_LEFT": np.arange(3)}], affine=None, volume_shape=None,
        nvertices={"CIFTI_STRUCTURE_CORTEX_LEFT": N},
    )  # fmt: skip


AXES = {
    "series": cifti2.SeriesAxis(0, 1, 4),
    "scalars": cifti2.ScalarAxis(list("abcd")),
    "dense": cortex(),
    "parcels": parcels(),
}


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ("series", "parcels", "found parcels"),
        ("scalars", "parcels", "found parcels"),
        ("parcels", "parcels", "found parcels"),
        ("parcels", "dense", "found parcels"),
        ("dense", "parcels", "found parcels"),
        ("dense", "dense", "connectivity"),
        ("dense", "series", "rows and columns exchanged"),
        ("dense", "scalars", "rows and columns exchanged"),
    ],
)
@pytest.mark.parametrize("name", ["a.dtseries.nii", "a.pconn.nii", "hemi-L.nii", "a.dscalar.nii.gz"])
def test_what_a_cifti_file_holds_is_its_own_word(tmp_path, rows, columns, words, name):
    axes = AXES[rows], AXES[columns]
    content = cifti2.Cifti2Image(np.zeros([len(axis) for axis in axes], "f4"), axes).to_bytes()
    refused(put(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content), words)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rows", ["series", "scalars"])
def test_a_dense_cifti_file_is_two_hemispheres(tmp_path, rows, packed):
    data = np.random.default_rng(0).standard_normal((4, 6 + 8)).astype("f4")
    mask = np.ones((2, 2, 2), bool)
    axes = AXES[rows], cortex() + cifti2.BrainModelAxis.from_mask(mask, "thalamus_left")
    content = cifti2.Cifti2Image(data, axes).to_bytes()
    left, right = open_values(put(tmp_path / "x", gzip.compress(content) if packed else content))
    assert np.array_equal(left.values(), data[:, :3]) and np.array_equal(right.values(), data[:, 3:6])
    assert (left.hemi, right.hemi, left.mesh) == (0, 1, N) and left.vertices.tolist() == [0, 5, 7]
    assert left.names == (tuple("abcd") if rows == "scalars" else ()) and "thalamus left" in left.notices[0]


def test_labels_of_a_cifti_file(tmp_path):
    table = {0: ("???", (0, 0, 0, 0)), 3: ("V1", (1, 0, 0, 1))}
    axis = cifti2.LabelAxis(["areas"], [table])
    content = cifti2.Cifti2Image(np.full((1, 6), 3, "f4"), (axis, cortex())).to_bytes()
    left, _ = open_values(put(tmp_path / "a.dlabel.nii", content))
    assert left.intents == {"LABEL"} and left.labels == table and left.names == ("areas",)


# ---------------------------------------------------------------- FreeSurfer's own files, and others


def test_curvature_and_annotation_are_read(tmp_path):
    truth = np.random.default_rng(0).standard_normal(N).astype("f4")
    write_morph_data(tmp_path / "lh.sulc", truth)
    assert np.array_equal(open_values(tmp_path / "lh.sulc")[0].values()[0], truth)
    old = np.round(100 * truth).astype(">i2")
    path = put(tmp_path / "lh.curv", N.to_bytes(3, "big") + bytes(3) + old.tobytes())
    assert np.allclose(open_values(path)[0].values()[0], old / 100)
    keys = np.random.default_rng(1).integers(-1, 3, N)
    colours = np.array([[0, 0, 0, 0], [255, 0, 0, 0], [0, 9, 255, 0]])
    write_annot(str(tmp_path / "lh.a.annot"), keys, colours, ["unknown", "V1", "V2"], fill_ctab=True)
    (values,) = open_values(tmp_path / "lh.a.annot")
    expected = np.where(keys == -1, 0, keys)  # black is what both mean
    assert np.array_equal(values.values()[0], expected) and values.labels[2] == ("V2", (0, 9 / 255, 1, 1))
    whole = (tmp_path / "lh.a.annot").read_bytes()
    for end in range(4 + 8 * N, len(whole)):
        with pytest.raises(InputError, match="a whole colour table|without"):
            read_annot(put(tmp_path / "cut.annot", whole[:end]))


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def surface(tmp_path):
    write_geometry(str(tmp_path / "s"), np.zeros((4, 3)), np.array([[0, 1, 2], [1, 2, 3]]))
    return (tmp_path / "s").read_bytes()


def test_other_files_are_called_by_their_name(tmp_path):
    for content, words in (
        (surface(tmp_path), "geometry of a FreeSurfer surface"),
        (b"\xff\xff\xff\xff\0\0\0\1" + bytes(20), "flat patch"),
        (b"#!ascii label  , from subject fsaverage\n1\n0 1 2 3 0\n", "a FreeSurfer label in text"),
        (b"<AFNI_dataset self_idcode='x'>", "NIML"),
        (b"MATLAB 5.0 MAT-file", "MATLAB"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (pickle.dumps(np.zeros(3)), "a pickled Python object.* np.save"),
        (npz(), r"NumPy archive \(.npz\); save one array"),
        (gzip.compress(b"\x93NUMPY\1\0"), "gzipped one; unpack"),
    ):
        for name in ("hemi-L.mgh", "lh.x", "hemi-L.npy", "hemi-L.func.gii"):
            refused(put(tmp_path / name, content), words)


@pytest.mark.parametrize(
    "name", ["a.164k_fs_LR.dscalar.nii", "sub-1_hemi-L_space-fsLR_den-164k_x.npy", "sub-1_hemi-L_space-fsnative_x.npy"]
)
def test_a_name_that_says_another_space(tmp_path, name):
    np.save(tmp_path / "x.npy", np.zeros(163842, "f4"))
    refused(put(tmp_path / name, (tmp_path / "x.npy").read_bytes()), "a name that says fs")
    for sound in ("lh.fslr_to_fsaverage.npy", "sub-1_hemi-L_space-fsaverage_den-164k_x.npy"):
        assert open_values(put(tmp_path / sound, (tmp_path / "x.npy").read_bytes()))[0].shape == (163842,)


# ---------------------------------------------------------------- both hemispheres alike


@given(
    rows=st.integers(1, 12), n=st.integers(60, 200), slope=st.floats(0.01, 300), intercept=st.floats(-5, 5),
    how=st.sampled_from(["equal", "missing", "scaled", "each vertex", "half", "mirrored", "noise", "shuffled"]), seed=st.integers(0, 99),
)  # fmt: skip
@PROPERTY
def test_likeness(rows, n, slope, intercept, how, seed):
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((rows, n)).astype("f4")
    right = left.copy()
    if how == "missing":
        right[:, rng.random(n) < 0.2] = np.nan
    elif how == "scaled":
        right = slope * left + intercept
    elif how == "each vertex":
        right = left * rng.uniform(0.5, 2, n) + rng.standard_normal(n)
    elif how == "half":
        right = left.astype("f2")
    elif how == "mirrored":
        right = -left
    elif how == "noise":
        right = left + rng.standard_normal((rows, n)) / 10
    elif how == "shuffled":
        right = rng.permutation(left.T).T
    expected = how in ("equal", "missing", "scaled", "half") or (how == "each vertex" and rows >= 5)
    assert alike(left, right) == expected
    order = rng.permutation(n)
    assert alike_where_both(left, np.arange(n), right[:, order], order) == expected


def test_constants_and_labels_of_different_places_are_not_alike():
    assert not alike(np.ones((1, 50)), np.ones((1, 50)))
    assert alike(np.arange(50) % 3, np.arange(50) % 3) and not alike(np.arange(50) % 3, np.arange(50) % 4)
    labels = (np.arange(50) % 3)[None]
    assert not alike_where_both(labels, np.arange(50), labels, np.arange(100, 150))
