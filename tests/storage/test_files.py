"""Writing and reading files: kills, full and read-only disks, torn and hostile content; the home folder."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from trials import environment

from factortopy.errors import InputError
from factortopy.storage import home
from factortopy.storage.files import read_json, read_tensors, write_atomic, write_json, write_tensors


def one_line(caught, *words):
    """Assert that the caught InputError is one line that names every word."""
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, message
    return message


def test_the_message_is_one_line_whatever_a_file_is_called():
    assert str(InputError("a\nb \t c")) == "a b c"


def test_written_text_bytes_and_json_come_back(tmp_path):
    write_atomic(tmp_path / "a", "grün")
    write_atomic(tmp_path / "a", b"\x00\xff")  # the second replaces the first
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    write_json(tmp_path / "b.json", {"x": [1, None, "é"]})
    assert read_json(tmp_path / "b.json") == {"x": [1, None, "é"]}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b.json"]  # no temporary name is left


def test_tensors_of_any_layout_come_back(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "turned": rng.standard_normal((3, 5)).astype(np.float32).T,
        "half": rng.standard_normal(7).astype(np.float16),
        "empty": np.zeros((0, 4), np.int16),
        "single": np.array(3, np.uint8),
        "every second": np.arange(20)[::2],
    }
    write_tensors(tmp_path / "t.safetensors", tensors, {"simulated": "true"})
    found = read_tensors(tmp_path / "t.safetensors")
    assert set(found) == set(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype and found[name].shape == value.shape


def test_a_full_disk_keeps_the_old_file_and_says_how_much_is_needed(tmp_path):
    path = tmp_path / "run.json"
    write_atomic(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(InputError) as caught:
            write_atomic(path, bytes(3_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    one_line(caught, path, "3.0 MB", "free space")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        write_atomic(tmp_path / "none" / "a", "x")
    one_line(caught, tmp_path / "none" / "a", "its folder is not there")


def test_two_threads_writing_one_file_never_mix(tmp_path):
    path, contents = tmp_path / "shared", [bytes([k]) * 200_000 for k in range(4)]
    failures = []

    def write(content):
        for _ in range(15):
            try:
                write_atomic(path, content)
            except InputError as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert path.read_bytes() in contents
    assert not failures and list(tmp_path.iterdir()) == [path]


KILLED = """
import os, sys
from factortopy.storage.files import write_atomic
n = 0
while True:
    write_atomic(sys.argv[1], bytes([n % 256]) * 300_000)
    n += 1
    if n == 3:
        print("writing", flush=True)
"""


def test_a_kill_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a"
    for attempt in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], env=environment(), stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        threading.Event().wait(0.013 * (attempt + 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        data = path.read_bytes()
        assert len(data) == 300_000 and len(set(data)) == 1


# ---------------------------------------------------------------- what is read


def pointer(data):
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4821152\n"


DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "pointer": pointer,
    "huge header": lambda data: (2**62).to_bytes(8, "little") + data[8:],
    "negative": lambda data: b"\xff" * 8 + data[8:],
    "no JSON": lambda data: data[:8] + b"\x00" * (len(data) - 8),
    "web page": lambda data: b"<!doctype html><html>Sign in</html>",
    "longer": lambda data: data + b"\x00" * 10,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_tensors_are_named(tmp_path, damage):
    path = tmp_path / "my\nrun.safetensors"
    write_tensors(path, {"a": np.arange(1000.0)})
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(InputError) as caught:
        read_tensors(path)
    message = one_line(caught, "my run.safetensors", "bytes")
    assert ("pointer" in message) == (damage == "pointer")


def test_missing_tensors_are_named(tmp_path):
    with pytest.raises(InputError) as caught:
        read_tensors(tmp_path / "encoder.safetensors", "checkpoint")
    one_line(caught, "encoder.safetensors", "checkpoint")


def test_json_is_torn_at_every_byte(tmp_path):
    path, whole = tmp_path / "run.json", json.dumps({"schema": 1, "name": "ü"}, ensure_ascii=False).encode()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read_json(path)
        one_line(caught, path)


@pytest.mark.parametrize("content", [b"[1]", b"3", b"\xff\xfe", b"[" * 100_000, b'"' + b"a" * 10])
def test_json_that_is_no_object_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match="a.json"):
        read_json(tmp_path / "a.json")


def test_json_that_is_missing_or_a_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="JSON"):
        read_json(tmp_path)


# ---------------------------------------------------------------- the home folder


def test_home_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path / "deep" / "place"))
    assert home.home() == tmp_path / "deep" / "place"
    assert home.cache_dir("features") == tmp_path / "deep" / "place" / "cache" / "features"
    assert home.cache_dir("features").is_dir() and home.runs_dir().is_dir()
    assert (home.assets_dir() / "networks").is_dir()


def test_a_home_that_is_a_file_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(InputError) as caught:
        home.cache_dir("features")
    one_line(caught, "FACTORTOPY_HOME", tmp_path / "file")


READ_ONLY = """
import os, sys
from factortopy.errors import InputError
from factortopy.storage.files import write_atomic
from factortopy.storage.home import runs_dir
os.setgid(65534); os.setuid(65534)
for attempt in (runs_dir, lambda: write_atomic(sys.argv[1] + "/a", "x")):
    try:
        attempt()
    except InputError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a user without rights")
def test_a_read_only_home_is_said(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(tmp_path)], env=environment(FACTORTOPY_HOME=str(tmp_path / "home")),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    lines = result.stdout.strip().splitlines()
    assert len(lines) == 2, result.stderr
    assert str(tmp_path / "home") in lines[0] and "Permission denied" in lines[0] and "FACTORTOPY_HOME" in lines[0]
    assert str(tmp_path / "a") in lines[1] and "Permission denied" in lines[1] and "another folder" in lines[1]
    assert not list(tmp_path.iterdir())
