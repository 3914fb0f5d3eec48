"""Films: frames averaged within a TR, delayed by a response that is learnt, split in blocks without a leak."""

import io
import shutil
from dataclasses import replace

import av
import film_files
import numpy as np
import pytest
from PIL import Image
from plain_folder import about, clone, make_film_folder, make_folder, table, write
from small_network import SmallNetwork
from test_algonauts import problems, stops, warns

import factortopy as ft
from factortopy.encoder.films import as_fitted, canonical, kept_together, learn_response, of_trials
from factortopy.encoder.ridge import folds
from factortopy.errors import InputError
from factortopy.features.extraction import Features, compute
from factortopy.subjects.check import check
from factortopy.subjects.folder.films import Film, Frames, default_delays
from factortopy.subjects.loading import load_subject
from factortopy.subjects.subset import fewer_pictures


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    folder = make_film_folder(tmp_path_factory.mktemp("films"), delay=3)
    about(folder, delays=[2, 3, 4, 5])
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return clone(original, tmp_path)


@pytest.fixture
def watched(folder):
    subject = load_subject(folder)
    return subject, compute(SmallNetwork(), subject.images)


PARTS = ["train"] * 40 + ["val"] * 30 + ["test"] * 30


def film(trs=60, runs=2, clips=None, delays=(2, 3), k=2):
    """A Film of ``runs`` runs; ``clips`` tells which film each run shows."""
    clips = list(range(runs)) if clips is None else clips
    clip, position = np.repeat(clips, trs), np.tile(np.arange(trs), runs)
    frames = (clip * trs + position)[:, None] * k + np.arange(k)
    n = (max(clips) + 1) * trs * k
    pictures = Frames([np.zeros((n, 8, 8, 3), np.uint8)], np.stack([np.zeros(n, int), np.arange(n)], 1))
    return Film(frames, np.repeat(np.arange(runs), trs), clip, position, position * 1.0, 1.0, delays, pictures)


# ---------------------------------------------------------------- the response


@pytest.mark.parametrize("delay", [2, 4])
def test_a_planted_delay_is_recovered(tmp_path, delay):
    folder = make_film_folder(tmp_path, delay=delay, noise=0.3)
    about(folder, delays=[2, 3, 4, 5])
    subject = load_subject(folder)
    features = compute(SmallNetwork(), subject.images)
    weights = learn_response(subject, features)
    assert subject.film.delays == (2, 3, 4, 5)
    assert weights[subject.film.delays.index(delay)] > 0.7 and np.isclose(weights.sum(), 1) and (weights >= 0).all()
    encoder = ft.fit(subject, features, model="ridge", reduce="data")
    assert encoder.info["fir"]["delays"] == [2, 3, 4, 5]
    score = np.nanmean(ft.brain_score(encoder, subject, features))
    fixed = of_trials(subject, features, canonical((2, 3, 4, 5), 1.0))
    other = np.nanmean(ft.brain_score(ft.fit(subject, fixed, model="ridge", reduce="data"), subject, fixed))
    assert score > 0.6 and score > other + 0.1


def test_noise_alone_leaves_the_canonical_response(folder):
    rng = np.random.default_rng(0)
    for hemi in "LR":
        write(folder / f"responses/hemi-{hemi}.npy", rng.normal(size=(400, 24)).astype(np.float32))
    subject = load_subject(folder)
    weights = learn_response(subject, compute(SmallNetwork(), subject.images))
    assert np.abs(weights - canonical((2, 3, 4, 5), 1.0)).max() < 0.45


def test_only_training_trs_are_looked_at(watched):
    subject, features = watched
    before = learn_response(subject, features)
    held = np.setdiff1d(np.arange(subject.n_trials), subject.split.train)
    subject.responses[held] = 1e3 * np.random.default_rng(0).normal(size=(len(held), subject.n_vertices))
    assert np.array_equal(learn_response(subject, features), before)


def test_canonical_response_peaks_after_five_seconds():
    weights = canonical((1, 2, 3, 4, 5, 6), 1.5)
    assert np.argmax(weights) in (2, 3) and np.isclose(weights.sum(), 1)  # 4.5 or 6 s
    assert np.array_equal(canonical((0,), 1.0), [1.0])


def test_tokens_are_averaged_then_delayed(watched):
    subject, features = watched
    weights = np.array([0.1, 0.4, 0.3, 0.2])
    delayed = of_trials(subject, features, weights)
    assert delayed.extra["fir"]["tr"] == 1.0 and len(delayed) == 400 and of_trials(subject, delayed) is delayed
    for layer, token, source, head in zip(
        delayed.local, delayed.global_, features.local, features.global_, strict=True
    ):
        for t in (150, 205, 399):  # 205 is the sixth TR of the second run
            rows = [np.arange(2) + 2 * (t - d) for d in (2, 3, 4, 5)]
            expected = sum(w * source[r].astype(np.float32).mean(0) for w, r in zip(weights, rows, strict=True))
            assert np.allclose(layer[np.array([t])][0], expected, atol=1e-3)
            expected = sum(w * head[r].astype(np.float32).mean(0) for w, r in zip(weights, rows, strict=True))
            assert np.allclose(token[t], expected, atol=1e-3)
        assert layer[3:9:2].shape == (3, *source.shape[1:]) and np.isfinite(layer[::50]).all()


@pytest.mark.parametrize("model", ["factorized", "ridge"])
def test_a_still_picture_has_its_own_tokens(watched, tmp_path, model, monkeypatch):
    subject, features = watched
    options = {"reduce": "data"} if model == "ridge" else {"steps": 20}
    encoder = ft.fit(subject, features, model=model, **options)
    still = Features(
        [layer[:1].repeat(800, 0) for layer in features.local], [t[:1].repeat(800, 0) for t in features.global_]
    )
    for_long = encoder.predict_features(as_fitted(encoder, subject, still)[np.array([100])])
    assert np.allclose(encoder.predict_features(features[:1]), for_long, atol=1e-3)
    encoder.info["backbone"] = "small"
    monkeypatch.setattr(encoder, "_backbone", SmallNetwork())
    assert np.allclose(encoder.predict(subject.image(0)), for_long, atol=1e-3)
    encoder.save(tmp_path)
    again = ft.Encoder.load(tmp_path)
    assert np.allclose(ft.brain_score(again, subject, features), ft.brain_score(encoder, subject, features), atol=1e-5)


def test_pictures_are_left_as_they_are(tmp_path):
    subject = load_subject(make_folder(tmp_path))
    features = compute(SmallNetwork(), subject.images)
    assert of_trials(subject, features) is features
    with pytest.raises(InputError, match="800 frames|expected"):
        ft.fit(load_subject(make_film_folder(tmp_path)), features)


# ---------------------------------------------------------------- the split


@pytest.mark.parametrize("clips", [[0, 1], [0, 0], [0, 1, 0]])
def test_blocks_lie_apart_in_film_and_run(clips):
    stimulus = film(240, len(clips), clips)
    split = stimulus.split()
    parts = [split.train, split.val, split.test]
    assert all(len(part) >= 5 for part in parts) and len(split.train) > 4 * len(split.test)
    for k, first in enumerate(parts):
        for second in parts[k + 1 :]:
            for group, place in ((stimulus.run, np.arange(len(stimulus.run))), (stimulus.clip, stimulus.position)):
                same = group[first][:, None] == group[second]
                assert (
                    not (same & (np.abs(place[first][:, None] - place[second]) <= stimulus.gap)).any()
                    and stimulus.gap == 16
                )
            seen = [set(stimulus.weights([0.5, 0.5])[part].indices) for part in (first, second)]
            assert not seen[0] & seen[1]  # no frame counts on two sides
    assert stimulus.split() == split
    longest = max(np.diff(np.flatnonzero(np.diff(np.r_[0, split.test, 10**6]) > 1)))
    assert longest > stimulus.gap  # blocks, not single TRs


def test_given_parts_keep_their_gap(folder):
    split = ["train"] * 180 + ["val"] * 20 + ["test"] * 200
    given = load_subject(folder).film.split(split)
    assert given.val.min() == 180 and given.test.min() == 205  # a history of five TRs is needed
    assert given.train.max() == 163  # 16 s
    half = load_subject(folder).film.split(["train"] * 200 + ["test"] * 200)
    assert len(half.val) >= 10 and not np.intersect1d(half.val, half.train).size


@pytest.mark.parametrize("tr", [0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 4.0])
def test_gaps_and_delays_are_those_of_blood_at_any_tr(tr):
    delays = default_delays(tr)
    assert 2 <= delays[0] * tr < 2 + tr or delays[0] == 1
    assert 10 - tr < delays[-1] * tr <= 10 and np.array_equal(np.diff(delays), np.ones(len(delays) - 1))
    stimulus = replace(film(round(400 / tr), 2, [0, 1], delays), tr=tr)
    split = stimulus.split()
    assert 16 <= stimulus.gap * tr < 16 + tr
    rest = np.concatenate([split.train, split.val])
    apart = np.abs(rest[:, None] - split.test)[stimulus.run[rest][:, None] == stimulus.run[split.test]] * tr
    assert apart.min() > 16 and f"gaps of {stimulus.gap} TRs" in stimulus.left_out(split)


def test_slow_drifts_are_taken_out_by_run(original, tmp_path):
    """A line and a wave of 300 s in each run, ten times as large as the responses, leave what is without them."""
    folder, still = clone(original, tmp_path / "a"), load_subject(original)
    second = np.arange(200)
    slow = np.concatenate([0.1 * second, 9 * np.cos(np.pi * (second + 0.5) / 200)])[:, None]
    for hemi in "LR":
        y = np.load(folder / f"responses/hemi-{hemi}.npy")
        write(folder / f"responses/hemi-{hemi}.npy", (y + slow).astype(np.float32))
    subject = load_subject(folder)
    np.testing.assert_allclose(subject.responses, still.responses, atol=1e-4)
    assert "periods above 128 s" in " ".join(subject.notes)
    about(folder, high_pass=0)
    as_it_is = load_subject(folder)
    assert "filtered already" in " ".join(as_it_is.notes)
    assert (
        np.abs(np.corrcoef(as_it_is.responses[:200, 0], second)[0, 1])
        > 0.9
        > 0.1
        > np.abs(np.corrcoef(subject.responses[:200, 0], second)[0, 1])
    )


def test_a_fit_with_other_delays_opens(watched, folder):
    subject, features = watched
    encoder = ft.fit(subject, features, model="ridge", reduce="data")
    score = ft.brain_score(encoder, subject, features)
    about(folder, delays=None)
    again = load_subject(folder)
    assert again.film.delays == tuple(range(2, 11))
    again.split = subject.split
    np.testing.assert_allclose(ft.brain_score(encoder, again, features), score, atol=1e-5)


def test_too_little_test_film_is_said(folder):
    from factortopy.analysis.scores import score_run

    table(folder, stimulus=["film-0"] * 200 + ["film-1"] * 200, run=[1] * 200 + [2] * 200,
          split=["train"] * 200 + ["val"] * 178 + ["test"] * 22)  # fmt: skip
    warns(folder, "22 s of test film are too short")
    subject = load_subject(folder)
    features = compute(SmallNetwork(), subject.images)
    encoder = ft.fit(subject, features, model="ridge", reduce="data")
    scores = score_run(encoder, subject, features)
    assert "too short" in encoder.info["untested"] and not scores["predicted"].any()


def test_too_little_film(tmp_path):
    stops(make_film_folder(tmp_path, runs=1, trs=60), "at least 190 TRs", "found 50")


def test_cross_validation_keeps_neighbours_together(watched):
    subject, _ = watched
    trials = subject.split.train
    for fitted, held in folds(kept_together(subject, trials)):
        apart = np.abs(trials[fitted][:, None] - trials[held])
        assert (apart == 1).sum() < len(held) / 5


def test_single_trs_are_never_drawn(watched):
    with pytest.raises(InputError, match="all of a film"):
        fewer_pictures(watched[0], 50)


# ---------------------------------------------------------------- what is read


def encoded(frames, rate):
    """Bytes of an AVI film."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.bit_rate = 2_000_000
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def test_a_film_is_sampled_in_its_time(tmp_path):
    folder = make_film_folder(tmp_path, runs=1, trs=100)
    grey = np.repeat(np.arange(20, 220, 2, dtype=np.uint8), 10)[:, None, None, None]  # a level a TR
    write(folder / "stimuli/ramp.avi", encoded(np.broadcast_to(grey, (1000, 32, 32, 3)), 10))
    about(folder, fps=None, delays=[1, 2])
    onset = np.r_[-2.0, -1.0, np.arange(95), 0, 0, 0]
    table(folder, stimulus=["ramp.avi"] * 97 + ["n/a"] * 3, onset=onset, split=PARTS)
    warns(folder, "2 before or after it")
    subject = load_subject(folder)
    levels = [int(subject.image(i).mean()) for i in subject.image_index]
    assert levels[:2] == [128, 128] and levels[-3:] == [128] * 3
    assert np.abs(np.array(levels[2:97]) - np.arange(20, 210, 2)).max() < 6
    assert subject.film.tr == 1.0 and subject.onset[5] == 3.0
    unused = np.setdiff1d(np.arange(100), np.concatenate([subject.split.train, subject.split.val, subject.split.test]))
    assert {0, 1, 97, 98, 99} <= set(unused)
    again = load_subject(folder)  # from the kept frames
    assert np.array_equal(again.image(30), subject.image(30))
    assert "100 TRs of 1 s in 1 run, 1 film" in " ".join(check(folder).lines())


def test_a_tr_sees_the_frames_of_its_time(tmp_path):
    """A film whose frames last from 0.1 to 2.5 s, turned and mirrored: each TR has the one on the screen; what was done is told."""
    folder = make_film_folder(tmp_path, runs=1, trs=100)
    gaps = np.random.default_rng(0).choice([0.1, 0.3, 0.7, 1.1, 2.5], 130)
    times = np.concatenate([[0], np.cumsum(gaps)])
    grey = (20 + 40 * (np.arange(131) % 6)).astype(np.uint8)
    pictures = [np.full((32, 32, 3), level, np.uint8) for level in grey]
    film = film_files.encoded(pictures, "mov", rate=1000, times=times)
    write(folder / "stimuli/uneven.mov", film_files.with_matrix(film, 0, 1, 1, 0))
    about(folder, fps=None, delays=[1, 2])
    table(folder, stimulus=["uneven.mov"] * 100, onset=np.arange(100), split=PARTS)
    subject = load_subject(folder)
    rows = subject.film.frames
    expected = grey[np.searchsorted(times, np.arange(200) / 2 + 0.25 + 1e-6, side="right") - 1].reshape(100, 2)
    near = np.abs(np.arange(200)[:, None] / 2 + 0.25 - times).min(1).reshape(100, 2) < 2e-3
    seen = np.array([[int(subject.image(i).mean()) for i in row] for row in rows])
    assert (np.abs(seen - expected.astype(int)) < 6)[~near].all() and near.mean() < 0.5


def test_frames_are_taken_in_the_middle_of_their_time(tmp_path):
    """Of a folder of frames and of a film, whose frames brighten in time: half a second of TR's beginning is seen at a quarter."""
    folder = make_film_folder(tmp_path, runs=1, trs=100)
    level = np.tile(np.arange(0, 240, 12, dtype=np.uint8), 100)  # 20 frames a second
    for k, grey in enumerate(level):
        (folder / "stimuli/fast").mkdir(exist_ok=True)
        write(folder / f"stimuli/fast/{k:05d}.png", grey_png(grey))
    film = encoded(np.broadcast_to(level[:, None, None, None], (2000, 32, 32, 3)), 20)
    write(folder / "stimuli/fast.avi", film)
    about(folder, fps=20, delays=[1, 2])
    for name in ("fast", "fast.avi"):
        table(folder, stimulus=[name] * 100, onset=np.arange(100), split=PARTS)
        subject = load_subject(folder)
        seen = [int(np.asarray(subject.image(i)).mean()) for i in subject.film.frames[50]]
        assert np.abs(np.array(seen) - [level[5], level[15]]).max() < 6, (name, seen)


def grey_png(grey):
    """Bytes of a grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((24, 24, 3), grey, np.uint8)).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"high_pass": 30}, "'high_pass': a period in seconds, 60 or more, or 0"),
        ({"high_pass": True}, "'high_pass'"),
        ({"tr": None}, "'tr': seconds between volumes"),
        ({"fps": None}, "'fps': frames a second"),
        ({"frames_per_tr": 99}, "from 1 to 30"),
        ({"delays": ["2"]}, "'delays'"),
    ],
)
def test_what_dataset_json_must_say(folder, changes, words):
    about(folder, **changes)
    assert any(words in line for line in problems(folder, "stops"))


def test_tables_of_films_are_checked(folder):
    rows = {"stimulus": ["film-0"] * 400, "run": [1] * 200 + [2] * 200, "onset": list(range(200)) * 2}
    table(folder, **(rows | {"onset": [7] * 400}))
    stops(folder, "rise by tr (1 s)", "7 s, then 7 s in line 3")
    table(folder, **(rows | {"onset": ["x"] * 400}))
    stops(folder, "numbers in column 'onset'")
    table(folder, **(rows | {"run": [1, 2] * 200}))
    stops(folder, "rows of each run one after another")
    table(folder, **(rows | {"stimulus": ["n/a"] * 400}))
    stops(folder, "films in column 'stimulus'")
    table(folder, **(rows | {"image": ["a.png"] * 400}))
    stops(folder, "'image' or a column 'stimulus'")
    for name in ("missing.mp4", "../film", "/etc"):
        table(folder, **(rows | {"stimulus": [name] * 400}))
        stops(folder, "films or folders of frames in stimuli/ in column 'stimulus'", "in line 2")


def test_damaged_films_are_all_listed(folder):
    write(folder / "stimuli/a.mp4", b"no film at all")
    write(folder / "stimuli/b.mp4", "#EXTM3U\nfile:///etc/passwd\n")
    shutil.rmtree(folder / "stimuli/film-0")
    (folder / "stimuli/film-0").mkdir()
    names = ["a.mp4"] * 100 + ["b.mp4"] * 100 + ["film-0"] * 200
    table(folder, stimulus=names, run=np.repeat([1, 2, 3], [100, 100, 200]))
    lines = problems(folder, "stops")
    assert len(lines) == 3 and "a.mp4" in lines[0] and "b.mp4" in lines[1] and "frames as .png" in lines[2]


def test_trained_from_the_command_line(folder, tmp_path):
    from factortopy.cli.main import main

    out = tmp_path / "run"
    assert main(["train", "--subject", str(folder), "--backbone", "demo-vit", "--steps", "4", "--out", str(out)]) == 0
    encoder = ft.Encoder.load(out)
    assert encoder.info["fir"]["delays"] == [2, 3, 4, 5] and encoder.predict(np.zeros((24, 24, 3), np.uint8)).shape == (
        1,
        48,
    )
    from factortopy.analysis import read_gallery

    gallery = read_gallery(out)
    assert len(gallery.image) == min(120, len(load_subject(folder).split.test))
