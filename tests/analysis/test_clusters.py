"""Channel clusters: any number from one tree, colours that stay, progress, the cache; what a cluster is told by."""

import numpy as np
import pytest
from compared import hand_made
from sklearn.metrics import adjusted_rand_score

from factortopy import analysis
from factortopy.analysis.clusters import _kept, carried, kept_tree
from factortopy.analysis.gallery import Gallery
from factortopy.errors import InputError, Stopped

SIZES = (90, 60, 45, 30, 15)


def groups(seed=0, channels=12, spread=0.15):
    """Channel weights of five planted groups, shuffled, and the group of each vertex."""
    rng = np.random.default_rng(seed)
    centre = np.linalg.qr(rng.standard_normal((channels, channels)))[0][: len(SIZES)]
    group = rng.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    return centre[group] + spread * rng.standard_normal((len(group), channels)) / channels**0.5, group


@pytest.fixture(scope="module")
def tree():
    weight, _ = groups(spread=1.2)
    return analysis.cluster_tree(hand_made(channel=weight))


def test_planted_groups_come_back_numbered_by_size():
    weight, group = groups()
    found = analysis.channel_clusters(hand_made(channel=weight), k=5)
    np.testing.assert_array_equal(found, group)  # the largest is 0, and so on


def test_seeded():
    weight, _ = groups(spread=1.5)
    encoder = hand_made(channel=weight)
    first = analysis.channel_clusters(encoder, k=7, seed=4)
    np.testing.assert_array_equal(analysis.channel_clusters(encoder, k=7, seed=4), first)
    sizes = np.bincount(first)
    assert len(sizes) == 7 and (np.diff(sizes) <= 0).all() and sizes.sum() == len(weight)


def test_the_kernel_trick_equals_the_kernel():
    """Rows of w wᵀ, clustered as the paper does, give the same groups as the short way."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from sklearn.cluster import KMeans

    weight, _ = groups(seed=2, spread=0.6)
    kernel = weight @ weight.T
    means = KMeans(max(5, len(weight) // 4), n_init=1, random_state=0).fit(kernel)
    expected = fcluster(linkage(means.cluster_centers_, "ward"), 5, "maxclust")[means.labels_]
    assert adjusted_rand_score(expected, analysis.channel_clusters(hand_made(channel=weight), k=5)) > 0.95


def test_vertices_that_are_not_predicted_have_no_cluster():
    weight, group = groups()
    encoder = hand_made(channel=weight)
    painted = np.random.default_rng(1).random(len(weight)) < 0.6
    encoder.scores = {"predicted": painted.astype(np.uint8)}
    found = analysis.channel_clusters(encoder, k=5)
    assert (found[~painted] == -1).all() and (found[painted] >= 0).all()
    assert adjusted_rand_score(group[painted], found[painted]) == 1
    silent = weight.copy()
    silent[:10] = 0  # a vertex that never answered reads no channel
    assert (analysis.channel_clusters(hand_made(channel=silent), k=5)[:10] == -1).all()


@pytest.mark.parametrize("k", [0, 1, 241])
def test_too_many_or_too_few_clusters_are_said(k):
    weight, _ = groups()
    with pytest.raises(InputError, match="between 2 and 240") as caught:
        analysis.channel_clusters(hand_made(channel=weight), k=k)
    assert "\n" not in str(caught.value)


def test_more_clusters_only_divide_those_that_are_there(tree):
    for k in range(2, 40):
        few, many = tree.labels(k), tree.labels(k + 1)
        assert len(np.unique(few)) == k and (np.diff(np.bincount(few)) <= 0).all()
        pairs = np.unique(np.stack([few, many]), axis=1)
        assert pairs.shape[1] == k + 1  # each of the many lies in one of the few


def test_one_more_cluster_changes_the_colour_of_the_smaller_part_alone(tree):
    for k in range(2, 40):
        labels, colours = tree.coloured(k)
        others, more = tree.coloured(k + 1)
        assert len(set(colours)) == k and len(set(more)) == k + 1 and max(more) < max(20, k + 1)
        changed = colours[labels] != more[others]
        (new,) = np.unique(others[changed])
        assert (others[changed] == new).sum() == (others == new).sum()
        (parent,) = np.unique(labels[changed])
        assert (others == new).sum() <= (labels == parent).sum() / 2


def test_clusters_that_have_colours_keep_them(tree):
    known = tree.labels(6)
    labels, colours = tree.coloured(6, known)
    assert labels is known and list(colours) == list(range(6))
    rng = np.random.default_rng(0)
    known = rng.permutation(6)[known]  # numbered otherwise, as another machine might
    labels, colours = tree.coloured(7, known)
    assert (colours[labels] == known).mean() > 0.8 and len(set(colours)) == 7


def test_colours_are_carried_by_shared_vertices():
    before, after = np.array([0, 0, 0, 1, 1, 2, -1]), np.array([1, 1, 2, 0, 0, 0, 2])
    assert list(carried(before, [7, 4, 9], after)) == [4, 7, 9]
    assert list(carried(np.array([0, 0, 1]), [5, 3], np.array([0, 1, 2]))) == [5, 0, 3]  # a new one takes a free colour


@pytest.mark.parametrize("k", [1, 61])
def test_a_number_that_cannot_be_is_said(tree, k):
    with pytest.raises(InputError, match="between 2 and 60"):
        tree.labels(k)


def test_a_few_iterations_at_a_time_are_the_same_as_all_at_once():
    from sklearn.cluster import KMeans

    weight, _ = groups(spread=1.5, seed=3)
    seen = []
    tree = analysis.cluster_tree(hand_made(channel=weight), on_progress=lambda done, total: seen.append((done, total)))
    w = weight.astype(np.float32).astype(float)
    value, vector = np.linalg.eigh(w.T @ w)
    rows = w @ (vector * np.sqrt(np.maximum(value, 0))) @ vector.T
    rows /= rows.std()
    at_once = KMeans(len(w) // 4, n_init=1, random_state=0).fit(rows)
    np.testing.assert_array_equal(tree.leaf, at_once.labels_)
    assert seen[0][0] == 0 and len(seen) > 1 and all(done < total for done, total in seen)


def test_it_stops_when_asked():
    weight, _ = groups()
    with pytest.raises(Stopped):
        analysis.cluster_tree(hand_made(channel=weight), on_progress=lambda done, total: done == 0)


def test_a_tree_is_kept_and_a_torn_one_made_again():
    weight, _ = groups()
    encoder = hand_made(channel=weight)
    first = kept_tree(encoder)
    path = _kept(encoder, 0)
    calls = []
    again = kept_tree(encoder, on_progress=lambda *told: calls.append(told))
    np.testing.assert_array_equal(again.labels(9), first.labels(9))
    assert not calls  # it was only read
    path.write_bytes(path.read_bytes()[:40])
    np.testing.assert_array_equal(kept_tree(encoder).labels(9), first.labels(9))
    encoder.scores = {"predicted": np.arange(len(weight)) % 2}
    assert _kept(encoder, 0) != path and (kept_tree(encoder).leaf[::2] == -1).all()


def test_overlap_with_areas():
    labels = np.array([0, 0, 0, 0, 1, 1, -1])
    rois = {
        "A": np.array([1, 0, 0, 0, 1, 0, 1], bool),
        "B": np.array([1, 1, 1, 0, 0, 0, 0], bool),
        "C": np.zeros(7, bool),
    }
    assert analysis.cluster_overlap(labels, 0, rois) == [
        {"roi": "B", "vertices": 3, "of_cluster": 0.75, "of_area": 1.0},
        {"roi": "A", "vertices": 1, "of_cluster": 0.25, "of_area": 0.5},
    ]


def test_pictures_that_drive_several_vertices_most():
    predicted = np.array([[1, 0, 9], [0, 3, 0], [2, 2, 0]], np.float16)
    gallery = Gallery(np.zeros((3, 1, 1, 3), np.uint8), predicted, predicted, np.arange(3))
    assert list(gallery.top([0, 1], 2)) == [2, 1]
    assert list(gallery.top(np.array([True, True, False]), 3)) == [2, 1, 0]


def test_the_chosen_cluster_keeps_its_colour_and_the_others_are_grey():
    from factortopy.surfaces.coordinates import Vertices
    from factortopy.view.cluster_maps import chosen_cluster_map, cluster_colours

    vertices, labels = Vertices(np.zeros(6), np.arange(6)), np.array([0, 0, 1, 1, 2, -1])
    colours = np.array([4, 0, 21])
    every = chosen_cluster_map(labels, colours, vertices)
    one = chosen_cluster_map(labels, colours, vertices, only=1)
    np.testing.assert_array_equal(every.palette, cluster_colours(colours))
    ground = np.zeros((len(every.value), 3), np.uint8)
    before, after = every.colours(ground), one.colours(ground)
    np.testing.assert_array_equal(after[2:4], before[2:4])
    assert (np.ptp(after[[0, 1, 4]].astype(int), axis=1) < 10).all() and (after[[0, 1, 4]] > 100).all()
    np.testing.assert_array_equal(one.painted, every.painted)
    assert [one.words["names"][k] for k in one.value[:5]] == [every.words["names"][k] for k in every.value[:5]]
    assert "cluster 2" in one.title and "cluster 2 of 3" in one.legend["label"]
    assert one.legend["names"] == ["2", "others"]
    np.testing.assert_array_equal(one.palette[0], every.palette[1])
