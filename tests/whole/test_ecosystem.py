"""What leaves FactorTopy opens elsewhere: scikit-learn, nilearn, nibabel (GIFTI, MGZ, annot, CIFTI), BIDS names, CSV, CITATION."""

import json
import re
from datetime import date
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from nilearn.surface import load_surf_data
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold, cross_val_score

import factortopy as ft
from factortopy.cli.main import main
from factortopy.storage.home import assets_dir
from factortopy.view.overlay import read_overlay

ROOT, RUN, N = Path(__file__).resolve().parents[2], "demo-vit_demo-1", 10242


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    assert main(["export", RUN, "--out", str(folder), "--what", "gifti,mgh,cifti,bids,csv"]) == 0
    return folder


@pytest.fixture(scope="module")
def encoder():
    return ft.Encoder.load(assets_dir() / "runs" / RUN)


def on_mesh(encoder, values, side):
    mesh = np.full(N, np.nan)
    here = encoder.hemi == side
    mesh[encoder.vertex[here]] = np.asarray(values, float)[here]
    return mesh


# ---------------------------------------------------------------- maps


@pytest.mark.parametrize(("side", "letter", "short"), [(0, "L", "lh"), (1, "R", "rh")])
def test_nilearn_opens_all_of_them_alike(out, encoder, side, letter, short):
    score = on_mesh(encoder, encoder.scores["score"], side)
    for name in (f"hemi-{letter}_score.func.gii", f"{short}.score_simulated.mgz"):
        np.testing.assert_allclose(load_surf_data(str(out / name)), score, rtol=1e-6)
    layer = on_mesh(encoder, encoder.selectors().layer_argmax + 1, side)
    np.testing.assert_array_equal(load_surf_data(str(out / f"hemi-{letter}_layer.label.gii")), np.nan_to_num(layer))
    space = load_surf_data(str(out / f"{short}.space_simulated.mgz"))
    assert space.shape == (N, 2)
    np.testing.assert_allclose(space[:, 1], on_mesh(encoder, encoder.selectors().space[:, 1], side), rtol=1e-6)


@pytest.mark.parametrize(("side", "short"), [(0, "lh"), (1, "rh")])
def test_freesurfer_labels_have_names_and_colours(out, encoder, side, short):
    labels, table, names = nibabel.freesurfer.read_annot(out / f"{short}.layer_simulated.annot")
    layer = on_mesh(encoder, encoder.selectors().layer_argmax, side)
    np.testing.assert_array_equal(labels, np.where(np.isnan(layer), -1, layer))
    assert [name.decode() for name in names] == [f"layer {k} of 12" for k in range(1, 13)] and table.shape == (12, 5)
    from factortopy.view import colour

    np.testing.assert_array_equal(table[:, :3], colour.layers(12))


def test_workbench_is_told_what_it_needs(out):
    for letter, structure in (("L", "CortexLeft"), ("R", "CortexRight")):
        image = nibabel.load(out / f"hemi-{letter}_layer.label.gii")
        (array,) = image.darrays
        assert array.intent == nibabel.nifti1.intent_codes["NIFTI_INTENT_LABEL"]
        assert image.meta["AnatomicalStructurePrimary"] == structure and len(image.labeltable.labels) == 13
        values = nibabel.load(out / f"hemi-{letter}_space.func.gii")
        assert [a.meta["Name"][0] for a in values.darrays] == ["x", "y"] and values.meta["Data"] == "simulated"


def test_cifti_holds_the_vertices_of_the_encoder(out, encoder):
    image = nibabel.load(out / "maps_simulated.dscalar.nii")
    scalars, brain = (image.header.get_axis(k) for k in (0, 1))
    assert list(scalars.name) == ["layer", "confidence", "scale", "score", "space x", "space y"]
    assert scalars.meta[0]["Data"] == "simulated" and image.shape == (6, encoder.n_vertices)
    assert brain.nvertices == {"CIFTI_STRUCTURE_CORTEX_LEFT": N, "CIFTI_STRUCTURE_CORTEX_RIGHT": N}
    right = brain.name == "CIFTI_STRUCTURE_CORTEX_RIGHT"
    mesh = on_mesh(encoder, encoder.scores["score"], 1)
    np.testing.assert_allclose(image.get_fdata()[3, right], mesh[brain.vertex[right]], rtol=1e-6)
    np.testing.assert_array_equal(np.isfinite(mesh).nonzero()[0], np.sort(brain.vertex[right]))


def test_what_was_written_is_read_as_an_overlay(out, encoder):
    found = read_overlay(out / "rh.score_simulated.mgz")
    (score,) = found.maps()
    assert (score.value[N:] != 255).sum() == (encoder.hemi == 1).sum() and (score.value[:N] == 255).all()


def test_bids_names_and_description(out):
    root = out / "bids_simulated"
    description = json.loads((root / "dataset_description.json").read_text())
    assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(description)
    assert description["DatasetType"] == "derivative" and description["GeneratedBy"][0]["Name"] == "FactorTopy"
    assert "imulated" in description["Name"] and "imulated" in description["GeneratedBy"][0]["Description"]
    pattern = (
        r"sub-demo1(_hemi-[LR])?_space-fsaverage_den-10k_desc-[a-zA-Z0-9]+_(dseg|statmap)\.(label\.gii|func\.gii|json)"
    )
    files = list((root / "sub-demo1" / "func").iterdir())
    assert len(files) == 15 and all(re.fullmatch(pattern, path.name) for path in files)
    for path in files:
        if path.suffix == ".gii":  # the file of both hemispheres is found by leaving out one entity
            beside = path.with_name(re.sub(r"_hemi-[LR]|\.(label|func)\.gii$", "", path.name) + ".json")
            assert json.loads(beside.read_text())["Simulated"] is True
    score = next(
        path for path in files if path.name.endswith("hemi-R_space-fsaverage_den-10k_desc-score_statmap.func.gii")
    )
    np.testing.assert_array_equal(load_surf_data(str(score)), load_surf_data(str(out / "hemi-R_score.func.gii")))


# ---------------------------------------------------------------- tables


def test_tables_are_tidy_and_say_simulated(out, encoder):
    tables = {path.name.removesuffix("_simulated.csv"): pd.read_csv(path) for path in out.glob("*.csv")}
    assert set(tables) == {"scores", "vertices", "layer_weights", "hierarchy"}
    assert all(table.simulated.all() for table in tables.values())
    vertices, chosen = tables["vertices"], encoder.selectors()
    assert len(vertices) == encoder.n_vertices and not vertices.duplicated(["hemisphere", "vertex"]).any()
    np.testing.assert_array_equal(vertices.layer, chosen.layer_argmax + 1)
    np.testing.assert_allclose(vertices.score, encoder.scores["score"], rtol=1e-4)
    in_v1 = vertices.rois.fillna("").str.split(";").map(lambda names: "V1" in names)
    np.testing.assert_array_equal(in_v1, encoder.rois["V1"])
    weights = tables["layer_weights"].groupby(["hemisphere", "vertex"], sort=False).weight.sum()
    np.testing.assert_allclose(weights, 1, atol=1e-4)
    assert tables["hierarchy"].slope[0] == pytest.approx(0.677, abs=0.01)
    assert set(tables["scores"].roi) == {*encoder.rois, "all"}


def test_a_baseline_gives_its_scores_alone(tmp_path, encoder, monkeypatch):
    from factortopy.export import exchange

    monkeypatch.setattr(type(encoder), "has_selectors", False)
    names = {path.name for path in exchange.write_tables(tmp_path, encoder, encoder.info["scores"])}
    assert names == {"scores_simulated.csv", "vertices_simulated.csv"}
    assert "layer" not in pd.read_csv(tmp_path / "vertices_simulated.csv")


# ---------------------------------------------------------------- scikit-learn


@pytest.fixture(scope="module")
def small(planted):
    pick = slice(None, None, 6)
    model = ft.FactorTopyRegressor(coords=planted.coords[pick], hemi=planted.hemi[pick], steps=10)
    return model, planted.features, planted.responses[:, pick]


def test_it_is_an_estimator(small):
    model, features, responses = small
    assert is_regressor(model) and model.get_params()["steps"] == 10
    twin = clone(model).set_params(steps=3, random_state=4)
    assert (twin.steps, twin.random_state, model.steps) == (3, 4, 10) and "steps=3" in repr(twin)
    with pytest.raises(NotFittedError):
        twin.predict(features)


def test_it_predicts_what_is_planted(small):
    model, features, responses = small
    model = clone(model).fit(features[:340], responses[:340])
    assert model.predict(features[340:]).shape == (60, responses.shape[1])
    assert model.score(features[340:], responses[340:]) > 0.1
    assert model.selectors_.layer.shape[0] == responses.shape[1] and model.encoder_.info["topology"] is True
    one = clone(model).set_params(coords=None, hemi=None, steps=1).fit(features[:40], responses[:40, 0])
    assert one.predict(features[:5]).shape == (5,) and one.encoder_.info["topology"] is False


@pytest.mark.slow
def test_cross_validation_finds_what_is_planted(small):
    model, features, responses = small
    scores = cross_val_score(model, features, responses, cv=KFold(3), error_score="raise")
    assert scores.shape == (3,) and (scores > 0.05).all()
    shuffled = np.random.default_rng(0).permutation(responses)
    assert cross_val_score(model, features, shuffled, cv=KFold(3), error_score="raise").max() < 0.03


def test_it_says_what_is_wrong(small):
    model, features, responses = small
    holes = responses.copy()
    holes[0, 0] = np.nan
    for X, y, words in (
        (features, responses[:-1], "for the 400 rows"), (features, holes, "missing values"),
        (np.zeros((400, 5)), responses, "no network"),
    ):  # fmt: skip
        with pytest.raises(ft.InputError, match=words):
            clone(model).fit(X, y)
    with pytest.raises(ft.InputError, match=r"pictures \(n, H, W, 3\)"):
        clone(model).set_params(backbone="demo-vit").fit(np.zeros((400, 5)), responses)
    with pytest.raises(ft.InputError, match="between 0 and 1"):
        clone(model).set_params(validation=2).fit(features, responses)


# ---------------------------------------------------------------- project files


def test_the_citation_file_is_whole():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0" and {"message", "title", "authors", "license"} <= set(cited)
    assert cited["version"] == ft.__version__ and cited["type"] in ("software", "dataset")
    paper = cited["preferred-citation"]
    assert paper["title"] == "Brain Decodes Deep Nets" and paper["year"] == 2024
    assert [person["family-names"] for person in paper["authors"]] == ["Yang", "Gee", "Shi"]
    for person in (*cited["authors"], *paper["authors"]):
        assert "name" in person or {"family-names", "given-names"} <= set(person)


def test_the_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert versions and versions[0][0] == "Unreleased" and len(versions) == len(re.findall("^## ", text, re.MULTILINE))
    assert all(date.fromisoformat(day) for _, day in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


def test_an_unknown_run_format_is_refused_in_one_line(tmp_path, capsys):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(assets_dir() / "runs" / RUN, run)
    info = json.loads((run / "run.json").read_text())
    for unknown in (99, "two", None):
        (run / "run.json").write_text(json.dumps(info | {"schema": unknown}))
        with pytest.raises(ft.InputError) as error:
            ft.Encoder.load(run)
        assert "\n" not in str(error.value) and repr(unknown) in str(error.value) and "run.json" in str(error.value)
        assert main(["score", str(run)]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "Traceback" not in told


def test_the_container_says_what_the_readme_says():
    recipe = (ROOT / "Containerfile").read_text()
    assert "run.py setup --cpu" in recipe and "FACTORTOPY_HOME" in recipe and "127.0.0.1:8501:8501" in recipe
    readme = (ROOT / "README.md").read_text()
    assert "run.py --cpu" in readme and "python3 run.py" in readme
