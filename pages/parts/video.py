"""A video on the page Your pictures: what the brain answers, frame by frame, played on the cortex."""

import hashlib

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from plotly.colors import qualitative

from pages.parts import saving, task_panel
from pages.parts.background import tasks
from pages.parts.brain import areas_of, chosen_index, draw_brain, maps_at_rest, shown_of
from pages.parts.words import plain, sentence

TYPES = ("mp4", "mov", "webm", "mkv", "avi", "m4v", "gif")
LONGEST = 60  # seconds
STRIP = 8


def page(encoder, height):
    """Upload, watch, play."""
    left, right = st.columns([2, 1], gap="medium")
    with right, st.container(height=height, border=False):
        # After a sample it is another control, so that what was dropped before is gone.
        upload = st.file_uploader(
            "Drop a video here", type=list(TYPES), key=f"video {st.session_state.setdefault('samples taken', 0)}",
            help=f"{', '.join(TYPES).upper()}, up to {LONGEST} s; shown to the network picture by picture.",
        )  # fmt: skip
        rate = st.slider("Pictures a second", 1, 8, 4, key="video rate")
        hrf = st.toggle(
            "Blood response (HRF)", key="hrf", help="Off: what each picture alone would drive. On: smeared and delayed as the blood "
            "flow that fMRI measures, with the canonical haemodynamic response (SPM's, as nilearn has it).",
        )  # fmt: skip
        st.button(
            "No video at hand? Take a sample: flying forwards", icon=":material/movie:", width="stretch", on_click=take_sample,
        )  # fmt: skip
        task = None
        if upload is None and not st.session_state["samples taken"]:
            st.info("Drop a video above, or take the sample: the brain then answers each of its pictures.")
        else:
            task, key = started(encoder, upload, rate, hrf)
            if task.state != "finished":
                waiting(task, key)
        beside = st.container()
    with left:
        if task is None or task.state != "finished":
            draw_brain(maps_at_rest(encoder), encoder, key="video at rest", height=height, group="explore")
            return
        responses, times, frames, notices = task.result
        from factortopy.view.lab_maps import time_maps

        maps = time_maps(
            responses, times, encoder.vertices, **shown_of(encoder), what="Predicted response" + (" of the blood" if hrf else ""),
        )  # fmt: skip
        draw_brain(maps, encoder, key=f"video-{key[-8:]}", height=height, group="explore")
    with beside:
        for notice in notices:
            st.caption(sentence(notice))
        details(encoder, responses, times, frames)


def take_sample():
    """The sample in place of what was dropped."""
    st.session_state["samples taken"] += 1


def started(encoder, upload, rate, hrf):
    """The task that watches the video, and its key."""
    data = None if upload is None else upload.getvalue()
    stamp = hashlib.blake2b(data or b"sample", digest_size=8).hexdigest()
    key = f"video-{encoder.fingerprint}-{stamp}-{rate}-{hrf}"
    current = tasks.find(key)

    def work(task):
        from factortopy.experiments.video import watch
        from factortopy.pictures.video import read_video

        if data is None:
            frames, times, notices = sample_video(rate, float(encoder.info.get("image_degrees") or 8.4))
        else:
            video = read_video(data, fps=rate, most=LONGEST * rate, name=upload.name)
            frames, times, notices = video.frames, video.times, video.notices
        return watch(encoder, frames, times, hrf=hrf, on_progress=task.report), times, frames, notices

    if current is None or (
        current.state == "stopped" and st.button("Watch it again", icon=":material/replay:", width="stretch")
    ):
        current = tasks.start(key, work)
    return current, key


def waiting(task, key):
    """Progress until the responses are there, or why they will not come."""
    if task.active:
        task_panel.watch(key, far, f"stop-{key}")
    elif task.state == "failed":
        st.error(plain(task.error))
    elif task.state == "stopped":
        st.caption("Stopped.")


def far(task):
    """How far it is."""
    if task.state == "waiting":
        return "Waiting for an experiment to end"
    return f"Showing picture {task.done} of {task.total} to the network" if task.total else "Reading the video"


def details(encoder, responses, times, frames):
    """Strip of frames, the clicked place and areas over time."""
    pick = np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)
    columns = st.columns(4)
    for k, i in enumerate(pick):
        columns[k % 4].image(frames[i], caption=f"{times[i]:.1f} s", width="stretch")
    saving.chart(courses(encoder, responses, times), "courses", encoder.simulated)
    st.caption(
        "The network sees one picture at a time: it knows nothing of motion, and shuffled pictures would give the same responses."
        + (" Simulated subject." if encoder.simulated else "")
    )


def courses(encoder, responses, times):
    """Mean response of areas, and the clicked place, over time."""
    figure = go.Figure()
    figure.update_layout(colorway=qualitative.Dark24)  # there are more areas than the theme has colours
    for name, mask in areas_of(encoder).items():
        seen = True if name in ("V1", "FFA", "PPA", "EBA") else "legendonly"
        figure.add_scatter(x=times, y=responses[:, mask].mean(1), name=name, visible=seen)
    index = chosen_index(encoder)
    if index is not None:
        figure.add_scatter(x=times, y=responses[:, index], name="clicked place", line={"dash": "dot"})
    legend = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"}
    saving.size(figure, 340, xaxis_title="seconds", yaxis_title="response", legend=legend)
    return figure


@st.cache_data(show_spinner=False)
def sample_video(rate, image_degrees):
    """Six seconds of dots that fly towards the eye: frames, times, notices."""
    from factortopy.stimuli.movement import dots

    frames = dots("expansion", frames=6 * rate, fps=float(rate), degrees=image_degrees)
    return frames, np.arange(len(frames)) / rate, ["A drawn sample: dots as one sees them when flying forwards."]
