"""Taking a run away, and bringing one's own maps and runs in: the foot of the page Explore."""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from factortopy.errors import InputError, Stopped
from pages.parts import saving
from pages.parts.background import tasks
from pages.parts.guard import checked
from pages.parts.task_panel import time_left, watch
from pages.parts.words import plain

FORMS = {
    "png": "pictures for print (PNG)", "svg": "drawings (SVG)", "html": "the viewer as one page",
    "gif": "a turning film", "gifti": "GIFTI, for other programs", "run": "the run as one file, to open elsewhere",
}  # fmt: skip
# How long a form takes beside the others; five maps of most runs are drawn.
EFFORT = {"png": 5 * 11, "svg": 6, "html": 1, "gif": 30, "gifti": 1, "run": 0.3}


def panel(run, encoder):
    """Three small boxes under the brain."""
    left, middle, right = st.columns(3, gap="medium")
    with left, st.expander("Take it away", icon=":material/download:"):
        out(run)
    with middle, st.expander("Lay my own map over it", icon=":material/layers:"):
        overlay(encoder.density)
    with right, st.expander("Open a run that was sent to me", icon=":material/upload:"):
        bring()


def out(run):
    """Files of the run, made in the background, in one zip."""
    chosen = st.multiselect(
        "As", list(FORMS), ["html"], format_func=FORMS.get, key="forms",
        help="All of them in one zip file. For print: flat maps, and the surface in six views.",
    )  # fmt: skip
    word = "simulated_" if run.info.get("simulated") else ""
    offer_zip("files", f"export {run.name} {sorted(chosen)}", "Make the files", lambda task: packed(run, chosen, task),
         f"{word}{run.name}.zip", disabled=not chosen, width="stretch")  # fmt: skip


def packed(run, what, task):
    """The bytes of a zip with everything asked for; ``task`` is told of each file."""
    from factortopy.export.run import export_run

    total = max(1, sum(EFFORT[one] for one in what))
    return drawn(
        lambda folder, say: export_run(run, folder, what, say=say), total, task, lambda path: effort(path.name)
    )


def effort(name):
    """About how long a file took to make, as ``EFFORT`` counts: six drawn views of a surface are the measure of the rest."""
    kinds = {"surface": 10, "turning": 30, "flat": 1, "viewer": 1, "hemi": 0.1}
    return next((much for kind, much in kinds.items() if name.startswith(kind)), 0.3)


def offer_zip(key, task_key, label, pack, file, help=None, disabled=False, width="content"):
    """A button that makes a zip in the background, then how far it is, then a button that saves it.

    key : of the buttons; task_key : says what is in the zip; pack : given the task, returns the bytes; file : the zip's name
    """
    task = tasks.find(task_key)
    if task is not None and task.active:
        watch(task_key, far, f"stop {key}", width="stretch")
        return
    if task is not None and task.state == "finished":
        st.download_button("Save them (zip)", task.result, file, "application/zip", key=f"save {key}", on_click="ignore",
                           icon=":material/download:", help=help, width=width)  # fmt: skip
        return
    if task is not None:
        st.error(plain(task.error)) if task.error else st.caption("Stopped; nothing was kept.")
    if st.button(label, key=f"make {key}", icon=":material/download:", help=help, disabled=disabled, width=width):
        tasks.start(task_key, pack)
        st.rerun()


def drawn(write, total, task, much=lambda path: path.suffix in (".png", ".svg")):
    """The bytes of a zip of what ``write(folder, say)`` writes; ``say`` tells the ``task`` of each file.

    much(path) : how much of the ``total`` a file is; one a drawing, beside which the rest takes no time
    """
    done = 0
    task.report(0, total)

    def say(path):
        nonlocal done
        done = min(total, done + much(path))
        task.step = path.name
        if not task.report(done, total):
            raise Stopped("files: stopped")

    return saving.zipped(lambda folder: write(Path(folder), say))


def far(task):
    """How far the files are."""
    if task.state == "waiting":
        return "Waiting for other work to end"
    if task.stopping:
        return "Stopping once this file is done"
    return (f"{plain(task.step)} is done" if task.step else "Drawing the first file") + time_left(task)


def overlay(density):
    """Where a visitor's own maps come in; ``overlays`` puts them on the brain."""
    kinds = ["gii", "mgh", "mgz", "npy", "nii", "gz", "annot", "sulc", "curv", "thickness", "area", "volume"]
    st.file_uploader("GIFTI, MGH, NIfTI, CIFTI or .npy, one or both hemispheres", type=kinds, key="overlay",
                     accept_multiple_files=True, help="On fsaverage, fsaverage6 or fsaverage5. The name says the hemisphere "
                     "(lh, rh, hemi-L), unless the file does. The map joins the others above the brain.")  # fmt: skip
    maps, notices, error = overlays(density)
    if error:
        st.error(plain(error))
    elif maps:
        st.caption(f"On the brain above, as {plain(', '.join(dict.fromkeys(one.group for one in maps)))}.")
    for notice in notices:
        st.caption(plain(notice))


def overlays(density):
    """Maps of the files that were given, sentences to say, and what is wrong with them or None."""
    from factortopy.view.overlay import read_overlays

    files = st.session_state.get("overlay") or []
    key = density, *(file.file_id for file in files)
    kept = st.session_state.get("overlay maps")
    if kept is None or kept[0] != key:
        maps, notices, error = [], [], None
        try:
            for part in read_overlays([(f.name, f.getvalue()) for f in files]) if files else []:
                part = part.at(density)
                maps += part.maps(density)
                notices += part.notices
        except InputError as wrong:
            maps, notices, error = [], [], str(wrong)
        kept = st.session_state["overlay maps"] = key, (maps, list(dict.fromkeys(notices)), error)
    return kept[1]


def titled(maps, simulated):
    """The visitor's maps; the view's badge speaks of the run, so beside a simulated one their titles speak of themselves."""
    words = " · from your file: the badge is about the run, not about this map" if simulated else ""
    return [replace(one, title=one.title + words) for one in maps] if words else maps


def bring():
    """A packed run, unpacked into the store."""
    from factortopy.runs.archive import unpack_run

    upload = st.file_uploader(
        "A .factortopy.zip file", type=["zip"], key="bring", help='As "the run as one file" makes it.'
    )
    if upload is None or st.session_state.get("brought") == upload.file_id:
        return
    run = checked(lambda: unpack_run(upload.getvalue(), upload.name))
    if run is None:
        return
    st.session_state["brought"] = upload.file_id
    st.session_state["run"] = run.name
    st.switch_page("pages/explore.py", query_params={"run": run.name})
