"""A data set trained from the Train page, by the queue's worker, gives the encoder that the command line gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from algonauts_folder import make_algonauts
from nsd_folder import make_nsd
from safetensors.numpy import load_file
from streamlit.testing.v1 import AppTest
from trials import wait_for

from factortopy.jobs import queue
from factortopy.runs.run import list_runs

ROOT = Path(__file__).resolve().parents[2]
STEPS = 5


def labelled(widgets, label):
    return next(widget for widget in widgets if widget.label == label)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("layout", ["algonauts", "nsd"])
def test_the_same_encoder(tmp_path, layout):
    folder = make_algonauts(tmp_path / "a", "subj01", trials=40) if layout == "algonauts" else make_nsd(tmp_path / "n")
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300).run().switch_page("pages/train.py").run()
    labelled(at.selectbox, "Subject").select("").run()
    labelled(at.text_input, "Folder").input(str(folder)).run()
    assert not at.exception and not at.error
    assert any("subj01" in str(element.value) for kind in (at.markdown, at.caption, at.success) for element in kind)
    labelled(at.selectbox, "Surface").select("10k")
    labelled(at.number_input, "Steps").set_value(STEPS)
    next(button for button in at.button if button.label == "Train").click().run()
    (run,) = list_runs(shipped=False)
    wait_for(lambda: run.status in ("finished", "failed"), 900)
    assert run.status == "finished", run.reason
    out = tmp_path / "run"
    words = ("train", "--subject", folder, "--backbone", run.settings["backbone"], "--density", "10k", "--steps", STEPS)
    done = subprocess.run(
        [sys.executable, "-m", "factortopy", *map(str, words), "--out", str(out)], env=queue.child_environment(),
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("encoder.safetensors", "selectors.safetensors", "scores.safetensors"):
        mine, theirs = load_file(run.path / name), load_file(out / name)
        assert mine.keys() == theirs.keys()
        for key, values in mine.items():
            np.testing.assert_array_equal(values, theirs[key], err_msg=f"{name}: {key}")
