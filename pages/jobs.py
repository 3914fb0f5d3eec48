"""Jobs: everything that waits, runs or ended lately, and what can be done with it."""

import datetime

import streamlit as st

from factortopy.errors import InputError
from factortopy.jobs import job as work
from factortopy.jobs import kinds, queue
from factortopy.runs.folder import ACTIVE, RESUMABLE
from factortopy.runs.run import Run
from factortopy.wording import duration
from pages.parts import address, job_panel, report_panel
from pages.parts.guard import guard, guard_part
from pages.parts.words import STATUS_WORDS, plain

LATELY, LINES = 20, 15  # of what has ended; of a log
GOES = {  # what deleting takes away
    "train": "Delete this training with everything that was learnt?",
    "finetune": "Delete this fine-tuning with its network?",
    "extract": "Delete this from the list? The tokens that were extracted stay on disk.",
    "simulate": "Delete this from the list? A result in the Lab stays.",
    "slope": "Delete this from the list? Fits that are finished stay with their runs.",
    "report": "Delete this report with its figures and maps? Fits that were made for it are kept for the next one.",
}
SECONDS_BETWEEN_LOOKS = 2.0
AGAIN = "Starts anew; responses that were predicted are kept."
OPEN = ":material/open_in_new:"


def page():
    queue.wake()
    with st.sidebar:
        begin()
    st.subheader("Jobs", help="They go on when this page is closed or the app restarts; one at a time, or one a GPU.")
    if opened := address.text("report"):
        guard_part(lambda: report_panel.opened(opened))
    everything()


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
def everything():
    """The lists, drawn anew every two seconds."""
    guard_part(lists)


def lists():
    """What runs, what waits in its order, what has ended."""
    jobs = {job.key: (job, *job.state()) for job in work.list_all()}
    order = {key: place for place, key in enumerate(queue.queued_names())}
    active = [key for key, (_, status, _) in jobs.items() if status in ACTIVE]
    # What runs stands first, then the queue in its order.
    active.sort(key=lambda key: (jobs[key][1] == "queued", order.get(key, len(order))))
    ended = sorted((key for key in jobs if key not in active), key=lambda key: -ended_at(jobs[key][0]))
    if not jobs:
        nothing()
        return
    if not active:
        st.caption("Nothing waits or runs.")
    for key in active:
        row(*jobs[key])
    if ended:
        st.markdown("**Ended lately**")
    for key in ended[:LATELY]:
        row(*jobs[key])
    if len(ended) > LATELY:
        st.caption(f"and {len(ended) - LATELY} earlier ones; trainings are all listed on the page Train.")


def nothing():
    """The empty state."""
    st.markdown(
        "Nothing has been started yet: begin something on the left. Trainings, sweeps, experiments of the Lab, extractions, "
        "fine-tunings and reports stand here with how far they are; they go on when the browser is closed."
    )


def begin():
    """Where work is started."""
    st.markdown("**Begin**")
    st.page_link("pages/train.py", label="Train an encoder", icon=":material/model_training:")
    st.page_link("pages/lab.py", label="Run an experiment", icon=":material/science:")
    st.page_link("pages/sweep.py", label="Train many at once", icon=":material/grid_view:")
    st.page_link("pages/fine_tune.py", label="Fine-tune a network", icon=":material/tune:")
    st.page_link("pages/networks.py", label="Extract features ahead", icon=":material/hub:")


def ended_at(job):
    """When it was last written, seconds of the wall clock; 0 where it is gone."""
    try:
        return (job.path / "run.json").stat().st_mtime
    except OSError:
        return 0.0


def about(job):
    """(kind, what kind it is in words, what it is about, info) of a job."""
    try:
        info = job.info
    except InputError:
        return None, "Job", job.name, {}
    simulated = " (simulated)" if info.get("simulated") or (info.get("result") or {}).get("simulated") else ""
    if isinstance(job, Run):
        return "train", "Training", f"{job.name}{simulated}", info
    kind = info.get("kind")
    words = kinds.KINDS[kind].words if kind in kinds.KINDS else "Job"
    return kind, words, f"{info.get('title') or job.name}{simulated}", info


def row(job, status, reason):
    """One job."""
    kind, words, title, info = about(job)
    with st.container(border=True):
        what, far, tools = st.columns([3, 3.5, 3.7], vertical_alignment="center")
        tools = tools.container(horizontal=True, vertical_alignment="center")  # wraps where the page is narrow
        with what:
            st.markdown(f"**{words}**  \n{plain(title)}")
            if kind in PAGES and status != "finished":
                page, word = PAGES[kind]
                address.link(
                    page, "Watch it" if status in ACTIVE else "Show it", ":material/visibility:", **{word: job.name}
                )
        with far:
            if status in ACTIVE:
                job_panel.headline(job, status, reason)
            else:
                st.markdown(ending(job, status, reason, info))
        try:
            with tools:
                main_button(job, status, kind)
            if status not in ACTIVE:
                job_panel.delete(tools, job, GOES.get(kind, "Delete this with everything in its folder?"), "content")
        except InputError as error:
            st.error(plain(error))
        opened = tools.toggle("Log", key=f"log {job.key}", help="The last lines that it wrote.")
        if opened:
            st.code(job.log_tail(LINES) or "Nothing was written yet.", language=None, wrap_lines=True)
            st.caption(f"The last lines of {plain(job.path / 'log.txt')}")


def ending(job, status, reason, info):
    """How it ended, in a line."""
    at = datetime.datetime.fromtimestamp(ended_at(job)).strftime("%d %b %H:%M")
    seconds = info.get("seconds")
    took = f", took {duration(seconds)}" if status == "finished" and seconds else ""
    if status == "stopped":
        return f"{plain((reason or 'stopped').capitalize())}{job_panel.far(job)}, {at}"
    return f"{STATUS_WORDS[status].capitalize()} {at}{took}" + (f": {plain(reason)}" if reason else "")


def main_button(job, status, kind):
    """Stop, Resume or Open: what makes sense now."""
    if status in ACTIVE:
        job_panel.stop(job, disabled=status == "stopping", width="content")
    elif status in RESUMABLE:
        words, help = ("Run again", AGAIN) if kind == "simulate" else ("Resume", "Goes on from what is kept.")
        if st.button(words, key=f"resume {job.key}", icon=":material/play_arrow:", help=help):
            queue.resume(job)
            st.rerun()
    elif status == "finished" and kind in OPENS:
        page, query = OPENS[kind](job, job.settings)
        address.link(page, "Open", OPEN, **query)


# ---------------------------------------------------------------- Open


# The page that shows what is finished, and what its address asks for; of a job and its settings.
OPENS = {
    "train": lambda job, asked: ("explore", {"run": job.name}),
    "simulate": lambda job, asked: ("lab", {"run": asked["run"], "job": job.key}),
    "extract": lambda job, asked: ("train", {"network": asked["backbone"], "weights": asked["weights"]}),
    "finetune": lambda job, asked: ("fine_tune", {"tuned": job.name}),
    "report": lambda job, asked: ("jobs", {"report": job.key}),
    "slope": lambda job, asked: ("compare", {"runs": ",".join(asked["runs"])}),
}
PAGES = {"train": ("train", "watch"), "finetune": ("fine_tune", "tuned")}  # where work shows what it has so far

guard(page)
