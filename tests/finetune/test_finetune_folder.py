"""Labelled pictures as data sets are released, and as they should not be; which pictures are drawn."""

import csv

import numpy as np
import pytest
from PIL import Image

from factortopy.errors import InputError
from factortopy.finetune import drawings, split
from factortopy.finetune.folder import read_folder
from factortopy.finetune.split import Pixels


def picture(path, seed=0, size=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)
    return path


def classes(folder, names=("Forest", "River"), n=6):
    for k, name in enumerate(names):
        for i in range(n):
            picture(folder / name / f"{name}_{i}.jpg", 10 * k + i)
    return folder


def table(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("inside", ["", "2750", "EuroSAT/2750"])
def test_class_folders_are_found_where_they_lie(tmp_path, inside):
    classes(tmp_path / inside)
    found = read_folder(tmp_path)
    assert found.counts() == {"Forest": 6, "River": 6} and not found.problems and found.form == "class folders"


def test_train_and_test_folders_keep_their_parts(tmp_path):
    classes(tmp_path / "ISIC" / "Train", ("melanoma", "nevus"), 5)
    classes(tmp_path / "ISIC" / "Test", ("melanoma", "nevus", "other"), 3)
    found = read_folder(tmp_path)
    assert found.counts() == {"melanoma": 8, "nevus": 8} and "other" in found.problems[0]
    made = split.split(found, Pixels(8), 50, 2, seed=0)
    assert all("/Train/" in name for name, _ in made["train"]) and len(made["train"]) == 10
    assert all("/Test/" in name for name, _ in made["test"]) and len(made["test"]) == 4


def test_isic_ground_truth_with_a_column_a_class(tmp_path):
    for i in range(7):
        picture(tmp_path / "ISIC_2019_Training_Input" / f"ISIC_{i:07d}.jpg", i)
    rows = [[f"ISIC_{i:07d}", float(i % 2), float(1 - i % 2), 0.0] for i in range(8)]
    table(tmp_path / "ISIC_2019_Training_GroundTruth.csv", [["image", "MEL", "NV", "UNK"], *rows])
    picture(tmp_path / "ISIC_2019_Training_Input" / "extra.jpg", 9)
    found = read_folder(tmp_path)
    assert found.counts() == {"MEL": 3, "NV": 4} and "one column a class" in found.form
    assert any("1 of its 8 pictures" in line for line in found.problems) and any(
        "1 pictures have no label" in line for line in found.problems
    )


def test_a_column_of_labels_and_the_third_class_without_a_column(tmp_path):
    for i in range(6):
        picture(tmp_path / "images" / f"p{i}.png", i)
    table(tmp_path / "meta.csv", [["image_id", "age", "dx"], *([f"p{i}", 50, ("mel", "nv")[i % 2]] for i in range(6))])
    assert read_folder(tmp_path).counts() == {"mel": 3, "nv": 3}
    table(
        tmp_path / "meta.csv",
        [["image_id", "melanoma", "seborrheic_keratosis"], *([f"p{i}", int(i == 0), int(i == 1)] for i in range(6))],
    )
    assert read_folder(tmp_path).counts() == {"melanoma": 1, "none of them": 4, "seborrheic_keratosis": 1}


def test_a_table_of_something_else_is_no_table(tmp_path):
    classes(tmp_path)
    table(tmp_path / "notes.csv", [["image", "width", "height"], ["Forest_0", 3, 4]])
    table(tmp_path / "empty.csv", [])
    assert read_folder(tmp_path).form == "class folders"


def test_bad_pictures_are_listed_and_replaced(tmp_path, monkeypatch):
    classes(tmp_path, n=9)
    for name in ("Forest_0", "Forest_1", "Forest_2"):
        (tmp_path / "Forest" / f"{name}.jpg").write_bytes(b"not a picture")
    (tmp_path / "River" / "readme.txt").write_text("x")
    big = Image.new("L", (9000, 9000))  # few bytes, many pixels
    big.save(tmp_path / "River" / "bomb.png")
    found = read_folder(tmp_path)
    assert "River: 1 files are no pictures" in found.problems[0]
    made = split.split(found, Pixels(8), 4, 20, seed=0)
    assert made["unreadable"] == 4 and any("bomb.png" in line and "million pixels" in line for line in made["problems"])
    names = [name for name, _ in (*made["train"], *made["test"])]
    assert len(names) == len(set(names)) == 6 + 9 and "River/bomb.png" not in names
    assert [sum(k == label for _, k in made["train"]) for label in (0, 1)] == [4, 4]
    assert split.split(found, Pixels(8), 4, 20, seed=0) == made != split.split(found, Pixels(8), 4, 20, seed=1)


def test_few_pictures_leave_some_to_hold_out(tmp_path):
    classes(tmp_path, n=3)
    picture(tmp_path / "Alone" / "one.png")
    (tmp_path / "Empty").mkdir()
    found = read_folder(tmp_path)
    assert "class Empty" in found.problems[0]
    made = split.split(found, Pixels(8), 50, 100, seed=0)
    assert made["classes"] == ["Forest", "River"] and len(made["train"]) == 4 and len(made["test"]) == 2
    assert any("class Alone" in line for line in made["problems"])
    both = split.split(read_folder(classes(tmp_path / "more", n=12)), Pixels(8), 10, 2, seed=0)
    assert len(both["train"]) == 20 and len(both["test"]) == 4


@pytest.mark.parametrize("kind", ["nothing", "file", "pictures", "one", "deep"])
def test_wrong_folders_are_one_sentence(tmp_path, kind):
    path = tmp_path / "data"
    if kind == "file":
        path.write_text("x")
    elif kind == "pictures":
        picture(path / "a.png")
    elif kind == "one":
        classes(path, ("Forest",))
    elif kind == "deep":
        picture(path / "a" / "b" / "c" / "d" / "e" / "f" / "x.png")
    with pytest.raises(InputError, match="expected") as told:
        read_folder(path)
    assert "\n" not in str(told.value) and "data" in str(told.value)


def test_pictures_are_squashed_and_read_again_where_memory_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(split, "MEMORY", 8 * 8 * 3)
    paths = [picture(tmp_path / f"{i}.png", i, 20) for i in range(2)]
    pixels = Pixels(8)
    assert pixels.batch(paths).shape == (2, 8, 8, 3) and list(pixels._kept) == paths[:1]
    np.testing.assert_array_equal(pixels.batch(paths)[1], Pixels(8).read(paths[1]))


def test_drawings_are_labelled_as_rendered(tmp_path):
    assert (
        drawings.write_drawings(tmp_path / "d", per_class=2, size=32, on_progress=lambda done, total: done < 5) is None
    )
    made = read_folder(drawings.write_drawings(tmp_path / "d", per_class=2, size=32))
    assert made.simulated and len(made.counts()) == 11 and set(made.counts().values()) == {2}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    with pytest.raises(InputError, match="new or empty"):
        drawings.write_drawings(tmp_path / "other")
