"""Taking a run away, and bringing one's own maps and runs in: the foot of the page Explore."""

import streamlit as st

from factortopy import background
from factortopy.errors import InputError
from pages import shared

FORMS = {
    "png": "print pictures (flat maps, the surface in six views)", "svg": "drawings (SVG)", "html": "the viewer as one page",
    "gif": "a turning film", "gifti": "GIFTI, for other programs", "run": "the run as one file, to open elsewhere",
}  # fmt: skip


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
        "As", list(FORMS), ["html"], format_func=FORMS.get, key="forms", help="All of them in one zip file."
    )
    key = f"export {run.name} {sorted(chosen)}"
    task = background.find(key)
    if task is None or task.state in ("stopped", "failed"):
        if task is not None and task.error:
            st.error(shared.plain(task.error))
        if st.button("Make the files", disabled=not chosen, width="stretch", key="make files"):
            background.start(key, lambda task: packed(run, chosen), "Export")
            st.rerun()
    elif task.active:
        waiting(key)
    else:
        word = "simulated_" if run.info.get("simulated") else ""
        st.download_button("Save them (zip)", task.result, f"{word}{run.name}.zip", "application/zip", width="stretch")


def packed(run, what):
    """The bytes of a zip with everything asked for."""
    from factortopy.view.export import export_run

    return shared.zipped(lambda folder: export_run(run, folder, what))


@st.fragment(run_every=0.7)
def waiting(key):
    task = background.find(key)
    if task is None or not task.active:
        st.rerun()
    st.progress(0.0, text="Drawing; a film and print pictures take half a minute each")


def overlay(density):
    """Where a visitor's own maps come in; ``overlays`` puts them on the brain."""
    st.file_uploader("GIFTI, MGH or .npy, one or both hemispheres", type=["gii", "mgh", "mgz", "npy"], key="overlay",
                     accept_multiple_files=True, help="On fsaverage, fsaverage6 or fsaverage5. The name says the hemisphere "
                     "(lh, rh, hemi-L), unless the file does. The map joins the others above the brain.")  # fmt: skip
    maps, notices, error = overlays(density)
    if error:
        st.error(shared.plain(error))
    elif maps:
        st.caption(f"On the brain above, as {shared.plain(', '.join(dict.fromkeys(one.group for one in maps)))}.")
    for notice in notices:
        st.caption(shared.plain(notice))


def overlays(density):
    """Maps of the files that were given, sentences to say, and what is wrong with them or None."""
    from factortopy.view.overlay import read_overlays

    files = st.session_state.get("overlay") or []
    key = density, *(file.file_id for file in files)
    known = st.session_state.get("overlay maps")
    if known is None or known[0] != key:
        maps, notices, error = [], [], None
        try:
            for part in read_overlays([(f.name, f.getvalue()) for f in files]) if files else []:
                part = part.at(density)
                maps += part.maps(density)
                notices += part.notices
        except InputError as wrong:
            maps, notices, error = [], [], str(wrong)
        known = st.session_state["overlay maps"] = key, (maps, list(dict.fromkeys(notices)), error)
    return known[1]


def bring():
    """A packed run, unpacked into the store."""
    from factortopy.archive import unpack_run

    upload = st.file_uploader(
        "A .factortopy.zip file", type=["zip"], key="bring", help='As "the run as one file" makes it.'
    )
    if upload is None or st.session_state.get("brought") == upload.file_id:
        return
    try:
        run = unpack_run(upload.getvalue(), upload.name)
    except InputError as error:
        st.error(shared.plain(error))
        return
    st.session_state["brought"] = upload.file_id
    st.session_state["run"] = run.name
    st.switch_page("pages/explore.py", query_params={"run": run.name})
