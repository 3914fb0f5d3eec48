"""Several networks in one pass over the pictures, and what an extraction is said to take before it starts."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_network import SmallNetwork, pictures
from test_components import LowRank
from test_features import same

from factortopy.cli.progress import counter
from factortopy.errors import InputError
from factortopy.features import estimate, speed
from factortopy.features.estimate import plan
from factortopy.features.extraction import extract, extract_many


class Counted:
    """Pictures that count how often each was asked for."""

    def __init__(self, pixels, asked=None):
        self.pixels, self.asked = pixels, [] if asked is None else asked

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Counted(self.pixels[i], self.asked)
        pixels = self.pixels[i]
        self.asked.append(i)
        return pixels


def until(limit):
    """on_progress that stops at so many pictures."""
    return lambda done, total: done < limit


def test_each_picture_is_read_once_for_all():
    networks, seen = [SmallNetwork(gain) for gain in (1, 2, 3)], Counted(pictures(70))
    found = extract_many(networks, seen)
    assert len(seen.asked) <= 70 * 2 + 1 + len(networks)  # hashed and shown once; the first tells shapes
    for network, features in zip(networks, found, strict=True):
        same(features, extract(SmallNetwork(network.gain), seen.pixels, cache=False))
        assert network.pictures == 71


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=3), st.integers(1, 80), st.booleans(), st.integers(0, 10**9))
def test_wherever_each_was_stopped_all_end_as_if_alone(stops, n, again, seed):
    images = pictures(n, seed=seed)
    networks = [SmallNetwork(1 + k) for k in range(len(stops))]
    for network, stop in zip(networks, stops, strict=True):
        extract(network, images, until(stop))
    before = [network.pictures for network in networks]
    if again:
        extract_many(networks, images, until(1 + n // 2))
    found = extract_many([*networks, networks[0]], images)
    for network, features, past in zip([*networks, networks[0]], found, [*before, before[0]], strict=True):
        same(features, extract(SmallNetwork(network.gain), images, cache=False))
        assert network.pictures - past <= n + 2  # nothing is shown twice but the first picture


def test_what_is_on_disk_is_not_shown_again():
    first, second, images = SmallNetwork(1), SmallNetwork(2), pictures(9)
    extract(first, images)
    shown = first.pictures
    extract_many([second, first], images)
    assert first.pictures == shown and second.pictures == 10


def test_a_network_that_fails_takes_no_other_with_it():
    class Broken(SmallNetwork):
        name = "broken"

        def tokens(self, images):
            if self.pictures > 40:
                raise InputError("broken: expected whole weights, found none; fetch them")
            return super().tokens(images)

    good, images = [SmallNetwork(1), SmallNetwork(2)], pictures(70)
    odd, wild = Broken(3), SmallNetwork(1e9)
    odd.name, wild.name = "broken", "wild"
    with pytest.raises(InputError) as caught:
        extract_many([good[0], odd, wild, good[1]], images)
    said = str(caught.value)
    assert said.startswith("broken: expected whole weights") and "wild, layer fine: " in said
    assert said.endswith("(on disk: features of small, small)") and said.count("broken") == 1
    for network in good:
        shown = network.pictures
        same(extract(network, images), extract(SmallNetwork(network.gain), images, cache=False))
        assert network.pictures == shown
    with pytest.raises(InputError, match="broken: expected whole weights") as caught:
        extract(odd, images)
    assert "on disk" not in str(caught.value)


def test_a_fault_of_ours_stays_one():
    class Faulty(SmallNetwork):
        def tokens(self, images):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        extract_many([SmallNetwork(1), Faulty(2)], pictures(5))


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    paths = []
    for k, pixels in enumerate(pictures(40)):
        paths.append(tmp_path / f"{k}.png")
        Image.fromarray(pixels).save(paths[-1])
    paths[35].write_bytes(b"torn")
    networks = [SmallNetwork(1), SmallNetwork(2)]
    with pytest.raises(InputError, match=r"35\.png"):
        extract_many(networks, paths)
    Image.fromarray(pictures(1)[0]).save(paths[35])
    assert [len(features) for features in extract_many(networks, paths)] == [40, 40]


def test_stopped_and_gone_on():
    networks, images, told = [SmallNetwork(1), SmallNetwork(2)], pictures(100), []

    def stop(done, total):
        told.append((done, total))
        return done < 64

    assert extract_many(networks, images, stop) is None and told == [(32, 100), (64, 100)]
    for network in networks:
        assert network.pictures == 65
    found = extract_many(networks, images)
    for network, features in zip(networks, found, strict=True):
        assert network.pictures == 65 + 1 + 36
        same(features, extract(SmallNetwork(network.gain), images, cache=False))


def test_components_of_several_are_learnt_in_one_pass():
    images = Counted(pictures(80))
    found = extract_many([LowRank(), SmallNetwork(2)], images, reduce=2, train=np.arange(50))
    assert len(images.asked) <= 80 + 50 + 80 + 3
    for network, features in zip((LowRank(), SmallNetwork(2)), found, strict=True):
        alone = extract(network, images.pixels, reduce=2, train=np.arange(50), cache=False)
        for a, b in zip((*alone.local, *alone.global_), (*features.local, *features.global_), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)


def test_two_who_want_the_same_in_another_order_agree():
    images, found = pictures(60), {}

    def run(key, gains):
        found[key] = extract_many([SmallNetwork(gain) for gain in gains], images)

    threads = [threading.Thread(target=run, args=(key, gains)) for key, gains in enumerate([(1, 2, 3), (3, 2, 1)] * 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    for k in range(6):
        for a, b in zip(found[k], found[0] if k % 2 == 0 else found[0][::-1], strict=True):
            same(a, b)


# ---------------------------------------------------------------- told before


class Clock:
    """Seconds that pass when pictures are read and shown, and at no other time."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.floats(0.003, 0.05), st.floats(0, 0.01), st.integers(1, 300), st.floats(1, 3), st.floats(0, 2)
)  # fmt: skip
def test_a_plan_is_the_time_that_it_takes(showing, reading, n, budget, warming):
    clock = Clock()

    class Slow(SmallNetwork):
        def tokens(self, images):
            clock.now += showing * len(images) + (0 if self.calls else warming)
            return super().tokens(images)

    class Read(Counted):
        def __getitem__(self, i):
            clock.now += reading
            return super().__getitem__(i)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "time", clock)
        told = plan(Slow(), 73_000, seconds=budget, images=Read(pictures(n)))
    true = 73_000 * (showing + 2 * reading)  # each is read to be hashed and to be shown
    assert abs(told.seconds / true - 1) < 0.2


def test_a_plan_keeps_a_pace_until_they_were_extracted():
    clock = Clock()

    class Slow(SmallNetwork):
        def tokens(self, images):
            clock.now += 0.02 * len(images)
            return super().tokens(images)

    class Read(Counted):
        def __getitem__(self, i):
            clock.now += 0.001
            return super().__getitem__(i)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "time", clock)
        told = plan(Slow(), 1000, seconds=1, images=Read(pictures(9)))
    assert told.hashing == pytest.approx(0.001) and speed.measured()["small"]["probe"]
    assert told.seconds == pytest.approx(1000 / told.pictures_per_second + 1000 * told.hashing)


class Lines:
    def __call__(self, progress):
        self.left = progress["remaining"]


def test_what_is_left_is_judged_by_what_was_done_since(monkeypatch):
    clock, lines = Clock(), Lines()
    monkeypatch.setattr("factortopy.cli.progress.time.monotonic", clock.perf_counter)
    told = counter(lines, "features")
    told(932, 1932)  # 900 lay on disk
    assert lines.left is None
    clock.now += 10
    told(1032, 1932)
    assert lines.left == pytest.approx(90)
    clock.now += 5
    told(32, 100)  # the next network
    assert lines.left is None
    clock.now += 1
    told(64, 100)
    assert lines.left == pytest.approx(36 / 32)
