"""Before and after fine-tuning, accuracy, time steps, predicted against measured: planted numbers come back, what is missing is said."""

from types import SimpleNamespace

import networks
import numpy as np
import pytest
from compared import L, N, made
from test_report import entry, rows_of

import factortopy
from factortopy import analysis
from factortopy.analysis.time_steps import TIMES, by_step, chosen_steps, step_of
from factortopy.errors import InputError
from factortopy.report import answers, diffusion, tuning
from factortopy.report.checklist import checklist
from factortopy.report.document import Document
from factortopy.report.entries import Entry, pairs
from factortopy.report.flatmap import Flat
from factortopy.subjects.subject import Subject


def right(share):
    return {"all": share, "mean of classes": share, "classes": {"a": share, "b": share}}


def tuned(name, encoder, base="net", layer=L, after=0.8, data="colours", began=None):
    """An entry of a network that was fine-tuned."""
    told = {
        "base": base, "began_as": began or base, "data": data, "classes": ["a", "b"], "layer": layer, "layers": L, "chance": 0.5,
        "train_pictures": 100, "held_out_pictures": 50, "simulated": False, "accuracy": {"before": right(0.6), "after": right(after)},
    }  # fmt: skip
    return entry(
        name, encoder, finetuned=told, backbone=base, settings={"weights": f"/somewhere/{name}/finetuned.safetensors"}
    )


def document(tmp_path, found):
    first = found[0].encoder
    return Document(tmp_path, "Title"), Flat(first.vertices)


# ---------------------------------------------------------------- numbers


def test_before_and_after_by_roi():
    score = np.full(N, 0.4)
    lower = score.copy()
    first = made(score)
    lower[first.rois["V1"]] = 0.1
    layer = np.roll(first.selectors().layer, 1, 1)  # everything one layer later, the last one first
    rows = {row["roi"]: row for row in analysis.before_after(first, made(lower, layer=layer))}
    assert rows["V1"]["change"] == pytest.approx(-0.3) and rows["V1"]["worse"] == 1 and rows["EBA"]["worse"] == 0
    last = first.selectors().layer_argmax[first.rois["V1"]] == L - 1
    assert rows["V1"]["moved"] == pytest.approx(np.where(last, 1, 1 / (L - 1)).mean())
    same = {row["roi"]: row for row in analysis.before_after(first, first)}
    assert same["all"]["change"] == 0 and same["all"]["moved"] == 0 and same["all"]["worse"] == 0


def with_slope(share, score):
    """An encoder whose mean layer is 0 in V1 and ``share`` in EBA."""
    rising = np.zeros((N, L), np.float32)
    half = N // 2
    late = np.arange(N) % half >= 2 * half // 3
    rising[:, 0] = np.where(late, 1 - share, 1)
    rising[:, -1] = np.where(late, share, 0)
    return made(np.full(N, score), layer=rising)


def test_slope_against_what_was_lost():
    both = {f"net {k}": (with_slope(k, 0.5), with_slope(k, 0.5 * (0.4 + k / 2))) for k in (0.2, 0.6, 1.0)}
    rows, r = analysis.lost(both)
    assert [row["slope"] for row in rows] == pytest.approx([0.2, 0.6, 1.0]) and r == pytest.approx(-1)
    assert rows[0]["share lost"] == pytest.approx(0.5) and rows[0]["lost"] == pytest.approx(0.25)
    first = both["net 0.2"]
    _, of_two = analysis.lost({"a": first, "b": first, "c": both["net 0.6"], "d": first})
    assert np.isnan(of_two)  # two networks, however often they were fine-tuned


def test_score_against_accuracy():
    encoders = {f"n{k}": made(np.where(np.arange(N) % 30 < 10, 0.1 * k, 0.4 - 0.1 * k)) for k in range(4)}
    rows = {
        row["roi"]: row for row in analysis.score_against({f"n{k}": k / 10 for k in range(4)} | {"else": 1.0}, encoders)
    }
    assert rows["V1"]["r"] == pytest.approx(1) and rows["EBA"]["r"] == pytest.approx(-1) and rows["V1"]["networks"] == 4
    few = analysis.score_against({"n0": 0.1, "n1": 0.2}, encoders)
    assert np.isnan(few[0]["r"]) and few[0]["networks"] == 2
    assert analysis.score_against({"x": 0.5}, encoders) == []


# ---------------------------------------------------------------- in the report


def test_pairs_are_found_by_what_a_network_was(tmp_path):
    plain, other = entry("net", made(np.full(N, 0.4))), entry("other", made(np.full(N, 0.3)))
    one, two = tuned("one", made(np.full(N, 0.2))), tuned("two", made(np.full(N, 0.1)), base="third")
    assert pairs([plain, other, one, two]) == {"one": (plain, one)}
    random = entry("net untrained", made(np.full(N, 0.1)))
    assert pairs([random, tuned("from noise", made(np.full(N, 0.2)), began="net untrained")])["from noise"][0] is random


def test_fine_tuning_in_the_report(tmp_path):
    nets = [entry(f"net{k}", with_slope(k / 3, 0.4)) for k in (1, 2, 3)]
    after = [tuned(f"after{k}", with_slope(k / 3, 0.1 * k), base=f"net{k}", after=0.5 + k / 10) for k in (1, 2, 3)]
    after.append(tuned("early", with_slope(1, 0.2), base="net3", layer=2))
    doc, flat = document(tmp_path, nets)
    tuning.section(doc, [*nets, *after], flat)
    page = doc.write().read_text(encoding="utf-8")
    rows = doc.evidence.tuning
    assert len(rows) == 4 and "Rank correlation of slope and loss over 3 networks: −1.00" in page
    assert [row["network"] for row in rows_of(tmp_path / "figures" / "accuracy.csv")] == [e.name for e in after]
    kept = rows_of(tmp_path / "figures" / "tuning-after1.csv")
    assert float(kept[-1]["before"]) == pytest.approx(0.4) and float(kept[-1]["after"]) == pytest.approx(0.1)
    assert (tmp_path / "figures" / "tuning-shift-after2.svg").exists() and (
        tmp_path / "figures" / "head-layers-net3-colours.png"
    ).exists()
    assert [row["base"] for row in rows] == ["net1", "net2", "net3", "net3"]
    assert all(row["moved"] == pytest.approx([0]) and row["accuracy after"] is not None for row in rows[:3])
    (found,) = (f for f in checklist(doc.evidence) if f.source == "short paper, Table 1")
    assert found.verdict == "cannot be tested here" and "found 3" in found.explanation  # three networks decide nothing


def test_what_is_missing_is_said_and_a_table_gives_accuracy(tmp_path):
    nets = [entry(f"net{k}", made(np.full(N, k / 10))) for k in (1, 2, 3)]
    doc, flat = document(tmp_path / "a", nets)
    tuning.section(doc, nets, flat)
    assert not doc.evidence.tuning and not doc.evidence.accuracy
    page = doc.write().read_text(encoding="utf-8")
    assert "No network is here before and after" in page and "--accuracy FILE.csv" in page
    table = tmp_path / "accuracy.csv"
    table.write_text("network,accuracy\nnet1,0.5\nnet2,0.6\nnet3,0.9\nmore,0.1\n")
    doc, flat = document(tmp_path / "b", nets)
    tuning.section(doc, nets, flat, table)
    rows = doc.evidence.accuracy
    assert rows[-1]["r"] == pytest.approx(np.corrcoef([0.5, 0.6, 0.9], [0.1, 0.2, 0.3])[0, 1])
    assert doc.evidence.accuracies == {"net1": 0.5, "net2": 0.6, "net3": 0.9}
    (found,) = (f for f in checklist(doc.evidence) if f.figures == ("score-accuracy",))
    assert found.verdict == "cannot be tested here" and "5 networks" in found.explanation
    for text, told in (
        ("a,b\n1,2\n", "a column network, accuracy, found a, b"),
        ("network;accuracy\nnet1;0,5\nnet1;0,6\n", "every network once .* in line 3"),
        ("network,accuracy\nnet1,high\n", "numbers in column 'accuracy', found 'high' in line 2"),
        ("network,accuracy\nx,0.1\n", "expected a row for one of net1"),
        (None, "found none"),
    ):
        (tmp_path / "bad.csv").unlink(missing_ok=True)
        (tmp_path / "bad.csv").write_text(text) if text else None
        with pytest.raises(InputError, match=told):
            tuning.accuracies(nets, tmp_path / "bad.csv")


def test_predicted_against_measured_at_the_best_vertices(tmp_path):
    score = np.linspace(0.1, 0.5, N)
    one = entry("net", made(score))
    assert answers.best_vertices(one.encoder) == {"V1": 39, "EBA": 59}
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((30, N))
    one.__dict__["gallery"] = SimpleNamespace(
        measured=measured, predicted=2 * measured, image=np.arange(30), number=np.arange(30) + 1
    )
    dark = entry("dark", made(score, predicted=False))
    dark.__dict__["gallery"] = one.gallery
    doc = Document(tmp_path, "Title")
    answers.section(doc, [one, dark, entry("none", made(score))])
    page = doc.write().read_text(encoding="utf-8")
    assert (
        "r = 1.00" in page and "dark: no vertex is predicted" in page and "none: the run keeps no test pictures" in page
    )
    rows = rows_of(tmp_path / "figures" / "answers-net.csv")
    assert len(rows) == 60 and float(rows[0]["predicted"]) == pytest.approx(2 * float(rows[0]["measured"]), rel=1e-4)
    assert rows[0]["roi"] == "V1" and (rows[0]["hemisphere"], rows[0]["vertex"]) == ("right", "9")


# ---------------------------------------------------------------- time steps


def test_names_of_time_steps():
    assert step_of("sd-1.5:decoder@25") == ("decoder", 25) and step_of("sd-1.5 untrained") == ("", 40)
    assert step_of("sd-1.5:decoder-6") == ("decoder-6", None) and step_of("demo-vit") is None


def test_scores_by_step_and_steps_like_layers():
    score = np.full(N, 0.2)
    early = score.copy()
    v1 = made(score).rois["V1"]
    early[v1] = 0.5
    rows = {row["roi"]: row for row in by_step({25: made(score + 0.1), 40: made(early)})}
    assert rows["V1"]["best"] == 40 and rows["EBA"]["best"] == 25 and rows["V1"]["T 40"] == pytest.approx(0.5)
    late = np.zeros((N, len(TIMES)), np.float32)
    late[np.arange(N), np.where(v1, 9, 4)] = 1
    encoder = made(score, layer=late)
    chosen = {row["roi"]: row for row in chosen_steps(encoder)}
    assert chosen["V1"]["mean step"] == 50 and chosen["EBA"]["mean step"] == 25 and chosen["EBA"]["T 25"] == 1
    with pytest.raises(InputError, match="10 layers"):
        chosen_steps(made(score))


@pytest.mark.slow
def test_a_tiny_diffusion_network_at_several_steps(tmp_path):
    """The real pipeline with random weights: extracted, fitted and reported at T = 48 … 50, and one layer over time."""
    pytest.importorskip("diffusers")
    from factortopy.backbones.diffusers_adapter import DiffusionBackbone

    network, rng = networks.small_diffusion(), np.random.default_rng(0)
    pictures = rng.integers(0, 256, (14, 32, 32, 3), dtype=np.uint8)
    half = 6
    subject = Subject(
        rng.standard_normal((14, 2 * half)).astype(np.float32), pictures, np.repeat([0, 1], half), np.tile(np.arange(half), 2),
        coords=rng.uniform(0, 100, (2 * half, 3)), rois={"V1": np.arange(2 * half) % half < 3, "EBA": np.arange(2 * half) % half >= 3},
        name="s",
    )  # fmt: skip
    found = []
    for part, step in (("decoder", 50), ("decoder", 48), ("decoder-6", None)):
        name = f"sd-1.5:{part}" + (f"@{step}" if step else "")
        features = factortopy.extract(DiffusionBackbone(network, name, part, step), pictures, cache=False, grid=4)
        encoder = factortopy.fit(subject, features, steps=3, grid=4)
        encoder.scores = {
            "score": rng.uniform(0, 0.3, 2 * half).astype(np.float32),
            "predicted": np.ones(2 * half, np.uint8),
        }
        found.append(Entry(name, [SimpleNamespace(path=tmp_path)], [encoder]))
    doc = Document(tmp_path, "Title")
    diffusion.section(doc, [entry("else", made(np.full(N, 0.1))), *found])
    page = doc.write().read_text(encoding="utf-8")
    assert (
        "Brain score by time step: sd-1.5, decoder" in page
        and "Time steps chosen like layers: sd-1.5:decoder-6" in page
    )
    rows = rows_of(tmp_path / "figures" / "time-scores-decoder.csv")
    assert list(rows[0])[4:] == ["T 48", "T 50"] and {row["roi"] for row in rows} == {"V1", "EBA", "all"}
    weights = rows_of(tmp_path / "figures" / "time-steps-sd-1-5-decoder-6.csv")
    assert sum(float(weights[0][f"T {t}"]) for t in TIMES) == pytest.approx(1, abs=1e-3)
    assert doc.evidence.over_time and doc.evidence.steps
    without = Document(tmp_path / "b", "T")
    diffusion.section(without, [entry("else", made(np.full(N, 0.1)))])
    assert not without.evidence.steps and not without.contents
    lonely = Document(tmp_path / "c", "T")
    diffusion.section(lonely, found[:1])
    assert "one time step alone" in lonely.write().read_text(encoding="utf-8")
