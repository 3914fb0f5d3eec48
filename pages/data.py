"""Data: what is in my folder, what is missing, and do pictures and responses belong together?"""

import streamlit as st

from pages.parts import address, data_start, subjects
from pages.parts.background import tasks
from pages.parts.data_brain import HEIGHT, brain, choose_outlines, one_picture
from pages.parts.guard import guard
from pages.parts.words import plain


def page():
    left, right = st.columns([2, 1], gap="medium")
    with st.sidebar:
        path, subject_id = subjects.choose(check=False)
    beside = right.container(height=HEIGHT, border=False)
    if path is None:
        data_start.invitation(left, beside)
        return
    key = f"data {path} {subject_id}"
    before = tasks.find(st.session_state.get("data looked at"))
    if before is not None and before.active and st.session_state["data looked at"] != key:
        before.stop()  # the visitor has gone on to another folder, which would wait for it
    st.session_state["data looked at"] = key
    task = subjects.look(key, path, subject_id, pictures=True, thorough=st.session_state.get(f"all {key}", False))
    active = task.active  # asked once, before what it has found
    preview = task.result or task.partial
    if path == "demo-1" and (active or preview is not None):  # a run that ships holds enough of it to be shown at once
        preview = data_start.as_shown(preview)
    if active and preview is None:
        with left:
            subjects.waiting(key)
        return
    if preview is None:
        with left:
            if task.state == "failed":
                st.error(plain(task.error))
            else:
                st.info("Stopped. Nothing was changed.", icon=":material/stop_circle:")
            again(key)
        return
    nothing = next((problem for problem in preview.findings.problems if problem.choices), None)
    if nothing is not None:
        with beside:
            subjects.say(nothing)
            again(key)
        data_start.invitation(left, beside, listed=False)
        return
    if preview.responses is None:
        with left:
            st.subheader("This data set cannot be trained on yet")
            st.caption("What has to be mended, and what could be read:")
            subjects.render(preview.findings)
            again(key)
        return
    with beside:
        rois = choose_outlines(preview)
    with left:
        chosen = brain(preview, f"data-{abs(hash(key))}", rois)
    with beside:
        if active:
            subjects.waiting(key)
        elif task.state != "finished":
            st.caption(f"The order of the pictures was not tested: {plain(task.error or 'stopped')}.")
        one_picture(preview, chosen)
    if not preview.findings.facts:
        return
    st.subheader("What was found")
    subjects.render(preview.findings)
    with st.container(horizontal=True):
        address.link(
            "train", "Train an encoder on it", ":material/model_training:", subject=path, subject_id=subject_id
        )
        if not active:
            again(key, preview.findings.sampled)


def again(key, sampled=False):
    """Look once more, or, where some pictures were looked at, at all of them."""

    def forget(thorough):
        tasks.forget(key)
        st.session_state[f"all {key}"] = thorough

    st.button(
        "Look again", icon=":material/refresh:", on_click=forget, args=(False,),
        help="After you have changed something in the folder.",
    )  # fmt: skip
    if sampled:
        st.button(
            "Look at every picture", icon=":material/manage_search:", on_click=forget, args=(True,),
            help="Some pictures were decoded. All of them, which finds damage anywhere, take minutes for thousands.",
        )  # fmt: skip


guard(page)
