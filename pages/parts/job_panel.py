"""A piece of work of the queue as pages show it: how far, how long still, its place in the queue, Stop."""

import streamlit as st

from factortopy.errors import InputError
from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.runs.folder import ACTIVE
from factortopy.wording import duration
from pages.parts.words import STATUS_WORDS, plain

STAGES = {
    "begin": "starting", "pictures": "preparing pictures", "weights": "fetching the network's weights", "network": "loading the network",
    "features": "showing the pictures to the network", "fit": "fitting the encoder",
    "score": "scoring it", "before": "looking at the network before", "training": "training the network",
    "after": "looking at the network after", "maximize": "growing pictures", "fits": "fitting the network again",
    "drawing": "drawing the figures",
}  # fmt: skip
BEFORE_A_FIT = ("begin", "pictures", "weights", "network", "features")  # done again when a training goes on
HUNG = "No sign of life for ten minutes. Stop it and resume it."
EVERY = 1.0  # seconds between looks


def progress_of(job, status):
    """(share done from 0 to 1, a sentence) of work that waits or runs."""
    if status == "queued":
        place = queue.queue_position(job)
        before = f"number {place} in the queue" if place and place > 1 else "next in the queue"
        return 0.0, f"waiting, {before}" if place else "starting"
    if status == "stopping":
        return 0.0, "stopping" if job.kind == "simulate" else "stopping; what was done is kept"
    progress = job.progress() or {}
    step, total = progress.get("step") or 0, progress.get("total")
    share = min(1.0, step / total) if total else 0.0
    text = STAGES.get(progress.get("stage"), "at work") + (f": {share:.0%}" if total else "")
    remaining = progress.get("remaining")
    text += f" · about {duration(remaining)} left" if remaining is not None and total else ""
    doing = progress.get("doing")  # of many parts, which
    text += f" · {plain(doing)}" if doing else ""
    kept = job.kept() if progress.get("stage") in BEFORE_A_FIT else None
    return share, text + (f" · goes on from {_step(kept)}" if kept else "")


def _step(kept):
    return "step {:,} of {:,}".format(*kept)


def far(job):
    """How far work came that ended before its time, to be said after "stopped"; empty where it had not begun."""
    if kept := job.kept():
        return f" at {_step(kept)}"
    progress = job.progress() or {}
    step, total = progress.get("step") or 0, progress.get("total")
    share = f", at {min(1.0, step / total):.0%}" if total else ""
    return f" while {STAGES[progress['stage']]}{share}" if progress.get("stage") in STAGES else ""


def headline(job, status, reason, more=""):
    """How far it is and how long still, or how it ended where that is no success; ``more`` is said of running work."""
    if status in ACTIVE:
        share, text = progress_of(job, status)
        st.progress(share, text=text[:1].upper() + text[1:] + (more if status == "running" else ""))
        if status == "running" and job.hung:
            st.warning(HUNG, icon=":material/heart_broken:")
    elif status != "finished":
        (st.error if status in ("failed", "unreadable") else st.warning)(ended(job, status, reason))


def ended(job, status, reason):
    """How it ended, in a sentence."""
    if status == "stopped" and reason:
        return f"{plain(reason.capitalize())}{far(job)}."
    came = far(job) if status == "interrupted" else ""
    return f"{STATUS_WORDS[status].capitalize()}{came}." + (f" {plain(reason)}" if reason else "")


def stop(job, words="Stop", **options):
    """A button that stops it."""
    if st.button(words, key=f"stop {job.key}", icon=":material/stop:", **{"width": "stretch"} | options):
        try:
            queue.cancel(job)
        except InputError as error:
            st.error(plain(error))


def stop_or_resume(place, job, status, stop_help, resume_help=None, scope="app"):
    """Stop of what waits or runs, Resume of what ended before its time; then the page, or the part of it, is drawn anew."""
    if status in ("queued", "running"):
        words, icon, help, act = "Stop", ":material/stop:", stop_help, queue.cancel
    elif job.resumable:
        words, icon, help, act = "Resume", ":material/play_arrow:", resume_help, queue.resume
    else:
        return
    if place.button(words, key=f"{words.lower()} {job.key}", icon=icon, width="stretch", help=help):
        act(job)
        st.rerun(scope=scope)


def delete(place, job, question, width="stretch"):
    """Delete, once it is confirmed."""
    with place.popover("Delete", icon=":material/delete:", width=width):
        st.write(question)
        if st.button("Yes, delete it", key=f"delete {job.key}", type="primary"):
            job.delete()
            st.rerun()


@st.fragment(run_every=EVERY)
def watch(key, label):
    """Progress and Stop of the job of a key, drawn anew every second; the whole page when it has ended."""
    job = work.of_key(key)
    status = job.status
    if status not in ACTIVE:
        st.rerun()
    share, text = progress_of(job, status)
    st.progress(share, text=f"{plain(label)}: {text}")
    if status == "running" and job.hung:
        st.warning(HUNG, icon=":material/heart_broken:")
    stop(job, disabled=status == "stopping")
    shown = job.shown() if status == "running" else None
    if shown is not None:
        st.image(list(shown), width=76)
