"""Making the report of fitted networks: what it costs, its progress, the finished one to read and to save."""

import streamlit as st

from factortopy.analysis.slope import REFITS
from factortopy.errors import InputError
from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.jobs.report import FOLDER, file_of, runs_named
from factortopy.report.levels import in_words
from factortopy.runs.folder import ACTIVE
from factortopy.runs.names import short_names
from factortopy.wording import duration
from pages.parts import address, job_panel, saving
from pages.parts.guard import checked
from pages.parts.runs import finished_runs, version
from pages.parts.words import STATUS_WORDS, plain

HEIGHT = 800  # of the report inside the page
QUICK, SMALL, FULL = "Quick", "Full, with fewer steps", "Full"
AMOUNTS = {
    QUICK: "only what these runs hold: no new fits",
    SMALL: "new fits with a third of the steps, for a first look",
    FULL: "new fits with the steps of the run itself",
}
NEW_FITS = (
    "Other seeds, no topology, each factor left out, baselines, the regulariser's decay, fewer pictures, single layers: what the paper's "
    f"Figs. 2, 9, 10, 13, 26, 27 and Tables 3 and 15 ask for, and {REFITS} of each network for its slope's interval. They are kept: "
    "another report of this network finds them."
)


def show(chosen_run_names, levels=None):
    """The section "Make the report" of the page Compare.

    Parameters
    ----------
    chosen_run_names : list of str
        Names of the runs that are compared; the visitor may change them here.
    levels : {area: level}, optional
        Order of the areas for the hierarchy slope, 0 early … 1 late, as edited on the page; None the paper's.
    """
    st.subheader(
        "Make the report", help="Every figure and table of the paper that these networks can show, in one page."
    )
    runs = finished_runs()
    asked = [name for name in chosen_run_names if name in runs]
    labels = short_names({name: run.info for name, run in runs.items()})  # as the page above calls them
    left, right = st.columns([3, 2], gap="medium")
    with left:
        names = st.multiselect(
            "Networks in the report", list(runs), asked, format_func=labels.get,
            key=f"reported {','.join(asked)}", help="Fitted encoders with the same vertices. The first trained one is fitted again.",
        )  # fmt: skip
    with right:
        amount = st.radio(
            "How much", list(AMOUNTS), captions=list(AMOUNTS.values()), key="report amount", help=NEW_FITS
        )
    with left:
        settings = cost(names, amount) if names else None
        if settings and levels:
            settings |= {"levels": levels}
            st.caption(f"Hierarchy slope over the levels above: {plain(in_words(levels))}.")
        if st.button(
            "Make the report", type="primary", disabled=settings is None, icon=":material/summarize:", key="make report"
        ):
            start(settings)
    latest(names)


def cost(names, amount):
    """Says what it will take; the settings of the job, None where it cannot be made."""
    settings = {"runs": names, "quick": amount == QUICK}
    if amount == QUICK:
        st.caption(f"No new fits; about {duration(20 * len(names))} of drawing.")
        return settings
    try:
        with st.spinner("Counting the new fits"):
            estimate = fits(tuple(version(run) for run in runs_named(names)), amount == SMALL)
    except InputError as error:
        st.error(plain(error))
        return None
    if estimate is None:
        st.caption("No trained factorized network is among these: nothing can be fitted again. Choose quick.")
        return None
    one, steps = estimate
    left = "They go on when you leave this page, and can be stopped and resumed."
    st.caption(
        f"{plain(one.sentence())} {left if one.fits > one.kept else 'Only the drawing is left, a minute or two.'}"
    )
    return settings | {"steps": steps}


@st.cache_data(ttl=30, show_spinner=False)
def fits(versions, small):
    """(Cost of the new fits, their steps or None for the run's own); None where no network can be fitted again."""
    from pathlib import Path

    from factortopy.report import plan
    from factortopy.report.entries import read_entries
    from factortopy.report.refits import Refits
    from factortopy.runs.run import Run

    read = read_entries([Run(Path(path)) for path, _ in versions])
    entry = plan.refitted(read)
    steps = max(1, Refits.steps_of(entry.settings) // 3) if small and entry else None
    price = plan.cost(read, steps, REFITS)
    return None if price is None else (price, steps)


def start(settings):
    """Send it to the queue; a finished one of the same settings is opened."""
    job = checked(queue.submit_job, "report", settings)
    if job is not None:
        st.session_state["watched report"] = job.name
        st.rerun()


# ---------------------------------------------------------------- what was made


def latest(names):
    """The report that was asked for last, or that of these runs: progress, or the page itself."""
    reports = {job.name: job for job in work.list_jobs() if job.kind == "report"}
    wanted = st.session_state.get("watched report")
    job = reports.get(wanted) or next(
        (j for j in reports.values() if set(j.settings.get("runs", ())) == set(names)), None
    )
    if job is None:
        return
    title = job.info.get("title") or job.name
    status, reason = job.state()
    if status in ACTIVE:
        job_panel.watch(job.key, title)
    elif status == "finished":
        take_away(job)
    else:
        st.warning(f"{plain(title)}: {STATUS_WORDS[status]}. {plain(reason or '')}", icon=":material/info:")
        if job.resumable and st.button(
            "Resume", key=f"resume {job.key}", icon=":material/play_arrow:", help="Finished fits are kept."
        ):
            try:
                queue.resume(job)
            except InputError as error:
                st.error(plain(error))
                return
            st.rerun()


def opened(key):
    """A finished report on the page Jobs, as the address names it; InputError where there is none of that key."""
    job = work.find(key)
    if job.status != "finished" or job.info.get("kind") != "report":
        return
    if st.button("Close the report", icon=":material/close:", key="close report"):
        address.write(report=None)
        st.rerun()
    take_away(job, True)


def take_away(job, shown=False):
    """Save the page, save everything, read it here."""
    info = job.info
    simulated = bool(info.get("simulated"))
    word = "simulated_" if simulated else ""
    st.markdown(f"**Report** {plain(info.get('title') or job.name)}{' (simulated)' if simulated else ''}")
    if not file_of(job).is_file():
        st.error(
            f"{plain(file_of(job))}: expected the report, found none; delete it on the page Jobs and make it again."
        )
        return
    a, b, c = st.columns(3, vertical_alignment="center")
    a.download_button(
        "Save the page (HTML)", lambda: alone(job), f"{word}report_{job.name}.html", "text/html", width="stretch",
        icon=":material/download:", key=f"html {job.name}", on_click="ignore", help="One file that needs no network; figures inside it.",
    )  # fmt: skip
    b.download_button(
        "Save everything (zip)", lambda: packed(job), f"{word}report_{job.name}.zip", "application/zip", width="stretch",
        icon=":material/folder_zip:", key=f"zip {job.name}", on_click="ignore",
        help="The page, every figure as PNG, SVG and CSV, every table as CSV, maps as GIFTI.",
    )  # fmt: skip
    if c.toggle("Read it here", shown, key=f"read {job.name} {shown}"):
        # Without a base of its own a link to a section would open the app inside the frame.
        st.iframe(alone(job).replace("<head>", '<head><base href="about:srcdoc">', 1), height=HEIGHT)


def alone(job):
    """The page as it stands by itself: its links to the files beside it lead nowhere, so they are not shown."""
    return file_of(job).read_text(encoding="utf-8").replace("</style>", " .files { display: none; }</style>", 1)


def packed(job):
    """Bytes of a zip of the report's folder."""
    return saving.zipped_folder(job.path / FOLDER)
