"""Fitted runs: which one is shown, how it is called and described, and what is read of it."""

from pathlib import Path

import numpy as np
import streamlit as st

from factortopy.errors import InputError
from factortopy.runs.names import unusual
from factortopy.runs.run import find_run, list_runs
from factortopy.wording import score_text
from pages.parts import address
from pages.parts.lessons import FIRST_RUN
from pages.parts.words import TERMS, plain


def run_label(run):
    """How a run is called in lists."""
    info = run.info
    if run.shipped:
        return ", ".join([f"{info.get('backbone')} on {info.get('subject')}", *unusual(info, but=("weights",))])
    return f"{run.name} · {info.get('backbone')} on {info.get('subject')}"


def finished_runs():
    """{name: Run} of all runs that can be shown: the first one to look at, the other shipped ones, the user's own."""
    runs = [run for run in list_runs() if run.status == "finished"]
    return {run.name: run for run in sorted(runs, key=lambda run: (run.name != FIRST_RUN, not run.shipped))}


def invite_to_train():
    """Where there is no run to show."""
    st.info("No fitted run yet. Train one; the demo subject and network need nothing else.")
    st.page_link("pages/train.py", label="Train an encoder", icon=":material/model_training:")


def choose_run():
    """The strip on the left: which fitted run is shown. Returns the Run; stops the page when there is none."""
    runs = finished_runs()
    if not runs:
        invite_to_train()
        st.stop()
    asked = address.text("run")
    if asked is not None and asked not in runs:
        try:
            status = find_run(asked).status
            st.warning(f"Run {plain(asked)} is {status}; showing another one.", icon=":material/info:")
        except InputError as error:
            st.warning(plain(error), icon=":material/info:")
    names = list(runs)
    wanted = asked if asked in runs else st.session_state.get("run", names[0])
    with st.sidebar:
        name = st.selectbox(
            "Run", names, index=names.index(wanted) if wanted in names else 0,
            format_func=lambda name: run_label(runs[name]),
            help="A fitted encoder: one subject, one network. New ones appear here when their training is done.",
        )  # fmt: skip
    st.session_state["run"] = name
    another = asked is not None and asked != name  # which may have other maps
    address.write(run=name, map=None if another else address.text("map"))
    run = runs[name]
    with st.sidebar:
        _facts(run)
    return run


def _facts(run):
    info = run.info
    whole = overall(info)
    simulated = " (simulated)" if info.get("simulated") else ""
    lines = [
        f"**Subject** {plain(info.get('subject'))}{simulated}",
        f"**Network** {network_of(info)}",
        f"**Recipe** {recipe_of(info)}",
    ]
    if whole:
        lines.append(
            f"**Brain score** mean R² {score_text(whole['score'], 2)}"
            + (f" of {whole['ceiling']:.2f} that noise allows" if np.isfinite(whole.get("ceiling") or np.nan) else "")
        )
    note = info.get("ceiling_note")
    st.markdown(
        "  \n".join(lines),
        help=" ".join([TERMS["R²"], TERMS["noise ceiling"], *([f"Here {plain(note)}."] if note else [])]),
    )
    if info.get("simulated"):
        st.caption(
            "This subject is simulated: early areas answer to contrast in their receptive fields, high-level areas to what "
            "is in the picture. No person was measured."
        )


def overall(info):
    """The row of a run's scores that is over all areas; empty where it was not scored."""
    return next((row for row in info.get("scores") or [] if row["roi"] == "all"), {})


def network_of(info):
    """The network of a run, and what its weights are where they are not the published ones."""
    weights = (info.get("settings") or {}).get("weights")
    if weights == "untrained" or not info.get("trained", True):
        return f"{plain(info.get('backbone'))} (random weights)"
    file = f", weights of the file {plain(Path(weights).name)}" if weights else ""
    notices = f" ({plain('; '.join(map(str, info['notices'])))})" if isinstance(info.get("notices"), list) else ""
    return plain(info.get("backbone")) + file + notices


def recipe_of(info):
    """Recipe and seed of a run, and what else was asked; ``network_of`` tells its weights."""
    words = map(plain, unusual(info, but=("weights",)))
    step = info.get("best_step") if (info.get("settings") or {}).get("steps") else None
    kept = f" (step {step:,} kept)" if step else ""
    return ", ".join([plain(info.get("recipe")), f"seed {info.get('seed')}", *words]) + kept


def version(run):
    """(path, time of its last change): what is kept of a run holds for this version of it."""
    return str(run.path), (run.path / "run.json").stat().st_mtime_ns


def load_encoder(run):
    """The run's Encoder, read once; read again when the run has changed."""
    return encoder_at(*version(run))


@st.cache_resource(max_entries=8, show_spinner=False)
def encoder_at(path, stamp):
    """The Encoder of a ``version``."""
    from factortopy.encoder import Encoder

    return Encoder.load(path)


def load_gallery(run):
    """Held-out pictures of the run with measured and predicted responses, or None."""
    return _load_gallery(*version(run))


@st.cache_resource(max_entries=8, show_spinner=False)
def _load_gallery(path, stamp):
    from factortopy.analysis.gallery import read_gallery

    return read_gallery(path)
