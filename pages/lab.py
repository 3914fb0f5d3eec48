"""Lab: does the simulated brain behave like a brain? Classic experiments on a fitted encoder, beside what was measured."""

import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from factortopy import background
from factortopy.errors import InputError
from factortopy.experiments import protocol as protocols
from factortopy.experiments.result import Result
from pages import lab_forms, lab_results, shared

HEIGHT = 640
NAMES = {
    "retinotopy": "Retinotopy", "localizer": "Localizer", "lesion": "Lesion", "maximize": "Dream", "motion": "Motion",
}  # fmt: skip
ASKS = {
    "retinotopy": "Where in the visual field does each place look? A checkered bar, wedge or ring moves through the picture, as in "
    "a scanner, and each place's responses tell.",
    "localizer": "Which places prefer faces, bodies, scenes, objects or words? Pictures of each kind are shown, and responses are "
    "compared.",
    "lesion": "What does the brain lose when a part of the network is silenced?",
    "maximize": "Which picture drives an area most? One is grown from noise, step by step.",
    "motion": "What do gratings and optic flow drive, and what can a network know of motion that sees one picture at a time?",
}


def page():
    run = shared.choose_run()
    encoder = shared.load_encoder(run)
    wanted = st.session_state.pop("wanted protocol", None)
    if wanted is not None:
        st.session_state["experiment"] = wanted["experiment"]
        st.session_state[f"protocol {wanted['experiment']}"] = wanted["settings"]
        lab_forms.take(wanted)
    experiment = st.segmented_control(
        "Experiment", list(NAMES), format_func=NAMES.get, default="retinotopy", key="experiment", label_visibility="collapsed",
        required=True,
    )  # fmt: skip
    left, right = st.columns([3, 1], gap="medium")
    with right, st.container(height=HEIGHT, border=False):
        st.write(ASKS[experiment])
        protocol = choose(experiment, encoder)
        result = offer(run, encoder, protocol)
        beside = lab_results.choose_reference(encoder) if result is not None and experiment == "retinotopy" else None
    with left:
        lab_results.brains(result, encoder, experiment, HEIGHT, beside)
    if result is not None:
        lab_results.numbers(result, encoder)
        take_away(result)
    elif experiment != "maximize":
        shown = protocol["settings"]
        st.caption("What is shown to it")
        degrees = float(encoder.info.get("image_degrees") or 8.4)
        pictures = lab_forms.preview(
            experiment, shown.get("protocol"), shown.get("carrier"), degrees, tuple(shown.get("types", ()))
        )
        st.image(pictures, width=112)


def choose(experiment, encoder):
    """The protocol as the controls, or a protocol file, say it."""
    extra = st.session_state.get(f"protocol {experiment}", {})
    settings = extra | lab_forms.FORMS[experiment](encoder)
    protocol = protocols.complete({"experiment": experiment, "settings": settings})
    with st.popover("Protocol", icon=":material/description:", width="stretch"):
        st.caption("All settings as a file: save it, edit it, share it, run it on another encoder or network. On the command line: "
                   "`python -m factortopy simulate RUN protocol.json`.")  # fmt: skip
        text = json.dumps(protocol, indent=1)
        st.download_button("Save protocol", text, f"{experiment}.json", "application/json", width="stretch")
        upload = st.file_uploader("Open a protocol", type=["json"], key=f"open {experiment}")
        if upload is not None and st.session_state.get("opened protocol") != upload.file_id:
            st.session_state["opened protocol"] = upload.file_id
            opened(upload)
        st.code(text, language="json", height=240)
    return protocol


def opened(upload):
    """Take over a protocol file: its experiment, its settings."""
    try:
        given = json.loads(upload.getvalue())
        if not isinstance(given, dict):
            raise ValueError("no JSON object")
        protocol = protocols.complete(given)
    except (ValueError, InputError) as error:
        st.error(f"{shared.plain(upload.name)}: expected a protocol of the lab; {shared.plain(error)}")
        return
    st.session_state["wanted protocol"] = protocol  # taken over before the controls are drawn
    st.rerun()


def offer(run, encoder, protocol):
    """Run and stop; the result that is shown: of these settings, else the last one of this experiment, else None."""
    experiment, key = protocol["experiment"], str(protocols.result_folder(run, protocol))
    task = background.find(key)
    result = protocols.kept(run, protocol)

    def work(task):
        made = protocols.run_protocol(protocol, encoder, task.report, lambda step, pictures: task.show(pictures))
        protocols.keep(made, run)
        return True

    if task is not None and task.active:
        progress(key)
    elif st.button("Run again" if result else "Run", type="primary", width="stretch", icon=":material/play_arrow:"):
        background.start(key, work)
        st.rerun()
    if task is not None and task.state == "failed":
        st.error(shared.plain(task.error))
    if task is not None and task.state == "stopped":
        st.caption("Stopped. What was computed so far is kept: running it again goes on from there.")
    if result is not None:
        return result
    for folder in protocols.list_results(run):
        if folder.name.startswith(f"{experiment}-"):
            try:
                result = Result.load(folder)
            except InputError:
                continue
            st.caption("Shown is the last result, made with other settings.")
            return result
    return None


@st.fragment(run_every=0.7)
def progress(key):
    """How far, how long still, and Stop."""
    task = background.find(key)
    if task is None or not task.active:
        st.rerun()
    share = min(1.0, task.done / task.total) if task.total else 0.0
    text = "Waiting for another experiment to end" if task.state == "waiting" else f"{share:.0%}"
    if task.remaining is not None:
        text += f" · about {max(1, round(task.remaining))} s left"
    st.progress(share, text=text)
    if st.button("Stop", key=f"stop {key}", icon=":material/stop:", width="stretch"):
        task.stop()
    if task.partial is not None:
        st.image(list(task.partial), width=76)


def take_away(result):
    """The result as files."""

    def packed():
        buffer = io.BytesIO()
        with TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            result.save(folder)
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
        return buffer.getvalue()

    word = "simulated_" if result.info.get("simulated") else ""
    st.download_button("Save the result (zip: protocol, numbers, maps, pictures)", packed, f"{word}{result.experiment}.zip",
                       "application/zip", icon=":material/download:")  # fmt: skip


shared.guard(page)
