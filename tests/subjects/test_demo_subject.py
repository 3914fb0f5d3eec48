"""The demo subjects: seeded, three different brains, planted retinotopy and preferences, the noise that they promise."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from trials import environment

from factortopy import load_subject
from factortopy.errors import InputError, Stopped
from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.runs.folder import JobFolder
from factortopy.runs.training import train_run
from factortopy.stimuli.scenes import SUBJECT_SEEDS, render_scenes
from factortopy.subjects import demo, simulation
from factortopy.subjects.progress import listening
from factortopy.surfaces.meshes import load_mesh

N = 60
HALF = demo.DEGREES / 2


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """One home for all tests that only look, so that the pictures are drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORTOPY_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def subject(shared_home):
    return demo.load_demo(1, n_pictures=N)


@pytest.fixture(scope="module")
def truth(subject):
    return demo.pictures(N)[1]


class Silent:
    """A random generator whose noise (drawn as float32) is zero; everything else is as seeded."""

    def __init__(self, seed):
        self._real = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))

    def standard_normal(self, size=None, dtype=np.float64):
        return np.zeros(size, dtype) if dtype == np.float32 else self._real.standard_normal(size)


@pytest.fixture(scope="module")
def signal(subject, truth):
    """(N, vertices) what subject 1 would answer without noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation.np.random, "default_rng", Silent)
        simulated = simulation.simulate(subject.images, truth, demo.cortex(1), HALF, seed=1)
    return simulated["responses"]


def planted_place(subject):
    """(vertices, 2) where each early vertex looks, in [−1, 1], x right, y down, from the maps that the subject has."""
    angle, ecc = np.deg2rad(subject.maps["polar_angle"]), subject.maps["eccentricity"]
    return np.stack([ecc * np.cos(angle), -ecc * np.sin(angle)], 1) / HALF


def contains(scenes, category):
    return np.array([any(thing.category == category for thing in scene.objects) for scene in scenes])


# ---------------------------------------------------------------- what it says it is


def test_it_is_simulated_and_complete(subject):
    assert subject.simulated and subject.name == "demo-1" and "simulated" in subject.describe()
    assert subject.image_degrees == demo.DEGREES and subject.density == "10k"
    assert subject.images.shape == (N, 112, 112, 3) and subject.images.dtype == np.uint8
    assert subject.responses.shape == (N, len(subject.vertex)) and len(subject.vertex) > 1500
    assert set(subject.rois) == set("V1 V2 V3 hV4 OFA FFA FBA EBA LO VWFA PPA OPA RSC".split())
    assert all(mask.any() for mask in subject.rois.values()) and not subject.constant.any()


def test_responses_are_z_scored(subject):
    assert subject.responses.dtype == np.float32
    np.testing.assert_allclose(subject.responses.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(subject.responses.std(0), 1, atol=1e-4)


def test_maps_are_there_and_in_degrees(subject):
    angle, ecc, size = (subject.maps[name] for name in ("polar_angle", "eccentricity", "prf_size"))
    early = np.any([subject.rois[name] for name in ("V1", "V2", "V3", "hV4")], 0)
    for values in (angle, ecc):
        np.testing.assert_array_equal(np.isfinite(values), early)
    assert np.nanmin(angle) >= 0 and np.nanmax(angle) < 360 and 0 <= np.nanmin(ecc) and np.nanmax(ecc) < 10
    left = early & (subject.hemi == 0)
    assert (np.abs((angle[left] + 180) % 360 - 180) < 90).mean() > 0.85  # 0° is to the right, as in NSD
    assert (np.abs((angle[early & ~left] + 180) % 360 - 180) > 90).mean() > 0.85
    cortex = demo.cortex(1)
    height = cortex.retinotopy.y[cortex.vertices.rows]  # y up in the visual field: the angle is counter-clockwise
    assert (angle[early & (height > 1)] < 180).mean() > 0.97 and (angle[early & (height < -1)] > 180).mean() > 0.97
    for name, (slope, base) in simulation.PRF_SIZE.items():
        v = subject.rois[name]
        np.testing.assert_allclose(size[v], np.clip(slope * ecc[v] + base, 0.045 * HALF, 0.8 * HALF), rtol=1e-3)
    assert np.median(size[subject.rois["V1"]]) < np.median(size[subject.rois["hV4"]]) < size[subject.rois["FFA"]].min()


# ---------------------------------------------------------------- seeds


def test_pictures_are_those_of_the_subjects_seeds(subject, truth):
    images, scenes = render_scenes([SUBJECT_SEEDS + i for i in (0, 7, 59)])
    np.testing.assert_array_equal(subject.images[[0, 7, 59]], images)
    assert [truth[i] for i in (0, 7, 59)] == list(scenes)


def test_the_same_again(subject, truth):
    again = simulation.simulate(subject.images, truth, demo.cortex(1), HALF, seed=1)
    np.testing.assert_array_equal(again["responses"], subject.responses)
    np.testing.assert_array_equal(again["noise_ceiling"], subject.noise_ceiling)
    reread = demo.load_demo(1, n_pictures=N)
    np.testing.assert_array_equal(reread.responses, subject.responses)
    np.testing.assert_array_equal(reread.maps["polar_angle"], subject.maps["polar_angle"])
    assert reread.split == subject.split


def test_three_subjects_differ(subject):
    others = [demo.load_demo(number, n_pictures=N) for number in (2, 3)]
    for other in others:
        np.testing.assert_array_equal(other.images, subject.images)  # they see the same
        mine, theirs = (s.hemi.astype(int) * 10242 + s.vertex for s in (subject, other))
        common, a, b = np.intersect1d(mine, theirs, return_indices=True)
        assert len(common) > 0.8 * len(mine)
        alike = [np.corrcoef(subject.responses[:, i], other.responses[:, j])[0, 1] for i, j in zip(a, b, strict=True)]
        assert 0.1 < np.mean(alike) < 0.8  # another brain and other noise, but the same pictures
        v1 = np.flatnonzero(subject.rois["V1"][a] & other.rois["V1"][b])
        moved = np.linalg.norm(planted_place(subject)[a[v1]] - planted_place(other)[b[v1]], axis=1) * HALF
        assert 0.1 < np.median(moved) < 1.0  # degrees
        assert not np.array_equal(subject.rois["FFA"][a], other.rois["FFA"][b])
    assert {s.name for s in others} == {"demo-2", "demo-3"}


@pytest.mark.parametrize("number", [0, 4, "x"])
def test_there_is_no_fourth(number):
    with pytest.raises(InputError, match="demo-1, demo-2 or demo-3"):
        demo.load_demo(number)


# ---------------------------------------------------------------- planted truth


def test_the_noise_ceiling_is_kept(subject, signal):
    ceiling = subject.noise_ceiling
    assert ceiling.min() >= 0.05 and ceiling.max() <= 0.85
    z = (signal - signal.mean(0)) / signal.std(0)
    shared = (z * subject.responses).mean(0) ** 2
    assert shared.mean() == pytest.approx(ceiling.mean(), abs=0.03)
    assert np.corrcoef(shared, ceiling)[0, 1] > 0.75
    for low, high in ((0.05, 0.35), (0.35, 0.55), (0.55, 0.85)):
        chosen = (ceiling >= low) & (ceiling < high)
        assert chosen.sum() > 20 and shared[chosen].mean() == pytest.approx(ceiling[chosen].mean(), abs=0.07)
    inside = np.hypot(*planted_place(subject).T) < 0.8
    v1 = subject.rois["V1"]
    assert ceiling[v1 & inside].mean() > 0.65 > ceiling[subject.rois["FFA"]].mean() > 0.45


def test_early_vertices_answer_to_contrast_where_they_look(subject, signal):
    energy = simulation.contrast_energy(subject.images).sum(1)
    energy = (energy - energy.mean(0)) / energy.std(0)
    place = planted_place(subject)
    cell = np.clip(((place + 1) * simulation.SIDE / 2), 0, simulation.SIDE - 1)
    for name in ("V1", "V2", "V3", "hV4"):
        v = np.flatnonzero(subject.rois[name] & (np.hypot(*place.T) < 0.85))
        for answers, least in ((signal, 0.7), (subject.responses, 0.6)):
            z = (answers[:, v] - answers[:, v].mean(0)) / answers[:, v].std(0)
            field = np.einsum("nv,nyx->vyx", z, energy) / N  # correlation with every place of the picture
            x, y = cell[v].astype(int).T
            at = np.arange(len(v))
            own, opposite = field[at, y, x], field[at, simulation.SIDE - 1 - y, simulation.SIDE - 1 - x]
            assert own.mean() > least and own.mean() > opposite.mean() + 0.3
            assert (own > opposite).mean() > 0.9
            best = np.stack(np.divmod(field.reshape(len(v), -1).argmax(1), simulation.SIDE)[::-1], 1)
            off = np.linalg.norm((best + 0.5) / (simulation.SIDE / 2) - 1 - place[v], axis=1) * HALF
            assert np.median(off) < (1.3 if name == "hV4" else 0.7)  # degrees


def test_high_level_areas_answer_to_what_is_in_the_picture(subject, truth):
    kind = np.array([scene.kind for scene in truth])
    mean = {name: subject.responses[:, mask].mean(1) for name, mask in subject.rois.items()}

    def prefers(area, chosen, other):
        return mean[area][chosen].mean() - mean[area][other].mean()

    face, body, word = (contains(truth, name) for name in ("face", "body", "word"))
    scene = (kind != "none") & ~face & ~body
    assert prefers("FFA", face, scene) > 0.5 and prefers("OFA", face, scene) > 0.5
    assert prefers("EBA", body, ~body) > 0.5 and prefers("VWFA", word, ~word) > 0.3
    assert prefers("PPA", scene, face) > 0 and prefers("PPA", kind != "none", kind == "none") > 0.5
    assert prefers("RSC", (kind == "street") | (kind == "landscape"), kind == "indoor") > 0.5
    # Faces divide FFA's pictures better than they divide those of any scene area or of V1.
    assert min(prefers("FFA", face, ~face) - prefers(area, face, ~face) for area in ("PPA", "OPA", "RSC", "V1")) > 0.3


def test_answers_are_smooth_over_the_cortex(subject, signal):
    rows = {int(h) * 10242 + int(v): i for i, (h, v) in enumerate(zip(subject.hemi, subject.vertex, strict=True))}
    edges = load_mesh().edges()
    pairs = np.array([(rows[a], rows[b]) for a, b in edges.tolist() if a in rows and b in rows])
    z = (signal - signal.mean(0)) / signal.std(0)
    near = (z[:, pairs[:, 0]] * z[:, pairs[:, 1]]).mean()
    far = (z[:, pairs[:, 0]] * z[:, np.random.default_rng(0).permutation(pairs[:, 1])]).mean()
    assert near > 0.75 and near > far + 0.4


# ---------------------------------------------------------------- its parts


def grating(wavelength, turn, size=112):
    """A picture of stripes whose brightness changes along the direction ``turn`` (radians, y down)."""
    y, x = np.mgrid[0:size, 0:size]
    wave = 127.5 + 100 * np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / wavelength)
    return np.repeat(wave[:, :, None], 3, 2).astype(np.uint8)


def test_each_filter_prefers_its_wavelength_and_orientation():
    waves = [(w, k) for w in simulation.WAVELENGTHS for k in range(simulation.ORIENTATIONS)]
    images = np.stack([grating(w, k * np.pi / simulation.ORIENTATIONS) for w, k in waves])
    energy = simulation.contrast_energy(images)
    assert energy.shape == (16, 16, simulation.SIDE, simulation.SIDE) and energy.min() >= 0
    middle = energy[:, :, 8:-8, 8:-8].mean((2, 3))
    assert (middle.argmax(0) == np.arange(16)).all()  # channel = wavelength · 4 + orientation
    assert (middle.argmax(1) == np.arange(16)).all()


def test_contrast_is_seen_where_it_is():
    images = np.full((3, 112, 112, 3), 128, np.uint8)
    images[1, 24:52, 16:44] = grating(9, 0)[24:52, 16:44]
    images[2] = images[1, ::-1, ::-1]
    energy = simulation.contrast_energy(images).sum(1)
    assert energy[0].max() < 1e-3 * energy[1].max()
    row, column = np.divmod(energy[1].argmax(), simulation.SIDE)
    assert 6 <= row < 13 and 4 <= column < 11  # rows are y, down; a cell is 4 pixels
    assert energy[1, 7:12, 5:10].min() > 10 * energy[1, 18:, 16:].max()
    np.testing.assert_allclose(energy[2], energy[1, ::-1, ::-1], atol=2e-2 * energy[1].max())


def test_pooling_is_a_gaussian_around_the_centre():
    centre = np.array([[0.0, 0.0], [0.5, -0.25], [1.0, 0.0], [3.0, 0.0]])
    weight, share = simulation.pooling(centre, np.full(4, 0.12))
    at = (np.arange(simulation.SIDE) + 0.5) / (simulation.SIDE / 2) - 1
    x, y = (g.ravel() for g in np.meshgrid(at, at))
    np.testing.assert_allclose(weight[:2].sum(1), 1, atol=1e-4)
    np.testing.assert_allclose(np.stack([weight[:2] @ x, weight[:2] @ y], 1), centre[:2], atol=1e-2)
    spread = np.sqrt(weight[0] @ (x**2))
    assert spread == pytest.approx(0.12, rel=0.03)
    assert share[:3] == pytest.approx([1, 1, 0.5], abs=0.02) and share[3] < 1e-3


def test_scene_table():
    def thing(category, x, y, size):
        return SimpleNamespace(category=category, x=x, y=y, size=size, attributes=(1.0, 2.0, 3.0, 4.0))

    scenes = [
        SimpleNamespace(kind="none", openness=0.0, depth=0.0, horizon=0.0, objects=[]),
        SimpleNamespace(
            kind="street", openness=1.0, depth=0.5, horizon=0.4, objects=[thing("face", 0.1, -0.2, 0.3)] * 2
        ),
    ]
    table, kinds, layout = simulation.scene_table(scenes)
    assert table["picture"].tolist() == [1, 1] and table["category"].tolist() == [0, 0]
    assert table["at"].tolist() == [[0.1, -0.2]] * 2 and table["size"].tolist() == [0.3, 0.3]
    assert kinds.tolist() == [[0, 0, 0], [0, 0, 1]]  # indoor, landscape, street
    np.testing.assert_allclose(layout, [[-1, -1, -1], [1, 1, 1]], rtol=1e-4)


# ---------------------------------------------------------------- rendered in parts, by two processes


def test_every_other_part_and_each_picture_once(tmp_path):
    n = demo.PART + 1
    demo.render_parts(tmp_path, n, 1)
    (part,) = tmp_path.glob("part-*.npz")
    assert part.name == f"part-{demo.PART}-{n}.npz"
    images, scenes = render_scenes([SUBJECT_SEEDS + demo.PART])
    rendered = np.load(part)
    np.testing.assert_array_equal(rendered["images"], images)
    assert len(json.loads(str(rendered["truth"]))) == len(scenes) == 1
    changed = part.stat().st_mtime_ns
    demo.render_parts(tmp_path, n, 1)  # what is there stays
    assert part.stat().st_mtime_ns == changed


def test_when_the_second_process_fails_the_first_does_its_part(monkeypatch):
    monkeypatch.setattr(demo, "PART", 3)
    monkeypatch.setattr(demo.sys, "executable", "/bin/false")
    seen = []
    with listening(seen.append):
        images, scenes = demo.pictures(7)
    expected, truth = render_scenes([SUBJECT_SEEDS + i for i in range(7)])
    np.testing.assert_array_equal(images, expected)
    assert scenes == list(truth) and seen and all(step.total == 7 for step in seen)
    folder = demo.cache_dir("subjects") / f"pictures-v{demo.VERSION}-7"
    assert not list(folder.glob("part-*"))
    monkeypatch.setattr(demo, "_render", None)  # not drawn again
    np.testing.assert_array_equal(demo.pictures(7)[0], expected)


def stopping(folder, words, seen):
    """A listener that asks the run or job in a folder to stop as soon as a few pictures of this step are done."""

    def on_progress(progress):
        seen.append(progress)
        if str(progress.get("doing")).startswith(words) and progress["step"]:
            JobFolder(folder).request_stop()

    return on_progress


def test_a_trainings_first_use_is_told_and_stopped(monkeypatch, tmp_path):
    """Stopped while pictures are rendered, resumed from there, stopped while responses are simulated, and once more by an extraction."""
    monkeypatch.setattr(demo.load_demo, "__defaults__", (1, 400))
    path, first, then, last = tmp_path / "run", [], [], []
    run = train_run(path, "demo-1", "demo-vit", on_progress=stopping(path, "rendering", first))
    assert run.state() == ("stopped", "stopped on request") and run.resumable
    reports = [p for p in first if p.get("doing")]
    assert reports[0]["step"] == 0 and 0 < reports[-1]["step"] < 400 and reports[-1]["remaining"] > 0
    assert all((p["stage"], p["total"]) == ("pictures", 400) for p in reports)

    train_run(path, resume=True, on_progress=stopping(path, "simulating", then))
    reports = [p for p in then if p.get("doing")]
    assert reports[0]["step"] >= first[-1]["step"] and run.status == "stopped" and demo.on_disk(1, 400) == (True, False)
    assert 0 < reports[-1]["step"] < reports[-1]["total"] and reports[-1]["doing"].startswith("simulating")

    job = queue.submit_job("extract", {"subject": "demo-1", "backbone": "demo-vit"}, start=False)
    work.work_job(job.path, queued=True, on_progress=stopping(job.path, "simulating", last))
    assert job.status == "stopped" and job.progress()["stage"] == "pictures" and last[-1]["remaining"] > 0
    assert demo.on_disk(1, 400) == (True, False)


def test_who_waits_for_anothers_rendering_tells_how_far_it_is():
    folder = demo.cache_dir("subjects") / f"pictures-v{demo.VERSION}-100"
    folder.mkdir()
    demo.render_parts(folder, 100, 0)

    def refuse(step):
        assert (step.done, step.total) == (50, 100)
        return False

    with FileLock(folder / "lock"), pytest.raises(Stopped), listening(refuse):
        demo.pictures(100)


SCRIPT = """
import sys, time
import factortopy as ft
start = time.monotonic()
subject = ft.load_subject("demo")
print("script runs", subject.name, subject.responses.shape[0], subject.simulated)
"""


def test_a_plain_script_may_load_the_demo(tmp_path, monkeypatch):
    """Without an ``if __name__ == "__main__"``: the helper process must not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, str(script)], env=environment(FACTORTOPY_DEMO_PICTURES="20"), capture_output=True, text=True,
        timeout=100, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["script runs demo-1 20 True"]
    assert time.monotonic() - start < 60


def test_names_lead_to_the_demo_subjects(shared_home, monkeypatch):
    monkeypatch.setattr(demo.load_demo, "__defaults__", (1, N))
    for name, expected in (("demo", "demo-1"), ("demo-1", "demo-1"), ("demo-3", "demo-3")):
        assert load_subject(name).name == expected
