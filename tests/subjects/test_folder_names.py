"""Tables and names as people bring them, on a whole folder: read right, or stopped with the row, the column and what differs."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from plain_folder import make_film_folder, table, write
from test_algonauts import problems, stops

from factortopy.subjects.loading import load_subject

NAMES = [f"picture-{k:03d}.png" for k in range(24)]
ORDER = np.random.default_rng(0).permutation(24)


def frame():
    return pd.DataFrame({"image": [NAMES[k] for k in ORDER], "session": np.arange(24) // 8})


def shown(subject):
    return [subject.images[i].name for i in subject.image_index]


def test_report_16_composed_in_the_table_decomposed_on_the_disk(folder):
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        names = [f"café{k:02d}.png" for k in range(24)]
        for file, name in zip(sorted((folder / "images").iterdir()), names, strict=True):
            file.rename(folder / "images" / unicodedata.normalize(other, name))
        table(folder, image=[unicodedata.normalize(form, names[k]) for k in ORDER])
        subject = load_subject(folder)
        assert shown(subject) == [unicodedata.normalize(other, names[k]) for k in ORDER]
        assert not [line for line in problems(folder, "warning") if "written otherwise" in line]


def test_report_17_an_index_column(folder):
    frame().to_csv(folder / "trials.tsv", sep="\t")
    assert shown(load_subject(folder)) == [NAMES[k] for k in ORDER]
    assert any("a heading over every column" in line and "an empty one" in line for line in problems(folder, "warning"))


@pytest.mark.parametrize(
    "name, options",
    [
        ("trials.tsv", {"sep": "\t", "encoding": "utf-16"}),
        ("trials.tsv", {"sep": ","}),
        ("trials.tsv", {"sep": ";", "encoding": "utf-8-sig", "lineterminator": "\r\n"}),
        ("trials.tsv", {"sep": "\t", "quoting": 1, "lineterminator": "\r"}),
        ("trials.csv", {"sep": ","}),
        ("Trials.TSV", {"sep": "\t"}),
        ("trials.txt", {"sep": "\t"}),
        ("trials.tsv.txt", {"sep": "\t"}),
    ],
)
def test_tables_as_programs_save_them(folder, name, options):
    (folder / "trials.tsv").unlink()
    frame().to_csv(folder / name, index=False, **options)
    subject = load_subject(folder)
    assert shown(subject) == [NAMES[k] for k in ORDER] and subject.session.tolist() == (np.arange(24) // 8).tolist()


def test_a_table_of_another_name_is_no_silence(folder):
    (folder / "trials.tsv").rename(folder / "trials.xlsx")
    write(folder / "trials.xlsx", b"PK\x03\x04 xl/workbook.xml")
    stops(folder, "trials.xlsx", "an Excel workbook", "CSV UTF-8")
    (folder / "trials.xlsx").unlink()
    frame().to_csv(folder / "events.csv")
    assert any("events.csv alone" in line and "save it as trials.tsv" in line for line in problems(folder, "warning"))
    frame().to_csv(folder / "trials.csv")
    frame().to_csv(folder / "trials.txt")
    stops(folder, "one table trials.tsv", "trials.csv, trials.txt")


def test_names_of_other_case_or_place_are_taken_with_a_word(folder):
    for form in (str.upper, lambda n: n[:-4], lambda n: f"/data/anna/images/{n}", lambda n: rf"D:\fmri\images\{n}"):
        table(folder, image=[form(NAMES[k]) for k in ORDER])
        assert shown(load_subject(folder)) == [NAMES[k] for k in ORDER]
        assert any("24 names written otherwise" in line and "in line 2" in line for line in problems(folder, "warning"))


def test_what_cannot_be_matched_is_named(folder):
    table(folder, image=[str(k) for k in range(24)])
    stops(folder, "in column 'image'", "0 in line 2", "a number may mean several pictures")
    table(folder, image=[*NAMES[:23], "pіcture-023.png"])  # a Cyrillic і
    stops(folder, "in line 25", "latin small letter i where this has cyrillic small letter")
    table(folder, image=[*NAMES[:23], ""], session=[1] * 24)
    stops(folder, "nothing (an empty cell) in line 25")
    table(folder, image=[*NAMES[:23], "PICTURE-022.png"])
    stops(folder, "PICTURE-022.png (only 'picture-022.png' is like it", "in line 25")
    table(folder, image=NAMES[:23])
    stops(folder, "24 rows, as in the responses", "found 23")
    table(folder, image=[*NAMES, NAMES[0]])
    stops(folder, "24 rows, as in the responses", "found 25")


def test_a_file_that_was_added_or_links_that_lead_up(folder):
    (folder / "images/more").mkdir()
    (folder / "images/picture-000.png").rename(folder / "images/more/picture-000.png")
    (folder / "images/more/loop").symlink_to("..")
    table(folder, image=["more/picture-000.png", *NAMES[1:]])
    assert shown(load_subject(folder)) == NAMES


def test_labels_of_the_split_and_sessions(folder):
    part = [*["TRAIN"] * 18, "Val", "val", *["Test"] * 4]
    table(folder, image=NAMES, split=part, session=["1", "1.0", "01", *["2"] * 21])
    subject = load_subject(folder)
    assert subject.split.test.tolist() == [20, 21, 22, 23] and subject.split.val.tolist() == [18, 19]
    assert subject.session.tolist() == [1] * 3 + [2] * 21
    table(folder, image=NAMES, split=["train"] * 23 + ["holdout"])
    stops(folder, "holdout (line 25)")
    table(folder, image=NAMES, session=["1"] * 23 + ["n/a"])
    assert any("a session in every row" in line and "line 25" in line for line in problems(folder, "warning"))


def test_rois_of_one_name_in_two_forms_are_one(folder):
    for file in (folder / "roi").iterdir():
        file.unlink()
    for hemi, form in (("L", "NFC"), ("R", "NFD")):
        write(folder / f"roi/hemi-{hemi}_{unicodedata.normalize(form, 'régions')}.npy", np.arange(40) % 3)
    write(folder / f"roi/{unicodedata.normalize('NFD', 'régions')}.tsv", "Index;Name\n1;V1\n2;V2\n")
    rois = load_subject(folder).rois
    assert rois["V1"].sum() == 26 and rois["V2"].sum() == 26


def test_dataset_json_as_notepad_saves_it(folder):
    data = (folder / "dataset.json").read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        write(folder / "dataset.json", data.encode(encoding))
        assert load_subject(folder).name == "anna"
    write(folder / "dataset.json", data.replace("{", '{"density": "164k", ', 1))
    stops(folder, "every key once", "density twice")


def test_frames_without_leading_zeros(tmp_path):
    folder = make_film_folder(tmp_path, trs=120, vertices=2)
    expected = [path.name for path in load_subject(folder).film.pictures.sources[0]]
    for run in range(2):
        for file in sorted((folder / f"stimuli/film-{run}").iterdir()):
            file.rename(file.with_name(f"{int(file.stem)}.png"))
    sources = load_subject(folder).film.pictures.sources
    assert [int(path.stem) for path in sources[0]] == [int(name[:-4]) for name in expected]
