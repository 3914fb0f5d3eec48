"""Lab: does the simulated brain behave like a brain? Classic experiments on a fitted encoder, beside what was measured."""

import hashlib
import json

import streamlit as st

from factortopy.errors import InputError
from factortopy.experiments import NAMES
from factortopy.experiments import protocol as protocols
from factortopy.experiments.result import plain as plain_values
from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.runs.folder import ACTIVE
from factortopy.runs.run import Run
from pages.parts import address, job_panel, lab_forms, lab_results, saving, take_away
from pages.parts.guard import guard
from pages.parts.runs import choose_run, load_encoder, load_gallery, version
from pages.parts.words import plain

HEIGHT = 640
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
    queue.wake()
    run = choose_run()
    encoder = load_encoder(run)
    recall(encoder)
    st.session_state.setdefault("experiment", "retinotopy")
    experiment = st.segmented_control(
        "Experiment", list(NAMES), format_func=NAMES.get, key="experiment", label_visibility="collapsed",
        required=True,
    )  # fmt: skip
    left, right = st.columns([3, 1], gap="medium")
    with right, st.container(height=HEIGHT, border=False):
        st.write(ASKS[experiment])
        first = st.container()  # for what runs: its Stop is seen however long the controls are
        try:
            protocol = choose(experiment, encoder)
        except lab_forms.Incomplete:  # a control has said what is missing
            protocol, result, running = None, None, False
            address.write(experiment=experiment, job=None)
        else:
            address.write(experiment=experiment, job=job_key(run, protocol))
            result, running = offer(run, protocol, first)
        beside = None if result is None else lab_results.choose_reference(result, encoder)
    with left:
        lab_results.brains(result, encoder, experiment, HEIGHT, beside, running)
    if result is not None:
        lab_results.draw_numbers(result, encoder, load_gallery(run))
        save(run, result, encoder)
    elif protocol is not None and experiment != "maximize":
        shown = protocol["settings"]
        st.caption("The kind of pictures that are shown to it")
        degrees = float(encoder.info.get("image_degrees") or 8.4)
        types = shown.get("types", ())
        types = (types,) if isinstance(types, str) else tuple(types)
        pictures = lab_forms.preview(experiment, shown.get("protocol"), shown.get("carrier"), degrees, types)
        st.image(pictures, width=112)
    remember()


def recall(encoder):
    """Set the controls as they were: Streamlit forgets those that were not drawn the last time."""
    opened = st.session_state.pop("opened protocol", None)
    named, key = address.asked("experiment"), address.asked("job")
    if named in NAMES:
        st.session_state["experiment"] = named
    # From the Jobs page, or a page that was loaded again. A job of another experiment is left over in the address.
    if key and (asked := asked_for(key)) and named in (None, asked["experiment"]):
        st.session_state["experiment"], st.session_state["tried protocol"] = asked["experiment"], asked
        st.session_state.pop(f"protocol {asked['experiment']}", None)
        lab_forms.show(asked, encoder)
    if opened is not None:
        st.session_state["experiment"] = opened["experiment"]
        st.session_state[f"protocol {opened['experiment']}"] = opened
    for name, value in st.session_state.get("lab kept", {}).items():
        st.session_state.setdefault(name, value)


def asked_for(key):
    """The protocol of an experiment in the queue; None, and why, where there is none of that key."""
    try:
        return protocols.complete(work.find(key).settings["protocol"])
    except (InputError, KeyError) as error:
        st.warning(f"The experiment of this link cannot be opened: {plain(error)}", icon=":material/info:")
    return None


def job_key(run, protocol):
    """What the queue calls the job of these settings; None where it has none."""
    job = work.job_of("simulate", {"run": run.name, "protocol": protocol})
    return job.key if (job.path / "run.json").is_file() else None


def remember():
    """Keep the controls' values for the next visit."""
    kept = st.session_state.setdefault("lab kept", {})
    for name, value in st.session_state.items():
        if name == "experiment" or str(name).startswith("lab ") and name != "lab kept":
            kept[name] = value


def choose(experiment, encoder):
    """The protocol as the controls, or an opened protocol file, say it."""
    opened, tried = st.session_state.get(f"protocol {experiment}"), st.session_state.pop("tried protocol", None)
    if opened is None:
        protocol = protocols.complete({"experiment": experiment, "settings": lab_forms.FORMS[experiment](encoder)})
        if tried is not None and tried != protocol:  # it says more than the controls can
            st.session_state[f"protocol {experiment}"] = tried
            st.rerun()
    else:
        protocol = edited(experiment, opened)
    with st.popover("Protocol", icon=":material/description:", width="stretch"):
        st.caption("All settings as a file: save it, edit it, share it, run it on another encoder or network. On the command line: "
                   "`python -m factortopy simulate RUN protocol.json`.")  # fmt: skip
        text = json.dumps(protocol, indent=1)
        st.download_button("Save protocol", text, f"{experiment}.json", "application/json", width="stretch")
        upload = st.file_uploader("Open a protocol", type=["json"], key=f"open {experiment}")
        if upload is not None and st.session_state.get("upload seen") != upload.file_id:
            st.session_state["upload seen"] = upload.file_id
            taken = read(upload.getvalue(), upload.name)
            if taken is not None:
                st.session_state["opened protocol"] = taken  # taken over before the controls are drawn
                st.rerun()
        if opened is None:
            st.code(text, language="json", height=240)
    return protocol


def edited(experiment, opened):
    """The protocol of a file, which says more than the controls can; its text can be edited."""
    st.caption("The settings are those of the protocol that you opened.")
    if st.button("Use the controls instead", icon=":material/tune:", width="stretch"):
        del st.session_state[f"protocol {experiment}"]
        st.rerun()
    text = st.text_area(
        "Protocol", json.dumps(opened, indent=1), height=240, key=f"text {experiment} {id(opened)}",
        help="JSON; edit it here.",
    )  # fmt: skip
    protocol = read(text.encode(), "the text above")
    if protocol is None or protocol["experiment"] != experiment:
        if protocol is not None:
            st.error(f"The text above: expected the experiment {experiment}, found {protocol['experiment']}.")
        raise lab_forms.Incomplete
    return protocol


def read(data, name):
    """A complete protocol of a file's bytes; None, and why, when it is none."""
    try:
        given = json.loads(data)
        if not isinstance(given, dict):
            raise ValueError("no JSON object")
        return protocols.complete(given)
    except (ValueError, InputError) as error:
        st.error(f"{plain(name)}: expected a protocol of the lab; {plain(error)}")
        return None


def offer(run, protocol, first):
    """Run and stop. Returns the result that is shown, of these settings, else the last one of this experiment, else None; and
    whether these settings wait or run."""
    experiment, settings = protocol["experiment"], {"run": run.name, "protocol": protocol}
    job = work.job_of("simulate", settings)
    status, reason = job.state()
    result = kept(run, protocol)
    if status in ACTIVE:
        with first:
            job_panel.watch(job.key, NAMES[experiment])
    elif st.button("Run again" if result else "Run", type="primary", width="stretch", icon=":material/play_arrow:"):
        queue.submit_job("simulate", settings)
        st.rerun()
    for other in of_run(run):
        if other != job:
            job_panel.watch(other.key, NAMES.get(other.settings["protocol"]["experiment"], "Experiment"))
    if status == "failed":
        st.error(plain(reason))
    if status in ("stopped", "interrupted"):
        again = "the pictures are grown" if experiment == "maximize" else "it starts"
        st.caption(f"Stopped. Run it again: {again} anew; responses that were predicted are kept.")
    if result is None:
        result = protocols.newest(run, experiment)
        if result is not None:
            other = protocols.differences(result.settings, protocol["settings"])
            st.caption(
                "Shown is the last result. It was made with other settings: " + plain("; ".join(other)[:300]) + "."
            )
    return result, status in ACTIVE


def of_run(run):
    """Experiments of this run that wait or run."""
    for job in work.list_jobs():
        try:
            info = job.info
        except InputError:
            continue
        if info.get("kind") == "simulate" and info["settings"].get("run") == run.name and job.status in ACTIVE:
            yield job


def kept(run, protocol):
    """The kept result of a protocol, read once."""
    file = protocols.result_folder(run, protocol) / "result.json"
    if not file.exists():
        return None
    return _kept(str(run.path), run.shipped, json.dumps(protocol), file.stat().st_mtime_ns, version(run))


@st.cache_data(max_entries=8, show_spinner=False)
def _kept(path, shipped, protocol, *stamps):
    return protocols.kept(Run(path, shipped), json.loads(protocol))


def save(run, result, encoder):
    """The result as files; drawing its maps takes some seconds."""
    from factortopy.export.result import export_result

    def write(folder, say):
        result.save(folder)
        export_result(folder / "maps", result, encoder, say)

    contents = json.dumps(plain_values([result.experiment, result.settings, result.info, result.numbers]))
    take_away.offer_zip(
        "result", f"result of {run.name} {hashlib.blake2b(contents.encode(), digest_size=12).hexdigest()}",
        "Save the result (zip: protocol, numbers, maps, pictures)",
        lambda task: take_away.drawn(write, 2 * len(result.maps), task),
        f"{saving.file_name(result.experiment, result.info.get('simulated'))}.zip",
        "Each map as GIFTI, as a flat picture (PNG) and as a drawing (SVG); all maps in one table (CSV).",
    )  # fmt: skip


guard(page)
