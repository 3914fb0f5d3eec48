"""A user's own maps: what nibabel and numpy write is read back; damaged and hostile files are refused in one line."""

import gzip
import resource

import nibabel
import numpy as np
import pytest
from gifti_text import gii, packed

from factortopy import surfaces
from factortopy.errors import InputError
from factortopy.formats.cifti import write_dscalar
from factortopy.formats.freesurfer import write_annot
from factortopy.formats.gifti import write_func_gii, write_label_gii
from factortopy.formats.mgh import write_mgz
from factortopy.view.overlay import join, read_overlay, read_overlays

N = 10242


def ramp(n=N):
    return np.linspace(-1, 2, n).astype(np.float32)


def mgh(path, values):
    nibabel.save(nibabel.MGHImage(values.reshape(-1, 1, 1), np.eye(4)), path)
    return path


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("ending", ["mgh", "mgz"])
def test_mgh_as_nibabel_writes_it(tmp_path, ending):
    overlay = read_overlay(mgh(tmp_path / f"rh.thickness.{ending}", ramp()))
    np.testing.assert_array_equal(overlay.values[:, 0], ramp())
    assert set(overlay.vertices.hemi) == {1} and overlay.vertices.density == "10k" and overlay.labels is None
    np.testing.assert_array_equal(overlay.vertices.vertex, np.arange(N))


def test_gifti_as_nibabel_and_we_write_it(tmp_path):
    for encoding in ("GIFTI_ENCODING_ASCII", "GIFTI_ENCODING_B64BIN", "GIFTI_ENCODING_B64GZ"):
        array = nibabel.gifti.GiftiDataArray(ramp(), datatype="NIFTI_TYPE_FLOAT32", encoding=encoding)
        data = nibabel.gifti.GiftiImage(darrays=[array]).to_bytes()
        np.testing.assert_allclose(read_overlay(data, "lh.x.func.gii").values[:, 0], ramp(), atol=1e-6)
    two = np.stack([ramp(), -ramp()], 1)
    overlay = read_overlay(write_func_gii(tmp_path / "space.func.gii", two, ("x", "y"), True, "CortexRight"))
    assert overlay.names == ["x", "y"] and set(overlay.vertices.hemi) == {1}  # the hemisphere from the file's own words
    np.testing.assert_array_equal(overlay.values, two)


def test_labels_keep_keys_names_and_colours(tmp_path):
    labels = np.zeros(N, int)
    labels[100:300], labels[300:400] = 1, 7
    table = [(0, "unpainted", None), (1, "first <b>", (255, 0, 0)), (7, "seventh", (0, 0, 255))]
    overlay = read_overlay(write_label_gii(tmp_path / "a.label.gii", labels, table, False, "CortexLeft"))
    (made,) = overlay.maps()
    assert made.kind == "category" and made.legend["names"] == ["first <b>", "seventh"]
    expected = np.full(2 * N, 255)
    expected[100:300], expected[300:400] = 0, 1
    np.testing.assert_array_equal(made.value, expected)
    np.testing.assert_array_equal(made.palette, [(255, 0, 0), (0, 0, 255)])


def test_large_keys_stay_whole(tmp_path):
    keys = np.where(np.arange(N) % 2, 2**24 + 1, 2**24)  # float32 knows the second only
    table = [(2**24, "A", (255, 0, 0)), (2**24 + 1, "B", (0, 0, 255))]
    (made,) = read_overlay(write_label_gii(tmp_path / "lh.a.label.gii", keys, table, False)).maps()
    np.testing.assert_array_equal(made.value[:N], np.arange(N) % 2)


def test_both_hemispheres_of_labels_whose_keys_differ(tmp_path):
    left = write_label_gii(tmp_path / "lh.a.label.gii", np.full(N, 1), [(1, "A", (255, 0, 0))], False, "CortexLeft")
    right = write_label_gii(tmp_path / "rh.a.label.gii", np.full(N, 1), [(1, "B", (0, 255, 0))], False, "CortexRight")
    (overlay,) = read_overlays([right, left])
    (made,) = overlay.maps()
    assert made.legend["names"] == ["A", "B"]
    assert set(made.value[:N]) == {0} and set(made.value[N:]) == {1}


def test_numpy_one_two_and_both_hemispheres(tmp_path):
    np.save(tmp_path / "both.npy", ramp(2 * N))
    overlay = read_overlay(tmp_path / "both.npy")
    np.testing.assert_array_equal(overlay.vertices.hemi, np.repeat([0, 1], N))
    np.testing.assert_array_equal(overlay.vertices.vertex[N:], np.arange(N))
    np.save(tmp_path / "rows.npy", np.stack([ramp(2 * N)] * 3))
    assert read_overlay(tmp_path / "rows.npy").values.shape == (2 * N, 3)


def test_pairs_are_joined_and_others_stay(tmp_path):
    for side in ("lh", "rh"):
        mgh(tmp_path / f"{side}.area.mgh", ramp() * (1 if side == "lh" else 3))
    mgh(tmp_path / "lh.other.mgh", ramp())
    found = read_overlays([tmp_path / "rh.area.mgh", tmp_path / "lh.other.mgh", tmp_path / "lh.area.mgh"])
    assert sorted(len(o.vertices) for o in found) == [N, 2 * N]
    both = next(o for o in found if len(o.vertices) == 2 * N)
    np.testing.assert_allclose(both.values[:, 0], np.r_[ramp(), 3 * ramp()])
    with pytest.raises(InputError, match="two of"):
        read_overlays([("lh.a.mgh", (tmp_path / "lh.area.mgh").read_bytes())] * 2)


def test_a_higher_density_is_shown_at_the_shared_vertices(tmp_path):
    n = surfaces.N_VERTICES["164k"]
    values = np.arange(n, dtype=np.float32)
    overlay = read_overlay(mgh(tmp_path / "lh.fine.mgh", values))
    assert overlay.vertices.density == "164k"
    low = overlay.at("10k")
    np.testing.assert_array_equal(low.values[:, 0], values[:N])
    assert "first 10,242 of 163,842" in low.notices[0]
    (made,) = overlay.maps("10k", low=0, high=float(N))
    assert made.painted[:N].all() and not made.painted[N:].any()


def test_the_map_is_the_values(tmp_path):
    values = ramp()
    values[5] = np.nan
    (made,) = read_overlay(mgh(tmp_path / "lh.z.mgh", values)).maps()
    assert not made.painted[5] and made.painted[:N].sum() == N - 1
    assert made.words["low"] == -made.words["high"]  # both signs: symmetric about 0
    code = made.value[:N].astype(float)
    code[5] = np.nan
    shown = made.words["low"] + code / 254 * (made.words["high"] - made.words["low"])
    inside = np.isfinite(values) & (np.abs(values) < made.words["high"])
    np.testing.assert_allclose(shown[inside], values[inside], atol=0.02)
    assert "10,241" in made.title


@pytest.mark.parametrize("whole", [True, False])
def test_values_of_nodes_lie_at_their_vertices(whole):
    rng = np.random.default_rng(0)
    nodes = rng.permutation(N)[: N if whole else 700]
    index = nibabel.gifti.GiftiDataArray(nodes.astype("i4"), "NIFTI_INTENT_NODE_INDEX", "NIFTI_TYPE_INT32")
    values = nibabel.gifti.GiftiDataArray(ramp()[nodes], "NIFTI_INTENT_ZSCORE", "NIFTI_TYPE_FLOAT32")
    overlay = read_overlay(nibabel.gifti.GiftiImage(darrays=[index, values]).to_bytes(), "rh.tmap.func.gii")
    assert overlay.density == "10k" and overlay.names == ["map 1"] and set(overlay.vertices.hemi) == {1}
    np.testing.assert_array_equal(overlay.vertices.vertex, np.sort(nodes))
    np.testing.assert_array_equal(overlay.values[:, 0], ramp()[np.sort(nodes)])
    (made,) = overlay.maps()
    np.testing.assert_array_equal(np.flatnonzero(made.painted), N + np.sort(nodes))
    assert overlay.notices == [] if whole else "700 vertices alone (NODE_INDEX)" in overlay.notices[0]
    fine = overlay.at("41k")  # the same places, and what is nearest to them; nothing beyond
    shared = fine.vertices.vertex < N
    np.testing.assert_array_equal(fine.vertices.vertex[shared], np.sort(nodes))
    np.testing.assert_array_equal(fine.values[shared, 0], ramp()[np.sort(nodes)])
    assert len(fine.values) < 6 * len(nodes)


def test_a_whole_mesh_of_another_kind_is_no_part_of_fsaverage():
    index = nibabel.gifti.GiftiDataArray(
        np.arange(36002)[::-1].astype("i4"), "NIFTI_INTENT_NODE_INDEX", "NIFTI_TYPE_INT32"
    )
    values = nibabel.gifti.GiftiDataArray(np.zeros(36002, "f4"), "NIFTI_INTENT_ZSCORE", "NIFTI_TYPE_FLOAT32")
    data = nibabel.gifti.GiftiImage(darrays=[index, values]).to_bytes()  # AFNI's std.60
    refused(data, "lh.std60.gii.dset", match="found 36002; resample it")


def test_what_we_export_is_read_back(tmp_path):
    models = [("CortexLeft", np.arange(0, N, 3), N), ("CortexRight", np.arange(1, N, 5), N)]
    both = np.concatenate([ramp()[::3], -ramp()[1::5]])
    overlay = read_overlay(write_dscalar(tmp_path / "maps.dscalar.nii", {"score": both, "scale": 2 * both}, models, {}))
    assert overlay.names == ["score", "scale"] and overlay.density == "10k" and overlay.notices == []
    np.testing.assert_array_equal(overlay.values, np.stack([both, 2 * both], 1))
    np.testing.assert_array_equal(overlay.vertices.vertex, np.r_[0:N:3, 1:N:5])
    keys = np.arange(N) % 3 - 1
    path = write_annot(
        tmp_path / "lh.layer.annot", keys, np.array([[255, 0, 0], [0, 0, 255]], np.uint8), ["layer 1", "layer 2"]
    )
    (made,) = read_overlay(path).maps()
    assert made.legend["names"] == ["layer 1", "layer 2"] and made.painted[:N].sum() == (keys >= 0).sum()
    np.testing.assert_array_equal(made.value[:N], np.where(keys >= 0, keys, 255))
    two = np.stack([ramp(), -ramp()], 1)
    np.testing.assert_array_equal(read_overlay(write_mgz(tmp_path / "rh.space.mgz", two)).values, two)


def test_one_hemisphere_saved_twice_is_said(tmp_path):
    mgh(tmp_path / "lh.area.mgh", ramp())
    mgh(tmp_path / "rh.area.mgh", 2 * ramp())
    (both,) = read_overlays([tmp_path / "lh.area.mgh", tmp_path / "rh.area.mgh"])
    assert both.notices == ["left and right hold the same numbers; was one hemisphere saved twice?"]
    np.save(tmp_path / "both.npy", np.tile(ramp(), 2))
    assert "saved twice" in read_overlay(tmp_path / "both.npy").notices[0]
    mgh(tmp_path / "rh.area.mgh", -ramp())
    assert read_overlays([tmp_path / "lh.area.mgh", tmp_path / "rh.area.mgh"])[0].notices == []


# ---------------------------------------------------------------- what is refused


def refused(data, name="lh.x", match="expected"):
    with pytest.raises(InputError, match=match) as caught:
        read_overlay(data, name)
    words = str(caught.value)
    assert "\n" not in words and "/tmp" not in words and words.startswith(("lh", "file", "x", "picture", "nasty"))
    return words


def test_bombs_and_entities_are_refused_within_little_memory(tmp_path):
    read_overlay(mgh(tmp_path / "lh.x.mgz", ramp()))  # what libraries take is not theirs
    zeros = gii(packed(bytes(120 * 2**20)))
    laughs = "".join(f'<!ENTITY {b} "{f"&{a};" * 30}">' for a, b in zip("abcdefg", "bcdefgh", strict=True))
    head = np.array([1, N, 1, 1, 1, 3, 0], ">i4").tobytes().ljust(284, b"\0")
    longer = gzip.compress(head + bytes(120 * 2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(zeros, match="found more")
    refused(gii("&h;", head=f'<!DOCTYPE G [<!ENTITY a "aaaaaaaaaa">{laughs}]>'), match="XML entities")
    refused(gii("x", head='<!DOCTYPE G [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), match="XML entities")
    refused(longer, match="header lies")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (gii(packed(bytes(4 * N - 4))), "found 40,964"),
        (gii(packed(bytes(4 * N))[:-9] + "!!"), "damaged"),
        (gii("", encoding="ExternalFileBinary"), "inside the file"),
        (gii("1 2 x", encoding="ASCII"), "other words"),
        (gii(packed(bytes(4 * N)), n=-5), "one number a vertex"),
        (gii(packed(bytes(4 * N)), n=10**12), "one number a vertex"),
        (gii(packed(bytes(4 * N)), kind="NIFTI_TYPE_RGB24"), "numbers that GIFTI knows"),
        (gii(packed(bytes(4 * N)), intent="NIFTI_INTENT_POINTSET"), "its shape"),
        (gii(packed(bytes(400)), n=100), "fsaverage hemisphere"),
        (gii(packed(bytes(4 * N)))[:-40], "damaged XML"),
        (b"", "empty file"),
        (b"<html>sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer instead of the map; run: git lfs pull$"),
        (b"\x00\x01\x02", "another kind; export the map"),
        (b"1 2 3", "plain text; export the map in one of these formats$"),
    ],
)
def test_damaged_and_foreign_files(data, match):
    refused(data, match=f"(?i){match}")


def test_cut_and_lying_mgh_and_npy(tmp_path):
    whole = mgh(tmp_path / "lh.a.mgh", ramp()).read_bytes()
    refused(whole[: len(whole) // 2], match="truncated")
    packed_file = mgh(tmp_path / "lh.a.mgz", ramp()).read_bytes()
    refused(packed_file[:-20], match="truncated")
    flipped = bytearray(packed_file)
    flipped[len(flipped) // 2] ^= 0xFF
    refused(bytes(flipped), match="damaged")
    nibabel.save(nibabel.MGHImage(np.zeros((20, 20, 20), np.float32), np.eye(4)), tmp_path / "v.mgh")
    refused((tmp_path / "v.mgh").read_bytes(), match="volume")
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object))
    refused((tmp_path / "p.npy").read_bytes(), match="pickled")
    np.save(tmp_path / "n.npy", ramp())
    refused((tmp_path / "n.npy").read_bytes()[:-8], match="truncated")


def test_the_hemisphere_is_never_guessed(tmp_path):
    data = mgh(tmp_path / "area.mgh", ramp()).read_bytes()
    refused(data, "x.mgh", match="rename it to begin with lh")
    assert set(read_overlay(data, "x.mgh", hemi=1).vertices.hemi) == {1}
    for name, side in (("lh.x.mgh", 0), ("sub-01_hemi-R_x.mgh", 1), ("x.rh.mgh", 1), ("LH_x.mgh", 0)):
        assert set(read_overlay(data, name).vertices.hemi) == {side}
    both = write_func_gii(tmp_path / "lh.x.func.gii", ramp(), "x", False, "CortexRight").read_bytes()
    refused(both, "lh.x.func.gii", match="the file says right")


def test_labels_without_a_name_and_unlike_pairs(tmp_path):
    path = write_label_gii(tmp_path / "lh.a.label.gii", np.full(N, 3), [(1, "A", (1, 2, 3))], False)
    with pytest.raises(InputError, match="without a name"):
        read_overlay(path).maps()
    values = read_overlay(write_func_gii(tmp_path / "rh.a.func.gii", ramp(), "x", False, "CortexRight"))
    with pytest.raises(InputError, match="labels beside values"):
        join(read_overlay(path), values)


def test_a_lower_density_is_spread_to_the_nearest_vertices(tmp_path):
    overlay = read_overlay(mgh(tmp_path / "rh.coarse.mgh", ramp()))
    fine = overlay.at("41k")
    n, sphere = surfaces.N_VERTICES["41k"], surfaces.load_mesh("41k").coords["sphere"][surfaces.N_VERTICES["41k"] :]
    assert len(fine.values) == n and set(fine.vertices.hemi) == {1} and "finer surface" in fine.notices[0]
    np.testing.assert_array_equal(fine.values[:N, 0], ramp())
    for v in (N, 20_000, n - 1):
        nearest = np.argmin(((sphere[:N] - sphere[v]) ** 2).sum(1))
        assert fine.values[v, 0] == ramp()[nearest]
