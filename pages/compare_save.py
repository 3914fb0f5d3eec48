"""Taking away the maps of the page Compare: made in the background, in one zip."""

import hashlib

import streamlit as st

from factortopy import background
from factortopy.errors import Stopped
from pages import saving, shared, take_away

HELP = "Each map as a flat picture (PNG), as a drawing (SVG), its numbers as CSV and as GIFTI for other programs; all in one zip."


def control(shown, key="maps"):
    """ "Save these maps" for ``shown``, (name, BrainMap, Encoder, {column: (N,)}) of each."""
    if not shown:
        return
    drawn = "".join(f"{name}{one.title}{one.stamp}{sorted(one.legend.items())}" for name, one, _, _ in shown)
    task_key = f"compared {hashlib.blake2b(drawn.encode(), digest_size=12).hexdigest()}"
    task = background.find(task_key)
    if task is not None and task.active:
        take_away.waiting(task_key, f"stop {key}")
        return
    if task is not None and task.state == "finished":
        name = f"{saving.file_name('compared maps', any(e.simulated for _, _, e, _ in shown))}.zip"
        st.download_button("Save them (zip)", task.result, name, "application/zip", key=f"save {key}", on_click="ignore",
                           icon=":material/download:", help=HELP)  # fmt: skip
        return
    if task is not None and task.error:
        st.error(shared.plain(task.error))
    if st.button("Save these maps", key=f"make {key}", icon=":material/download:", help=HELP):
        background.start(task_key, lambda task: packed(shown, task), "Maps of Compare")
        st.rerun()


def packed(shown, task):
    """Bytes of the zip; ``task`` is told of each file."""
    from factortopy.view.compared_files import Shown, export_compared

    total = 2 * len(shown)  # drawings: beside them the numbers take no time
    task.report(0, total)

    def write(folder):
        from pathlib import Path

        done = 0
        for path in export_compared(Path(folder), [Shown(*one) for one in shown]):
            done += path.suffix in (".png", ".svg")
            task.step = path.name
            if not task.report(done, total):
                raise Stopped("maps: stopped")

    return saving.zipped(write)
