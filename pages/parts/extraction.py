"""Extracting a network's features from a subject's pictures ahead of a training, as a job of the queue."""

import streamlit as st

from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.runs.folder import ACTIVE
from pages.parts import cost, job_panel, subjects
from pages.parts.guard import checked
from pages.parts.words import plain


def under_way(name):
    """True when features of this network wait or are being extracted."""
    jobs_of_it = (job for job in work.list_jobs() if job.kind == "extract" and job.settings.get("backbone") == name)
    return any(job.status in ACTIVE for job in jobs_of_it)


def offer(name, weights, layers, width):
    """Choose a subject, start, see how far; ``name`` and ``weights`` as ``load_backbone`` takes them, layers of up to ``width``."""
    queue.wake()
    seen = f"extraction of {name} seen"  # how it ended is to be read, too
    st.session_state[seen] = st.session_state.get(seen) or under_way(name)
    with st.expander("Extract its features of a subject's pictures", expanded=st.session_state[seen]):
        st.caption(
            "Every picture of the subject is shown to the network and its tokens are kept on disk, so that trainings on them begin at "
            "once. A training does it by itself; here it can be done ahead. It goes on when you leave."
        )
        subject, subject_id = subjects.choose()
        if not subject:
            return
        pca = st.number_input(
            "Principal components a layer", 0, 10_000, 0, step=32, key="components",
            help="Keeps so many numbers of each token in place of all channels, learnt from training pictures; 0 keeps all.",
        )  # fmt: skip
        asked = {
            "subject": subject, "subject_id": subject_id, "backbone": name, "weights": weights, "pca": int(pca) or None,
        }  # fmt: skip
        job = checked(work.job_asked, "extract", asked)
        if job is None:
            return
        st.caption(cost.of_extraction(asked, layers, width))
        status, reason = job.state()
        if status in ACTIVE:
            job_panel.watch(job.key, job.info["title"])
            return
        if status == "finished":
            done = job.info.get("result") or {}
            simulated = " (simulated)" if done.get("simulated") else ""
            st.success(
                f"{done.get('pictures', 0):,} pictures{simulated}, {done.get('layers', 0)} layers, kept on disk."
            )
        elif status == "failed":
            st.error(plain(reason))
        elif status in ("stopped", "interrupted"):
            st.caption("Stopped. What was extracted is kept; it goes on from there.")
        words = {"deleted": "Extract features", "finished": "Extract again what is missing"}.get(status, "Resume")
        if st.button(words, icon=":material/play_arrow:", width="stretch", key="extract features"):
            queue.submit_job("extract", asked)
            st.rerun()
