"""Data: what is in my folder, what is missing, and do pictures and responses belong together?"""

import numpy as np
import streamlit as st

from factortopy import background
from pages import shared, subjects

HEIGHT = 600


def page():
    left, right = st.columns([2, 1], gap="medium")
    with right, st.container(height=HEIGHT, border=False):
        path, subject_id = subjects.choose(check=False)
        if path is None:
            invitation(left)
            return
        key = f"data {path} {subject_id}"
        task = background.find(key)
        if task is None or task.state == "stopped":
            task = background.start(key, lambda task: look(path, subject_id))
        if st.button(
            "Look again",
            icon=":material/refresh:",
            help="After you have changed something in the folder.",
            width="stretch",
        ):
            background.forget(key)
            st.rerun()
        beside = st.container()
    if task.active:
        with left:
            waiting(key)
        return
    if task.state == "failed":
        left.error(shared.plain(task.error))
        return
    found = task.result
    with left:
        if found.responses is None:
            st.error("This data set cannot be trained on yet. What has to be mended, and what could be read:")
            subjects.render(found.findings)
        else:
            chosen = brain(found, key)
    if found.responses is not None:
        with beside:
            one_picture(found, chosen)
        st.subheader("What was found")
        subjects.render(found.findings)
        if st.button("Train an encoder on it", icon=":material/model_training:"):
            subjects.hand_over(path, subject_id)


def look(path, subject_id):
    """The work behind the page."""
    from factortopy.subjects.preview import preview

    return preview(path, subject_id)


def invitation(place):
    with place:
        st.subheader("What is in my folder?")
        st.markdown(
            "Give the path of a folder on this machine on the right. What is found there is shown here: which data set it is, what "
            "is missing, and the first pictures beside the brain's responses to them, so that a shifted order is seen by eye.\n\n"
            "Known are **Algonauts 2023** subjects, the **Natural Scenes Dataset** and a **plain folder** of pictures and responses "
            "(docs/subjects.md, docs/nsd.md, docs/folder.md say which files are needed). Or look at a demo subject first."
        )


@st.fragment(run_every=0.7)
def waiting(key):
    task = background.find(key)
    if task is None or not task.active:
        st.rerun()
    st.progress(0.0, text="Looking through the files; a demo subject is rendered at its first use (about a minute)")


def brain(found, key):
    """Maps of the first pictures in one series, measured maps and the noise ceiling; returns the picture that is shown."""
    from factortopy.view import brain_view, response_map, score_map, whole_rois
    from factortopy.view.lab_maps import result_maps

    at, common = (found.hemi, found.vertex), {"context": f"{found.findings.subject}", "density": found.density}
    limit = max(0.5, float(np.percentile(np.abs(found.responses), 99)))
    later = f", {found.delays} later" if found.delays else ""
    maps = [
        response_map(
            row, *at, limit=limit, name=name, what=f"Mean response to {name}{later}", verb="of the data set", **common
        )
        for name, row in zip(found.names, found.responses, strict=True)
    ]
    from dataclasses import replace

    maps = [replace(one, group="Responses") for one in maps]
    if found.ceiling is not None:
        known = np.isfinite(found.ceiling)
        maps.append(replace(score_map(found.ceiling, *at, painted=known, **common), name="Noise ceiling", group="Noise ceiling",
                            title=f"Noise ceiling: the best R² that any model can reach · {found.findings.subject}"))  # fmt: skip
    maps += result_maps(found.maps or {}, *at, **common)
    seen = brain_view(
        maps, rois=whole_rois(found.rois, *at, found.density), key=f"data-{abs(hash(key))}", height=HEIGHT, group="data",
        simulated=found.simulated, density=found.density, report=("map",),
    )  # fmt: skip
    return found.names.index(seen.map) if seen.map in found.names else 0


def one_picture(found, chosen):
    """The picture whose responses are on the brain."""
    name, first = (
        shared.plain(found.names[chosen]),
        f"The slider on the brain goes through the first {len(found.names)}.",
    )
    if found.delays:
        st.caption(
            f"**{name}** of a film; the brain shows the mean response {found.delays} later, as blood answers slowly. {first}"
        )
    else:
        times = "once" if found.repeats[chosen] == 1 else f"{found.repeats[chosen]} times"
        where = f" {found.part}" if found.part else ""
        st.caption(f"**{name}**, shown {times}{where}; the brain shows the mean response to it. {first}")
    if found.order is not None:
        (st.warning if found.order.suspicious else st.caption)(f"Order: {shared.plain(found.order.sentence())}.")
    if found.pictures is not None:
        st.image(found.pictures[chosen], width="stretch")


shared.guard(page)
