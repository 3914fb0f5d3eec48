"""Intervals of the hierarchy slope on the page Compare: read from what is kept, and made by a job whose cost is said beside its button."""

import streamlit as st

from factortopy.analysis import slope
from factortopy.analysis.slope import REFITS
from factortopy.errors import InputError
from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.report import slopes
from factortopy.runs.folder import ACTIVE
from factortopy.runs.run import find_run
from pages.parts import job_panel
from pages.parts.guard import checked
from pages.parts.words import plain


def reader(encoders, members, single):
    """callable(name, levels) -> ``Hierarchy`` of what the page shows.

    encoders : {name: Encoder}, as shown; members : {name: names of the runs behind it}; single : {run: Encoder} of the runs themselves
    """

    def fitted(name, levels):
        runs = members[name]
        if len(runs) > 1:
            return slope.of_subjects(
                [slope.hierarchy(single[run].selectors(), single[run].rois, levels) for run in runs]
            )
        return slopes.of_run(encoders[name], find_run(runs[0]), levels)

    return fitted


def button(names):
    """Offers to fit runs again whose slopes have no interval yet; says what it takes before, how far it is, and what failed."""
    jobs = [job for job in work.list_jobs() if job.kind == "slope"]
    active = next((job for job in jobs if job.status in ACTIVE), None)
    if active is not None:
        job_panel.watch(active.key, "Intervals of the slope")
        return
    last = next((job for job in jobs if job.status == "finished" and set(job.settings["runs"]) & set(names)), None)
    failed = (last.info.get("result") or {}).get("failed") if last is not None else None
    if failed:
        st.caption(f"No interval: {plain('; '.join(failed))}")
    try:
        lacking, price = cost(tuple(run.name for run in slopes.lacking([find_run(name) for name in names])))
    except InputError as error:
        st.error(plain(error))
        return
    if not lacking:
        return
    with st.container(horizontal=True, vertical_alignment="center"):  # what it takes stands beside the button
        asked = st.button(
            "Fit again for intervals", key="refit slopes", icon=":material/replay:", help=slopes.BY_REFITS
        )
        st.caption(plain(price))
    if asked and checked(queue.submit_job, "slope", {"runs": list(lacking), "refits": REFITS}) is not None:
        st.rerun()


@st.cache_data(ttl=30, show_spinner=False)
def cost(names):
    """(those of the runs that can be fitted again, what that takes in words)."""
    from factortopy.report import plan
    from factortopy.report.entries import read_entries

    entries = [entry for name in names for entry in slopes.refittable(read_entries([find_run(name)]))]
    price = plan.slope_cost(entries, REFITS)
    return [entry.runs[0].name for entry in entries], price.sentence() if price else ""
