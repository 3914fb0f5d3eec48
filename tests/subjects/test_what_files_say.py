"""What a file of responses, areas, ceilings or maps says of itself: nodes, hemisphere, shape, kind; reports 10 to 13."""

import gzip

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ParcelsAxis, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from plain_folder import N10, about, clone, write
from test_algonauts import stops

from factortopy.formats.gifti import write_label_gii
from factortopy.subjects.check import check
from factortopy.subjects.loading import load_subject


def gifti(rows, nodes=None, structure="", intent="NIFTI_INTENT_NONE"):
    """Bytes of a .func.gii, with node indices first where there are some."""
    arrays = [GiftiDataArray(row.astype("f4"), intent=intent, datatype="NIFTI_TYPE_FLOAT32") for row in rows]
    if nodes is not None:
        index = nodes.astype("i4")
        arrays.insert(0, GiftiDataArray(index, intent="NIFTI_INTENT_NODE_INDEX", datatype="NIFTI_TYPE_INT32"))
    meta = GiftiMetaData({"AnatomicalStructurePrimary": structure} if structure else {})
    return GiftiImage(darrays=arrays, meta=meta).to_bytes()


def responses(folder, **files):
    """Replace the responses: {"hemi-L.mgh": bytes}."""
    for file in (folder / "responses").iterdir():
        file.unlink()
    for name, content in files.items():
        write(folder / "responses" / name, content)


def warnings(folder):
    return [problem.line() for problem in check(folder).problems if problem.severity != "stops"]


def parts(folder):
    return [np.load(folder / f"responses/hemi-{hemi}.npy") for hemi in "LR"]


# ---------------------------------------------------------------- report 10: node indices


def test_values_of_chosen_nodes_lie_at_their_vertices(folder):
    expected, rng = load_subject(folder), np.random.default_rng(0)
    vertices = [np.load(folder / f"vertices/hemi-{hemi}.npy") for hemi in "LR"]
    files = {}
    for hemi, rows, index in zip("LR", parts(folder), vertices, strict=True):
        order = rng.permutation(len(index))
        files[f"hemi-{hemi}.func.gii"] = gifti(rows[:, order], index[order])
        (folder / f"vertices/hemi-{hemi}.npy").unlink()
    responses(folder, **files)
    subject = load_subject(folder)
    assert np.array_equal(subject.responses, expected.responses) and np.array_equal(subject.vertex, expected.vertex)
    write(folder / "vertices/hemi-L.npy", vertices[0])  # the same again is no contradiction
    assert np.array_equal(load_subject(folder).vertex, expected.vertex)
    write(folder / "vertices/hemi-L.npy", vertices[0] + 1)
    stops(folder, "the vertices that hemi-L.func.gii itself names", "remove it")
    (folder / "vertices/hemi-L.npy").unlink()
    order = rng.permutation(40)
    write(folder / "responses/hemi-L.func.gii", gifti(parts_of(expected, 0)[:, order], order))
    subject = load_subject(folder)  # the first vertices, all of them
    assert np.array_equal(subject.responses, expected.responses) and subject.vertex[:40].tolist() == list(range(40))
    write(folder / "vertices/hemi-L.npy", vertices[0])  # or the columns' own numbers
    assert np.array_equal(load_subject(folder).vertex, expected.vertex)
    write(folder / "maps/hemi-L_t.func.gii", gifti(parts_of(expected, 0)[:1, order], order))
    assert np.array_equal(load_subject(folder).maps["t"][:40], parts_of(expected, 0)[0])
    (folder / "vertices/hemi-L.npy").unlink()
    about(folder, density="10k")
    write(folder / "responses/hemi-L.func.gii", gifti(parts_of(expected, 0), vertices[0] + N10))
    stops(folder, "indices from 0 to 10,241")


def parts_of(subject, side):
    return subject.responses[:, subject.hemi == side]


def test_a_permuted_whole_mesh_and_maps_with_nodes(folder):
    rng, truth = np.random.default_rng(1), np.random.default_rng(2).standard_normal((24, N10)).astype("f4")
    order = rng.permutation(N10)
    for hemi in "LR":
        (folder / f"vertices/hemi-{hemi}.npy").unlink()
    for path in (*(folder / "noise").iterdir(), *(folder / "roi").iterdir(), *(folder / "maps").iterdir()):
        path.unlink()
    responses(folder, **{"hemi-L.func.gii": gifti(truth[:, order], order)})
    nodes = order[:500]
    write(folder / "maps/hemi-L_t.func.gii", gifti(truth[:1, nodes], nodes))
    subject = load_subject(folder)
    assert np.array_equal(subject.responses, truth)
    expected = np.full(N10, np.nan)
    expected[nodes] = truth[0, nodes]
    np.testing.assert_array_equal(subject.maps["t"], expected.astype("f4"))


# ---------------------------------------------------------------- report 11: hemispheres


def test_hemispheres_with_the_same_numbers_are_warned_of(folder):
    assert not any("saved twice" in line for line in warnings(folder))
    left = np.load(folder / "responses/hemi-L.npy")
    for right in (left, 3 * left + 1, left.astype("f2")):
        write(folder / "responses/hemi-R.npy", right)
        assert (
            sum("the same ones as in hemi-L.npy; was one hemisphere saved twice?" in line for line in warnings(folder))
            == 1
        )
    write(folder / "responses/hemi-R.npy", -left)
    write(folder / "vertices/hemi-R.npy", np.load(folder / "vertices/hemi-L.npy"))
    write(folder / "maps/hemi-R_polar_angle.npy", np.load(folder / "maps/hemi-L_polar_angle.npy"))
    lines = [line for line in warnings(folder) if "saved twice" in line]
    assert all(
        any(part in line for line in lines) for part in ("hemi-R_polar_angle", "vertices/hemi-R", "hemi-R_visual")
    )
    assert len(lines) == 3  # not the responses, which are mirrored, nor the ncsnr, which is 1 everywhere


def test_a_file_that_says_the_other_hemisphere_is_refused(folder):
    left, right = parts(folder)
    sound = {
        "hemi-L.func.gii": gifti(left, structure="CortexLeft"),
        "hemi-R.func.gii": gifti(right, structure="CORTEX_RIGHT"),
    }
    responses(folder, **sound)
    assert np.array_equal(load_subject(folder).responses, np.hstack([left, right]))
    responses(folder, **sound | {"hemi-R.func.gii": gifti(right, structure="CIFTI_STRUCTURE_CORTEX_LEFT")})
    stops(
        folder, "hemi-R.func.gii: expected the right hemisphere, as its name says", "the left one in its own metadata"
    )
    responses(folder, **sound)
    write(folder / "maps/hemi-L_t.func.gii", gifti(left[:1], structure="CortexRight"))
    assert any(
        "hemi-L_t.func.gii: expected the left hemisphere" in line and "left out" in line for line in warnings(folder)
    )


# ---------------------------------------------------------------- report 12: folded axes


@pytest.mark.parametrize("ending", ["mgh", "mgz", "nii", "nii.gz"])
def test_folded_axes_are_a_surface(folder, ending):
    left, right = parts(folder)

    def packed(data):
        image = (nibabel.MGHImage if ending.startswith("m") else nibabel.Nifti1Image)(data, np.eye(4)).to_bytes()
        return gzip.compress(image, 1) if ending in ("mgz", "nii.gz") else image

    responses(
        folder,
        **{f"hemi-{h}.{ending}": packed(rows.T.reshape(40, 1, 1, 24)) for h, rows in (("L", left), ("R", right))},
    )
    assert np.array_equal(load_subject(folder).responses, np.hstack([left, right]))
    responses(folder, **{f"hemi-L.{ending}": packed(left.T.reshape((4, 5, 2, 24), order="F"))})
    stops(folder, "4 × 5 × 2", "a volume", "mri_vol2surf")
    truth = np.random.default_rng(0).standard_normal((24, N10)).astype("f4")
    (folder / "vertices/hemi-L.npy").unlink()
    responses(folder, **{f"hemi-L.{ending}": packed(truth.T.reshape((1707, 1, 6, 24), order="F"))})  # fsaverage5
    assert np.array_equal(load_subject(folder).responses, truth)


# ---------------------------------------------------------------- report 13: CIFTI by its content


def dense(data, packed=False):
    sides = [BrainModelAxis.from_surface(np.arange(40), N10, f"Cortex{side}") for side in ("Left", "Right")]
    content = Cifti2Image(data, (SeriesAxis(0, 1, len(data)), sides[0] + sides[1])).to_bytes()
    return gzip.compress(content) if packed else content


def test_cifti_compressed_or_under_another_name(folder):
    expected = np.hstack(parts(folder))
    for hemi in "LR":
        (folder / f"vertices/hemi-{hemi}.npy").unlink()
    for name in ("anna.dtseries.nii.gz", "anna.dtseries.nii", "anna.nii", "hemi-L.nii.gz"):
        responses(folder, **{name: dense(expected, name.endswith("gz"))})
        subject = load_subject(folder)
        assert np.array_equal(subject.responses, expected) and subject.vertex.tolist() == 2 * list(range(40))


@pytest.mark.parametrize("name", ["anna.ptseries.nii", "anna.dtseries.nii", "anna.pscalar.nii.gz"])
def test_parcels_are_refused_by_name(folder, name):
    where = [{"CIFTI_STRUCTURE_CORTEX_LEFT": np.arange(9)}]
    parcels = ParcelsAxis(
        ["A"],
        [np.zeros((0, 3), int)],
        where,
        affine=None,
        volume_shape=None,
        nvertices={"CIFTI_STRUCTURE_CORTEX_LEFT": N10},
    )
    content = Cifti2Image(np.zeros((24, 1), "f4"), (SeriesAxis(0, 1, 24), parcels)).to_bytes()
    responses(folder, **{name: gzip.compress(content) if name.endswith("gz") else content})
    stops(folder, name, "found parcels", "take the dense file")


def test_a_surface_under_another_name_is_no_volume(folder):
    left, _ = parts(folder)
    responses(folder, **{"lh.nii": nibabel.Nifti1Image(left.T.reshape(40, 1, 1, 24), np.eye(4)).to_bytes()})
    stops(folder, "lh.nii: expected hemi-L.nii and hemi-R.nii, found values of a surface under another name; rename it")
    responses(folder, **{"hemi-L.npz": b"PK"})
    stops(folder, "found hemi-L.npz; save its arrays")


def test_both_hemispheres_side_by_side(folder):
    (folder / "vertices/hemi-L.npy").unlink()
    responses(folder, **{"hemi-L.npy": np.random.default_rng(0).standard_normal((24, 2 * N10)).astype("f4")})
    stops(folder, "found 20,484, twice as many; both hemispheres side by side?")


# ---------------------------------------------------------------- kinds


def test_labels_vectors_and_masks_are_no_responses(folder):
    left, _ = parts(folder)
    for name, content, words in (
        ("hemi-L.func.gii", gifti(left, intent="NIFTI_INTENT_LABEL"), "found labels"),
        ("hemi-L.func.gii", gifti(left[:3], intent="NIFTI_INTENT_VECTOR"), "vectors"),
        ("hemi-L.func.gii", gifti(left[:3], intent="NIFTI_INTENT_RGB_VECTOR"), "colours"),
        ("hemi-L.npy", left > 0, "a mask"),
        ("hemi-L.npy", left[0], "a (trials, vertices) array, found 40"),
    ):
        responses(folder, **{name: content})
        stops(folder, words)


def test_areas_bring_their_own_names(folder):
    (folder / "roi/visual.tsv").unlink()
    table = [(1, "V1v", (255, 0, 0)), (2, "V1d", (0, 255, 0)), (3, "FFA", (0, 0, 255))]
    expected = load_subject(clone(folder, folder / "other")).roi_names()
    for hemi, structure in (("L", "CortexLeft"), ("R", "CortexRight")):
        labels = np.load(folder / f"roi/hemi-{hemi}_visual.npy")
        (folder / f"roi/hemi-{hemi}_visual.npy").unlink()
        write_label_gii(folder / f"roi/hemi-{hemi}_visual.label.gii", labels, table, False, structure)
    assert expected == [] and load_subject(folder).roi_names() == ["V1", "FFA", "V1v", "V1d"]


def test_a_dscalar_of_one_hemisphere_leaves_out_what_is_below_the_cortex(folder):
    left, _ = parts(folder)
    for path in (
        *(folder / "vertices").iterdir(),
        *(folder / "noise").iterdir(),
        *(folder / "roi").iterdir(),
        *(folder / "maps").iterdir(),
    ):
        path.unlink()
    mask = np.ones((2, 2, 1), bool)
    columns = BrainModelAxis.from_surface(np.arange(40), N10, "CortexLeft") + BrainModelAxis.from_mask(
        mask, "putamen_left"
    )
    data = np.hstack([left, np.zeros((24, 4), "f4")])
    responses(
        folder, **{"a.dscalar.nii": Cifti2Image(data, (ScalarAxis([f"t{k}" for k in range(24)]), columns)).to_bytes()}
    )
    subject = load_subject(folder)
    assert np.array_equal(subject.responses, left) and any("putamen left" in note for note in subject.notes)
