"""The report: the whole of it on the shipped runs, with new fits on something tiny; odd networks, escaping, wrong input."""

import csv
import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from compared import L, N, made
from tiny_here import tiny_network

import factortopy
from factortopy import analysis
from factortopy.analysis.channels import Stretch, blank_features, channel_values
from factortopy.cli.main import main
from factortopy.errors import InputError
from factortopy.features.extraction import compute
from factortopy.report import channels, mapping, plan, scoring
from factortopy.report.document import Document, as_csv
from factortopy.report.entries import Entry, read_entries
from factortopy.report.flatmap import Flat
from factortopy.report.refits import Refits
from factortopy.runs.run import Run
from factortopy.runs.settings import DEFAULTS
from factortopy.storage.files import read_json, write_json
from factortopy.storage.home import assets_dir
from factortopy.surfaces.coordinates import Vertices

DEMO = [assets_dir() / "runs" / name for name in ("demo-vit_demo-1", "demo-mae_demo-1", "demo-vit-untrained_demo-1")]


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def links(page):
    return re.findall(r'(?:src|href)="([^"]{1,200})', page)


# ---------------------------------------------------------------- the shipped runs


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The quick report of the three shipped runs, its page, and the processor's seconds it took."""
    out, begun = tmp_path_factory.mktemp("report"), time.process_time()
    assert main(["report", *map(str, DEMO), "--out", str(out), "--quick"]) == 0
    return out, (out / "report.html").read_text(encoding="utf-8"), time.process_time() - begun


def test_quick_report_is_one_page_that_loads_nothing(quick):
    out, page, seconds = quick
    assert seconds < 60
    text = re.sub(r"data:image/(png|webp);base64,[A-Za-z0-9+/=]+", "", page)
    assert "<script" not in page and not re.search(r"https?:|url\(|@import", text)
    assert "default-src 'none'" in page.split("</head>")[0]
    for link in links(page):
        assert link.startswith(("data:image/png;base64,", "data:image/webp;base64,", "#", "figures/")), link
        if link.startswith("figures/"):
            assert (out / link).stat().st_size > 100, link


def test_quick_report_says_what_it_left_out_and_that_it_is_simulated(quick):
    out, page, _ = quick
    assert "--quick was asked for" in page and "These data are simulated" in page
    figures = [p.name for p in (out / "figures").iterdir()]
    assert figures and all("simulated" in name for name in figures)
    assert len(re.findall(r"<figure", page)) == page.count('<span class="simulated">') - 1  # the title says it too
    assert {row["simulated"] for row in rows_of(out / "figures" / "scores-table-simulated.csv")} == {"True"}


def test_every_figure_has_png_svg_and_numbers(quick):
    out, _, _ = quick
    stems = {p.stem for p in (out / "figures").glob("*.png")}
    assert {
        "hierarchy-simulated",
        "layer-maps-simulated",
        "clusters-demo-vit-simulated",
        "diversity-simulated",
    } <= stems
    for stem in stems:
        assert "<svg" in (out / "figures" / f"{stem}.svg").read_text(encoding="utf-8")[:2000]
        assert any(p.name.startswith(stem) for p in (out / "figures").glob("*.csv")), stem


def test_quick_report_has_the_runs_own_numbers(quick):
    out, page, _ = quick
    table = {row["roi"]: row for row in rows_of(out / "figures" / "scores-table-simulated.csv")}
    kept = {row["roi"]: row for row in read_json(DEMO[0] / "run.json")["scores"]}
    assert set(table) == set(kept)
    for roi, row in kept.items():
        assert float(table[roi]["demo-vit"]) == pytest.approx(row["score"], rel=1e-4)
    slopes = {row["network"]: float(row["slope"]) for row in rows_of(out / "figures" / "hierarchy-simulated.csv")}
    assert slopes["demo-vit"] > 0.5 > abs(slopes["demo-vit untrained"])
    verdicts = {row["finding"]: row["verdict"] for row in rows_of(out / "figures" / "findings-simulated.csv")}
    assert verdicts["Trained networks predict the brain better than untrained ones"] == "holds"
    assert sum(v == "cannot be tested here" for v in verdicts.values()) >= 8
    assert f"Slopes: demo-vit {slopes['demo-vit']:.2f} " in page


def test_a_single_vertex_has_its_grey_picture(quick):
    """The numbers behind the figure are those of the analysis, for the vertex that is told."""
    out, page, _ = quick
    rows = rows_of(out / "figures" / "channel-vertices-demo-vit-simulated.csv")
    areas = list(dict.fromkeys(row["area"] for row in rows))
    assert areas[:5] == ["V1", "V2", "V3", "OPA", "EBA"] and len({row["picture"] for row in rows}) == 3
    found = read_entries([Run(DEMO[0])])[0]
    encoder, gallery = found.encoder, found.gallery
    last = [row for row in rows if row["area"] == "EBA" and row["picture"] == rows[-1]["picture"]]
    side = int(last[0]["hemisphere"] == "right")
    vertex = int(np.flatnonzero((encoder.hemi == side) & (encoder.vertex == int(last[0]["vertex"])))[0])
    assert (
        encoder.rois["EBA"][vertex]
        and encoder.scores["score"][vertex] == encoder.scores["score"][encoder.rois["EBA"]].max()
    )
    picture = gallery.pictures[list(gallery.number).index(int(last[0]["picture"]))]
    shown = [
        gallery.pictures[list(gallery.number).index(int(i))] for i in dict.fromkeys(row["picture"] for row in rows)
    ]
    features = [compute(encoder.backbone(), x, grid=None) for x in shown] + [blank_features(encoder)]
    *values, blank = (channel_values(encoder, x, vertex) for x in features)
    one = Stretch.over(values, blank)
    expected = analysis.channel_image(encoder, picture, vertex, stretch=one)
    assert expected.ndim == 2 and len(last) == expected.size
    got = [expected[int(row["row"]) - 1, int(row["column"]) - 1] for row in last]
    np.testing.assert_allclose([float(row["value"]) for row in last], got, atol=1e-4)
    assert "Test pictures as single vertices see them: demo-vit" in page


def test_slope_and_selectors_by_area_are_told(quick):
    out, page, _ = quick
    rows = rows_of(out / "figures" / "areas-read-simulated.csv")
    kept = {row["roi"]: row for row in read_json(DEMO[0] / "run.json")["scores"]}
    (row,) = [row for row in rows if row["network"] == "demo-vit" and row["roi"] == "V1"]
    assert float(row["confidence"]) == pytest.approx(kept["V1"]["confidence"], abs=1e-4)
    assert float(row["mean layer"]) == pytest.approx(kept["V1"]["layer"], abs=1e-3)
    points = rows_of(out / "figures" / "hierarchy-simulated-areas.csv")
    assert {p["roi"] for p in points} == {
        "V1",
        "V2",
        "V3",
        "OPA",
        "EBA",
    } and "levels of the areas: V1 0, V2 0.33" in page
    assert [h for h in re.findall(r'<h3 class="why">([^<]*)', page)] == [
        "Not asked for", "Needs other runs", "Needs NSD or the papers&#x27; networks", "Without a rule here"
    ]  # fmt: skip
    assert len(rows_of(out / "figures" / "not-shown-simulated.csv")) >= 12


def test_maps_are_gifti_of_the_whole_mesh(quick):
    import nibabel

    out, _, _ = quick
    folder = out / "maps" / "demo-vit"
    image = nibabel.load(folder / "hemi-L_weights.func.gii")
    assert len(image.darrays) == 12 and image.darrays[0].data.shape == (10242,)
    encoder = factortopy.Encoder.load(DEMO[0])
    left = encoder.hemi == 0
    total = np.sum([a.data[encoder.vertex[left]] for a in image.darrays], 0)
    np.testing.assert_allclose(total, 1, atol=1e-4)
    angle = nibabel.load(folder / "hemi-R_angle.func.gii").darrays[0].data
    x, y = encoder.selectors().space[~left].T
    np.testing.assert_allclose(angle[encoder.vertex[~left]], np.degrees(np.arctan2(-y, x)) % 360, atol=0.01)


# ---------------------------------------------------------------- new fits, on something tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A finished run of the tiny subject, in this process."""
    from factortopy.runs.training import train_run

    with tiny_network():
        yield train_run(tmp_path_factory.mktemp("tiny") / "run", "tiny", "tiny-net", steps=30)


@pytest.mark.slow
def test_report_with_new_fits_and_again_without_fitting(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "AMOUNTS", (30, 40, 300))
    assert main(["report", str(tiny.path), "--out", str(tmp_path), "--refits", "0"]) == 0
    made_runs = {p.name for p in (tmp_path / "runs").iterdir()}
    assert len(made_runs) == 2 + 9 + 4 + 2 + 3 and all(
        Run(tmp_path / "runs" / n).status == "finished" for n in made_runs
    )
    tables = {p.stem.removesuffix("-simulated"): rows_of(p) for p in (tmp_path / "figures").glob("*.csv")}
    assert [row["pictures"] for row in tables["data"]] == ["30", "40", "54"]
    assert [row["model"] for row in tables["ablation"]] == list(plan.ABLATIONS)
    assert [row["decay step"] for row in tables["decay"]] == ["1", "5", "10", "20", "30"]
    assert {"R² 1", "R² 2", "R² 3", "weight 3"} <= set(tables["single-layers"][0])
    assert [(row["seed"], row["other seed"]) for row in tables["seeds-table"]] == [("0", "1"), ("0", "2"), ("1", "2")]
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("run.json")}
    capsys.readouterr()
    assert main(["report", str(tiny.path), "--out", str(tmp_path), "--refits", "0"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("run.json")} == times
    said = capsys.readouterr().out
    assert (
        f"{len(made_runs)} of {len(made_runs)} new fits are kept from before" in said and "finished already" not in said
    )


def test_fewer_pictures_are_scored_on_all_test_pictures(tiny, tmp_path):
    refits = Refits(tmp_path / "runs", tiny)
    encoder = refits.fitted({"pictures": 30})
    subject = factortopy.load_subject("tiny")
    features = factortopy.extract(factortopy.load_backbone("tiny-net"), subject.images)
    expected = factortopy.brain_score(encoder, subject, features)
    np.testing.assert_allclose(encoder.scores["score"], expected, rtol=1e-4)
    run = next((tmp_path / "runs").iterdir())
    np.testing.assert_allclose(factortopy.Encoder.load(run).scores["score"], expected, rtol=1e-4)
    # Learnt from exactly as many; fits of before, which learnt from fewer, have another name and are not taken for it.
    counts = read_json(run / "run.json")["pictures"]
    assert counts["train"] + counts["val"] == 30
    old = hashlib.blake2b(json.dumps({k: v for k, v in refits.full({"pictures": 30}).items() if v != DEFAULTS[k]}, sort_keys=True)
                          .encode(), digest_size=4).hexdigest()  # fmt: skip
    assert not run.name.endswith(old)


def test_single_layer_and_decay_reach_the_fit(tiny, tmp_path):
    refits = Refits(tmp_path, tiny, steps=20)
    assert refits.decay == 13 and not refits.itself
    one = refits.fitted({"layers": [1]})
    assert one.layer_names == ["two"] and one.info["steps"] == 20
    early, late = (refits.fitted({"decay": k}) for k in (1, 20))
    assert not np.allclose(early.selectors().layer, late.selectors().layer)
    with pytest.raises(InputError, match="layers"):
        refits.fitted({"layers": [7]})


# ---------------------------------------------------------------- networks that are not like the demo's


def entry(name, encoder, **more):
    encoder.scores.setdefault("pearson", np.full(encoder.n_vertices, 0.5, np.float32))
    encoder.info.update({"subject": "s", "backbone": name, "trained": True}, **more)
    return Entry(name, [SimpleNamespace(path=Path("nowhere"), shipped=False)], [encoder])


def sections(found, out):
    """All sections that need no new fits; the page."""
    doc, first = Document(out, "Title"), found[0].encoder
    flat = Flat(first.vertices)
    scoring.section(doc, found)
    mapping.section(doc, found, flat, True)
    channels.section(doc, found, flat, True)
    return doc.write().read_text(encoding="utf-8")


def test_one_hemisphere_no_areas_and_other_numbers_of_layers(tmp_path):
    half, few = made(np.full(N, 0.3)), made(np.full(N, 0.2), layer=np.eye(2, dtype=np.float32)[np.arange(N) % 2])
    few.layer_names = ["first", "second"]
    for encoder in (half, few):
        encoder.vertices, encoder.rois, encoder.noise_ceiling = Vertices(np.ones(N), np.arange(N)), {}, None
    page = sections([entry("four", half), entry("two", few)], tmp_path)
    assert "no regions of interest" in page and "No hierarchy slope" in page and "both hemispheres" in page
    assert "simulated" not in page.split("</style>")[1]
    assert not list((tmp_path / "maps").rglob("hemi-L_*")) and list((tmp_path / "maps").rglob("hemi-R_*"))


def test_nothing_predicted_is_said_and_not_an_error(tmp_path):
    dark = made(np.full(N, -0.1), predicted=False)
    page = sections([entry("dark", dark)], tmp_path)
    assert "0% of the vertices above chance" in page and "no clusters" in page


def test_names_are_escaped_everywhere(tmp_path):
    evil = '<script>alert("x")</script> $\\frac{'
    encoder = made(np.full(N, 0.3))
    encoder.rois = {f"{evil}{k}": mask for k, mask in enumerate(encoder.rois.values())}
    encoder.layer_names = [f"{evil}{k}" for k in range(L)]
    page = sections([entry(evil, encoder)], tmp_path)
    assert "<script" not in page and "&lt;script&gt;" in page
    for path in (tmp_path / "figures").glob("*.svg"):
        assert "<script>" not in path.read_text(encoding="utf-8")
    assert as_csv([{"a": "=cmd()"}]).splitlines()[1] == "'=cmd()"


# ---------------------------------------------------------------- which runs stand together


def copy_of(run, to, **changes):
    """A copy of a run whose run.json says other things."""
    shutil.copytree(run, to)
    info = read_json(to / "run.json")
    settings = {key: changes[key] for key in ("subject", "seed", "recipe") if key in changes}
    write_json(to / "run.json", info | changes | {"settings": info["settings"] | settings})
    return Run(to)


def test_subjects_average_seeds_and_recipes_do_not(tmp_path):
    first = Run(DEMO[0])
    two = copy_of(DEMO[0], tmp_path / "a", subject="demo-2")
    seed = copy_of(DEMO[0], tmp_path / "b", seed=5)
    paper = copy_of(DEMO[0], tmp_path / "c", recipe="paper")
    found = read_entries([first, two, seed, paper])
    assert [e.name for e in found] == ["demo-vit (fast recipe)", "demo-vit (paper recipe)"]
    assert len(found[0].encoders) == 2 and list(found[0].others) == [5] and found[0].info["subject"] == "demo-1, demo-2"
    np.testing.assert_allclose(found[0].encoder.scores["score"], found[1].encoder.scores["score"], rtol=1e-6)
    assert [e.name for e in read_entries([Run(p) for p in DEMO])] == ["demo-vit", "demo-mae", "demo-vit untrained"]


@pytest.mark.parametrize("verb", ["compare", "report"])
def test_wrong_input_is_one_line(verb, tmp_path, capsys, tiny):
    same = copy_of(DEMO[0], tmp_path / "same")
    bare = copy_of(DEMO[0], tmp_path / "bare")
    (bare.path / "scores.safetensors").unlink()
    more = ["--out", str(tmp_path / "out"), "--quick"] if verb == "report" else []
    for words, told in (
        (["no-such-run"], "none of that name"),
        ([DEMO[0], DEMO[0]], "twice"),
        ([DEMO[0], same.path], "another subject, network or seed"),
        ([DEMO[0], tiny.path], "the 2154 vertices"),
        ([bare.path], "run score on it first"),
        ([tmp_path / "nothing"], "expected a run folder"),
    ):
        assert main([verb, *map(str, words), *more]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and told in lines[0], lines
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_folder_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["report", str(DEMO[0]), "--out", str(tmp_path / "file"), "--quick"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_compare_prints_and_writes_the_tables(tmp_path, capsys):
    assert main(["compare", *map(str, DEMO), "--csv", str(tmp_path / "t.csv")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("simulated data") and "Hierarchy slope" in out and "0.407" in out
    rows = rows_of(tmp_path / "t.csv")
    assert {row["table"] for row in rows} == {
        "scores", "pearson", "normalised", "pearson-normalised", "algonauts-2023", "distance", "hierarchy"
    }  # fmt: skip
    assert main(["compare", str(DEMO[0]), "--csv", str(tmp_path / "no" / "t.csv")]) == 2
