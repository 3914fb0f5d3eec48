"""Rendered scenes: they repeat, and what they say is in the picture is in the picture."""

import subprocess
import sys

import numpy as np
import pytest
from trials import environment

from benchmarks import make_picture_sheet
from factortopy.stimuli.localizer import localizer
from factortopy.stimuli.scenes import (
    CATEGORIES,
    COVER_SIDE,
    HELD_OUT_SEEDS,
    LOCALIZER_SEEDS,
    SCENE_KINDS,
    SIZES,
    SUBJECT_SEEDS,
    draw_scene,
    labels,
    render_covered,
    render_scene,
    render_scenes,
)

SEEDS = range(7_000_000, 7_000_100)


@pytest.fixture(scope="module")
def drawn():
    return render_covered(SEEDS)


def test_a_seed_gives_one_picture(drawn):
    images, scenes, cover = drawn
    again, truth = render_scene(SEEDS[3])
    assert np.array_equal(again, images[3]) and truth == scenes[3]
    assert not np.array_equal(images[3], images[4])
    assert images.shape == (len(SEEDS), 112, 112, 3) and images.dtype == np.uint8
    assert cover.shape == (len(SEEDS), COVER_SIDE, COVER_SIDE, len(CATEGORIES))


def test_processes_do_not_change_pictures(drawn):
    seeds = SEEDS[:66]  # more than one portion of 64
    images, scenes = render_scenes(seeds, processes=2)
    assert np.array_equal(images, drawn[0][:66]) and scenes == drawn[1][:66]


def test_processes_do_not_run_the_script_again(tmp_path):
    """A script without ``if __name__ == "__main__"``, as people write them; its first line is printed once."""
    script = tmp_path / "mine.py"
    script.write_text(
        "print('begun', flush=True)\n"
        "from factortopy.stimuli.scenes import render_scenes\n"
        f"images, _ = render_scenes(range({SEEDS[0]}, {SEEDS[66]}), processes=2)\n"
        "print(images.shape)\n"
    )
    run = subprocess.run([sys.executable, script], env=environment(), capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n") == ["begun", "(66, 112, 112, 3)", ""]


def test_size_changes_pixels_and_not_the_scene():
    small, truth = render_scene(11)
    large, same = render_scene(11, size=224)
    assert truth == same and large.shape == (224, 224, 3)
    halved = large.reshape(112, 2, 112, 2, 3).mean((1, 3))
    assert np.corrcoef(halved.ravel(), small.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("category", CATEGORIES + SCENE_KINDS)
def test_category_on_request(category):
    for seed in range(4):
        image, scene = render_scene(seed, category)
        whole = [item.category for item in scene.objects if not item.part]
        assert image.shape == (112, 112, 3)
        if category in CATEGORIES:
            assert whole == [category]
        else:
            assert whole == [] and scene.kind == category


def test_unknown_category_is_refused():
    with pytest.raises(ValueError, match="unknown category 'dog'"):
        render_scene(0, "dog")


def test_truth_is_in_range(drawn):
    _, scenes, _ = drawn
    for scene in scenes:
        assert scene.kind in SCENE_KINDS
        assert 0 <= scene.openness <= 1 and 0 <= scene.depth <= 1 and 0 <= scene.horizon <= 1
        if scene.kind == "none":
            assert scene.openness == scene.depth == scene.horizon == 0 and scene.objects
        for item in scene.objects:
            assert len(item.attributes) == 4 and np.abs(item.attributes).max() < 2
            if item.part:
                assert item.category == "face"
            else:
                low, high = SIZES[item.category]
                assert -1 <= item.x <= 1 and -1 <= item.y <= 1 and low <= item.size <= high
    kinds = [scene.kind for scene in scenes]
    assert min(kinds.count(kind) for kind in SCENE_KINDS) > 10
    found = labels(scenes)
    assert found.shape == (len(scenes), 11) and found[:, :8].any(0).all()


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_object_lies_where_the_truth_says(category):
    """Against the same background without objects: pixels differ where the object is and nowhere else."""
    ratios = []
    for seed in range(100, 116):
        image, scene, cover = draw_scene(seed, category)
        item = scene.objects[0]
        covered = cover[..., CATEGORIES.index(category)]
        if len(scene.objects) > 1 or scene.kind == "none":  # a head would change the face's cover as well
            continue
        empty, _ = render_scene(seed, scene.kind)
        inside = np.kron(covered > 230, np.ones((8, 8), bool))
        y, x = np.mgrid[0:112, 0:112] / 56 - 1 + 1 / 112
        reach = item.size + 0.2  # of the box's longest side, and the halo around it
        outside = (np.abs(x - item.x) > reach) | (np.abs(y - item.y) > reach)
        if inside.sum() < 100 or outside.sum() < 500:
            continue
        grey, before = image.mean(-1), empty.mean(-1)
        # contrast and brightness are jittered a picture: fitted away where only background is
        gain, offset = np.polyfit(before[outside], grey[outside], 1)
        change = np.abs(grey - gain * before - offset)
        ratios.append(change[inside].mean() / change[outside].mean())
        if max(abs(item.x), abs(item.y)) + item.size < 0.95:
            rows, columns = np.where(covered > 60)
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            assert abs(extent / COVER_SIDE - item.size) < 2.5 / COVER_SIDE
            middle = np.array([columns.min() + columns.max(), rows.min() + rows.max()]) + 1
            assert np.abs(middle / COVER_SIDE - 1 - (item.x, item.y)).max() < 2.5 / COVER_SIDE
    assert len(ratios) >= 3 and min(ratios) > 1.2 and np.median(ratios) > 3


def test_heads_belong_to_bodies():
    heads = 0
    for seed in range(24):
        _, scene, cover = draw_scene(seed, "body")
        for part in scene.objects[1:]:
            body = scene.objects[0]
            assert part.part and part.category == "face"
            assert 0.1 < part.size / body.size < 0.35
            assert part.y < body.y and np.hypot(part.x - body.x, part.y - body.y) < 1.1 * body.size
            if abs(part.x) < 0.8 and abs(part.y) < 0.8:
                column, row = int((part.x + 1) * COVER_SIDE / 2), int((part.y + 1) * COVER_SIDE / 2)
                assert cover[row, column, CATEGORIES.index("face")] > 80
                heads += 1
    assert heads > 5
    assert len(draw_scene(3, "body", head=False)[1].objects) == 1


def test_words_have_contrast():
    for seed in range(300, 316):
        image, scene, cover = draw_scene(seed, "word")
        inside = np.kron(cover[..., CATEGORIES.index("word")] > 200, np.ones((8, 8), bool))
        if inside.sum() > 200:
            low, high = np.percentile(image.mean(-1)[inside], [5, 95])
            assert high - low > 90, seed


def test_layout_varies_within_kinds_and_overlaps_between_them():
    layouts = {
        kind: np.array([(s.openness, s.depth, s.horizon) for s in (render_scene(i, kind)[1] for i in range(24))])
        for kind in SCENE_KINDS[1:]
    }
    for values in layouts.values():
        assert (values.std(0) > (0.04, 0.05, 0.05)).all()
    low, high = ({kind: edge(values, 0) for kind, values in layouts.items()} for edge in (np.min, np.max))
    assert (low["street"] < high["indoor"]).all()  # some rooms are more open and deeper than some streets
    middle = np.median(layouts["landscape"], 0)
    assert (low["street"] < middle).all() and (middle < high["street"]).all()


def test_seeds_of_different_sets_do_not_meet():
    from benchmarks.make_demo_networks import HELD_OUT, PICTURES

    starts = [0, HELD_OUT_SEEDS, SUBJECT_SEEDS, LOCALIZER_SEEDS]
    assert starts == sorted(starts)
    assert PICTURES <= HELD_OUT_SEEDS and HELD_OUT_SEEDS + HELD_OUT <= SUBJECT_SEEDS
    assert LOCALIZER_SEEDS - SUBJECT_SEEDS >= 5_000_000


def test_localizer():
    pictures = localizer(n=6)
    assert list(pictures) == ["faces", "bodies", "scenes", "objects", "words"]
    for images in pictures.values():
        assert images.shape == (6, 112, 112, 3) and images.dtype == np.uint8
        assert len({image.tobytes() for image in images}) == 6
    assert np.array_equal(localizer(n=3)["words"], pictures["words"][:3])
    assert not np.array_equal(localizer(n=3, seed=1)["words"], pictures["words"][:3])


def test_contact_sheet(monkeypatch):
    monkeypatch.setattr(make_picture_sheet, "COLUMNS", 1)
    pixels = np.asarray(make_picture_sheet.contact_sheet().convert("RGB"))
    assert pixels.shape == (15 * 98, 84 + 98, 3)
    tiles = pixels[:, 84:].reshape(15, 98, 98, 3)[:, :96, :96]
    assert (tiles.std((1, 2, 3)) > 5).all()
