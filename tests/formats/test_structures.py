"""Which hemisphere and space a file's name says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factortopy.formats.structures import other_space, side_in_name, without_side


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("lh.x.mgh", 0),
        ("x.rh.mgh", 1),
        ("LH_x.mgh", 0),
        ("sub-01_hemi-R_x.func.gii", 1),
        ("sub-01_task-L_hemi-R_bold.func.gii", 1),
        ("rh.left_minus_right.mgh", 1),
        ("100307.L.thickness.32k.shape.gii", 0),
        ("sulc_left.gii.gz", 0),
        ("tpl-fsaverage_den-164k_hemi-L_feature.func.gii", 0),
        ("hull.mgh", None),
        ("learn.func.gii", None),
    ],
)
def test_the_side_of_a_name(name, side):
    assert side_in_name(name) == side


@given(
    st.sampled_from(["lh", "rh"]),
    st.sampled_from(["{}.{}.mgh", "{1}.{0}.func.gii", "sub_hemi-{0}_{1}.npy"]),
    st.text("abxyz_", max_size=8),
)
def test_both_sides_of_a_map_have_one_name(side, form, words):
    other = {"lh": "rh", "rh": "lh"}[side]
    one, two = (form.format(part, words) for part in (side, other))
    assert side_in_name(one) == (side == "rh") and without_side(one) == without_side(two)


def test_spaces_that_are_not_fsaverage():
    assert [other_space(name) for name in ("a_space-fsLR_den-32k.func.gii", "a.32k_fs_LR.func.gii", "sub-1_space-T1w_x.func.gii")] == [
        "fsLR", "fs_LR", "T1w",
    ]  # fmt: skip
    for name in (
        "lh.fslr_to_fsaverage.mgh",
        "a_space-fsaverage5_x.func.gii",
        "tpl-fsaverage_den-41k_hemi-L_x.func.gii",
        "myspace-x.mgh",
    ):
        assert other_space(name) == ""
