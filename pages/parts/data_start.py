"""The Data page before a folder is given: what to do next, an example at once, and how the data sets are got."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from factortopy.errors import InputError
from factortopy.runs.run import find_run
from factortopy.subjects.area_sets import area_sets
from factortopy.subjects.check import Findings
from factortopy.subjects.preview import FIRST, Preview
from pages.parts import subjects
from pages.parts.data_brain import brain
from pages.parts.lessons import FIRST_RUN
from pages.parts.runs import load_encoder, load_gallery
from pages.parts.words import plain

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = {
    "Algonauts 2023": ("subjects.md", "Algonauts 2023"),
    "Natural Scenes Dataset": ("nsd.md", "Get the data"),
    "A folder of your own": ("folder.md", None),
}


def invitation(left, right, listed=True):
    """What to do next on the right, with the list of what is known; on the left what it will look like, on the demo subject."""
    with right:
        if listed:
            st.subheader("What is in my folder?")
            st.markdown(
                "Give its path on the left: here come what it holds, what is missing, and its pictures beside the brain's "
                "responses."
            )
            st.markdown(
                "These are known by their files:\n"
                "- **Algonauts 2023**: `training_split/`, `roi_masks/`\n"
                "- **NSD**: `nsddata/`, `nsddata_betas/`, `nsddata_stimuli/`\n"
                "- **a plain folder**: `dataset.json`, `responses/`, `images/`"
            )
        a, b = st.columns(2)
        if a.button("Get the data", icon=":material/download:", width="stretch", help="What to ask for, which files."):
            guide()
        b.button(
            "Demo subject", icon=":material/play_arrow:", width="stretch", on_click=subjects.take, args=("data", "demo-1"),
            help="Simulated; needs no files. All of it is shown: what was found, areas, ceilings.",
        )  # fmt: skip
    with left:
        preview = example()
        if preview is None:
            return
        names = next(iter(area_sets(preview.rois).values()))
        chosen = brain(preview, "data-example", {name: preview.rois[name] for name in names})
    with right:
        st.caption("**An example on the brain**: demo subject 1, simulated. No person was measured.")
        picture, words = st.columns([2, 3])
        picture.image(preview.pictures[chosen], width="stretch")
        words.caption(
            f"**{plain(preview.names[chosen])}**, and on the brain the mean response to it. The slider there goes through "
            f"{len(preview.names)}."
        )


@st.cache_resource(show_spinner=False)
def example():
    """``Preview`` of demo subject 1 as it comes with a shipped run, so that nothing has to be rendered; None without it."""
    try:
        run = find_run(FIRST_RUN)
        encoder, gallery = load_encoder(run), load_gallery(run)
    except InputError:
        return None
    if gallery is None:
        return None
    measured = gallery.measured.astype(np.float32)
    responses = (measured - measured.mean(0)) / np.maximum(measured.std(0), 1e-6)
    return Preview(
        Findings(subject=f"{encoder.info.get('subject')}"), gallery.pictures[:FIRST], [f"picture {i}" for i in gallery.number[:FIRST]],
        np.ones(FIRST, int), responses[:FIRST], encoder.vertices, encoder.rois,
        simulated=encoder.simulated,
    )  # fmt: skip


def as_shown(preview):
    """What was found in demo subject 1 with the pictures of ``example``, which were shown until it was found."""
    shown = example()
    if preview is None or shown is None:
        return preview or shown
    if preview.responses is None or preview.vertices != shown.vertices:
        return preview
    return replace(
        preview, pictures=shown.pictures, names=shown.names, repeats=shown.repeats, responses=shown.responses,
    )  # fmt: skip


@st.dialog("Get the data", width="large")
def guide():
    """The pages of the documentation that say what to ask for and which files are needed; they need no network."""
    for tab, (page, heading) in zip(st.tabs(list(GUIDES)), GUIDES.values(), strict=True):
        tab.caption(f"From docs/{page}")
        tab.markdown(section(page, heading))


def section(page, heading=None):
    """A page of docs/ below a heading, or all of it; links to other pages become their names."""
    try:
        text = (DOCS / page).read_text(encoding="utf-8")
    except OSError:
        return f"docs/{page} is not here; it comes with the source of FactorTopy."
    if heading:
        text = text.split(f"\n## {heading}\n", 1)[-1].split("\n## ", 1)[0]
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^# .*\n", "", text)
    return re.sub(r"\[(?:docs/)?([^\]]+)\]\((?!https?:)([^)#]*)[^)]*\)", _named, text)


def _named(link):
    name, page = link.groups()
    return f"docs/{page}" if name == page else f"{name} (docs/{page})"
