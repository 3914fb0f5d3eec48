"""What several pages lay out alike: the strip on the left, the painted brain of a run, words explained once."""

import runpy
from pathlib import Path

import numpy as np
import streamlit as st

from factortopy.encoder.choices import FACTORS
from factortopy.errors import InputError
from factortopy.runs.run import find_run, list_runs
from factortopy.storage import allowed_folders
from factortopy.surfaces.coordinates import full_index
from factortopy.wording import score_text
from pages.parts.lessons import LESSONS

WORDS = {
    "R²": "Brain score R²: share of a place's response to new pictures that the encoder predicts. 1 is perfect, 0 is no "
    "better than the mean, below 0 is worse.",
    "noise ceiling": "The best R² that any model could reach, given how noisy the measurement is.",
    "challenge": "Metric of the Algonauts 2023 challenge: r² / noise ceiling of each vertex, r below 0 counting 0, at most 1. "
    "With few test pictures chance alone makes it high.",
    "layer": "Networks work in layers, one after the other. The map shows the one with the largest weight at each place.",
    "confidence": "1: one layer alone is used. 0: all layers are used alike, so the layer's colour means nothing.",
    "scale": "0: a detail of the picture (local token). 1: the picture as a whole (global token).",
    "vertex": "One point of the cortical surface. The demo's surface has a point every 3 mm or so.",
    "above chance": "Test pictures are shuffled 1,000 times; a place is painted when its prediction beats the shuffled ones "
    "(false discovery rate 5 %).",
}  # fmt: skip
HEMISPHERE = ("left", "right")
SAID = {
    "queued": "waiting", "running": "training", "stopping": "stopping", "stopped": "stopped", "finished": "finished",
    "interrupted": "interrupted", "failed": "failed", "unreadable": "cannot be read", "deleted": "deleted",
}  # fmt: skip
OWN_AREAS = "FactorTopy's own fit (V1 to V3; hV4 a patch), patches around published centres"
MORE_ATLASES = (
    "The Benson, Wang and HCP-MMP atlases appear here when neuropythy's files are installed "
    "(pip install --no-deps neuropythy); see docs/subjects.md."
)
FIRST = "demo-vit_demo-1"  # what a visitor sees first


navigated = False  # set by app.py


def guard(page):
    """Run a page."""
    if not navigated:
        # The first link that a fresh server is asked for: Streamlit takes the page's file for the whole app.
        runpy.run_path(str(Path(__file__).resolve().parents[2] / "app.py"), run_name="__main__")
        return
    arrive(Path(page.__code__.co_filename).stem)
    way_back()  # drawn by the page, not by app.py: of what that drew Streamlit leaves an empty strip on the next page
    guard_part(page)


def guard_part(draw):
    """Draw a part of a page; what the user can mend is a sentence, anything else is logged and said without a traceback."""
    try:
        draw()
    except InputError as error:
        st.error(str(error).replace("$", r"\$"), icon=":material/error:")


def way_back():
    """The link to the lesson that sent one here, also by way of other pages; the address keeps it for a reload."""
    if st.session_state["page"] == "learn":
        st.session_state.pop("lesson open", None)
        return
    lesson = number_in_address("lesson") or st.session_state.get("lesson open")
    if lesson not in range(1, len(LESSONS) + 1):
        return
    st.session_state["lesson open"] = lesson
    address(lesson=lesson)
    with st.sidebar:
        link("learn", f"Back to lesson {lesson}", ":material/school:", lesson=str(lesson))


def link(page, label, icon=None, disabled=False, help=None, **query):
    """Opens another page, told what to open by its address (``query``).

    A link that the browser follows, and not ``st.switch_page``: a page that is drawn anew on a timer may ask for that once
    more while the server already sends the other page, which Streamlit then blanks (``run_every``, up to 1.67).
    """
    st.page_link(
        f"pages/{page}.py", label=label, icon=icon, disabled=disabled, help=help,
        query_params={name: value for name, value in query.items() if value is not None},
    )  # fmt: skip


def asked(name):
    """What the address says when this page is come to (as by another page's ``link``), once; None where it says nothing."""
    seen, value = st.session_state.setdefault("asked", {}), st.query_params.get(name)
    if value == seen.get(name):
        return None
    seen[name] = value
    return value


def address(**told):
    """Say it in the page's address, None takes a word out: one step of the browser's history, none where nothing changes."""
    known = st.query_params.to_dict()
    wanted = known | {name: None if value is None else str(value) for name, value in told.items()}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if wanted != known:
        st.query_params.from_dict(wanted)
    st.session_state.setdefault("asked", {}).update(
        {name: wanted.get(name) for name in told}
    )  # not asked for by anyone


def arrive(page):
    """Called at each run with the page's file: what its address asks for counts anew when it is come to from another one."""
    before = st.session_state.get("page")
    if before == page:
        return
    st.session_state.update({"page": page, "asked": {}})
    if before == "learn" and "lesson" in st.query_params:
        # What was chosen before would be shown beside what the lesson speaks of.
        for name in [
            name for name in st.session_state if str(name).startswith("compared ") or name in ("vertex", "roi")
        ]:
            del st.session_state[name]


def say_who_can_reach_it():
    """A red banner while other machines reach the app; from then on typed paths open the listed folders alone."""
    address = st.get_option("server.address")
    if allowed_folders.beyond_this_machine(address):
        allowed_folders.confine()
        st.error(
            f"Other machines can reach this app (it listens on {plain(address or 'every address')}) and it asks for no password: "
            "whoever does can train, delete runs, and open the folders that it was given. End it and start it with "
            "`python3 run.py` alone; to share it, put a proxy with a password in front: docs/security.md.",
            icon=":material/lock_open:",
        )
    elif "X-Forwarded-For" in st.context.headers:  # through a proxy, which is to ask for the password
        allowed_folders.confine()


def plain(text):
    """Text from outside, shown as typed: Markdown's signs lose their meaning."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|<>~$:" else c for c in str(text))


def run_label(run):
    """How a run is called in lists."""
    info = run.info
    if run.shipped:
        return f"{info.get('backbone')} on {info.get('subject')}{_unusual(info)}"
    return f"{run.name} · {info.get('backbone')} on {info.get('subject')}"


def finished_runs():
    """{name: Run} of all runs that can be shown: the first one to look at, the other shipped ones, the user's own."""
    runs = [run for run in list_runs() if run.status == "finished"]
    return {run.name: run for run in sorted(runs, key=lambda run: (run.name != FIRST, not run.shipped))}


def choose_run():
    """The strip on the left: which fitted run is shown. Returns the Run; stops the page when there is none."""
    runs = finished_runs()
    if not runs:
        st.info("No fitted run yet. Train one; the demo subject and network need nothing else.")
        st.page_link("pages/train.py", label="Train an encoder", icon=":material/model_training:")
        st.stop()
    asked = st.query_params.get("run")
    if asked is not None and asked not in runs:
        try:
            status = find_run(asked).status
            st.warning(f"Run {plain(asked)} is {status}; showing another one.", icon=":material/info:")
        except InputError as error:
            st.warning(plain(error), icon=":material/info:")
    names = list(runs)
    wanted = asked if asked in runs else st.session_state.get("run", names[0])
    with st.sidebar:
        name = st.selectbox(
            "Run",
            names,
            index=names.index(wanted) if wanted in names else 0,
            format_func=lambda name: run_label(runs[name]),
            help="A fitted encoder: one subject, one network. New ones appear here when their training is done.",
        )
    st.session_state["run"] = name
    another = asked is not None and asked != name  # which may have other maps
    address(run=name, map=None if another else st.query_params.get("map"))
    run = runs[name]
    with st.sidebar:
        _facts(run)
    return run


def _facts(run):
    info = run.info
    whole = next((row for row in info.get("scores") or [] if row["roi"] == "all"), {})
    simulated = " (simulated)" if info.get("simulated") else ""
    lines = [
        f"**Subject** {plain(info.get('subject'))}{simulated}",
        f"**Network** {network_of(info)}",
        f"**Recipe** {recipe_of(info)}",
    ]
    if whole:
        lines.append(
            f"**Brain score** mean R² {score_text(whole['score'], 2)}"
            + (f" of {whole['ceiling']:.2f} that noise allows" if np.isfinite(whole.get("ceiling") or np.nan) else "")
        )
    st.markdown("  \n".join(lines), help=WORDS["R²"] + " " + WORDS["noise ceiling"])
    if info.get("simulated"):
        st.caption(
            "This subject is simulated: early areas answer to contrast in their receptive fields, high-level areas to what "
            "is in the picture. No person was measured."
        )


def network_of(info):
    """The network of a run, and what its weights are where they are not the published ones."""
    weights = (info.get("settings") or {}).get("weights")
    if weights == "untrained" or not info.get("trained", True):
        return f"{plain(info.get('backbone'))} (random weights)"
    return plain(info.get("backbone")) + (f", weights of the file {plain(Path(weights).name)}" if weights else "")


def recipe_of(info):
    """Recipe and seed of a run, and what else was asked."""
    return f"{plain(info.get('recipe'))}, seed {info.get('seed')}{_unusual(info)}"


def _unusual(info):
    """What was asked beside the defaults: fewer pictures, another number of steps, a baseline, an ablation."""
    settings = info.get("settings") or {}
    told = "".join(f", {settings[name]:,} {name}" for name in ("pictures", "steps") if settings.get(name))
    if settings.get("steps") and info.get("best_step"):
        told += f" (step {info['best_step']:,} kept)"
    if settings.get("model", "factorized") != "factorized":
        return f"{told}, {settings['model']} baseline"
    missing = [name for name in FACTORS if name not in settings.get("select", FACTORS)]
    told += "".join(f", no {name}" for name in missing)
    return told + ("" if settings.get("topology", True) else ", no topology")


def version(run):
    """(path, time of its last change): what is kept of a run holds for this version of it."""
    return str(run.path), (run.path / "run.json").stat().st_mtime_ns


def load_encoder(run):
    """The run's Encoder, read once; read again when the run has changed."""
    return encoder_at(*version(run))


@st.cache_resource(max_entries=8, show_spinner=False)
def encoder_at(path, stamp):
    """The Encoder of a ``version``."""
    from factortopy.encoder import Encoder

    return Encoder.load(path)


def load_gallery(run):
    """Held-out pictures of the run with measured and predicted responses, or None."""
    return _load_gallery(*version(run))


@st.cache_resource(max_entries=8, show_spinner=False)
def _load_gallery(path, stamp):
    from factortopy.analysis.gallery import read_gallery

    return read_gallery(path)


def context_of(encoder):
    """Network on subject, as part of every title."""
    kind = "simulated subject" if encoder.simulated else "subject"
    return f"{encoder.backbone_name} on {kind} {encoder.info.get('subject')}"


def painted(encoder):
    """(N,) bool, vertices that maps paint: predicted above chance; all of an encoder that was not scored."""
    from factortopy.analysis.curves import painted

    return painted(encoder)


def rows_of(encoder):
    """(N,) rows of the whole mesh."""
    return full_index(encoder.hemi, encoder.vertex, encoder.density)


def vertex_at(encoder, row):
    """Index among the encoder's vertices of a row of the whole mesh; None outside."""
    found = np.flatnonzero(rows_of(encoder) == row) if row is not None else []
    return int(found[0]) if len(found) else None


def choose_areas(encoder):
    """The strip on the left: whose areas are outlined and named. Returns {name: (N,) bool}."""
    from factortopy.surfaces.atlases import available_atlases, load_atlas

    own = OWN_AREAS if encoder.simulated else "the data set's own areas"
    atlases = available_atlases()
    with st.sidebar:
        if not atlases:
            st.caption(f"**Areas** {own}", help=MORE_ATLASES)
            return encoder.rois
        chosen = st.selectbox(
            "Areas", [own, *atlases], format_func=lambda name: atlases.get(name, name), key="areas",
            help="Whose areas are outlined and named. Published atlases are group averages on fsaverage.",
        )  # fmt: skip
    if chosen == own:
        return encoder.rois
    rows = rows_of(encoder)
    masks = {name: mask[rows] for name, mask in load_atlas(chosen, encoder.density).items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def rois_at(rois, index):
    """Names of the ROIs that a vertex belongs to."""
    return [name for name, mask in rois.items() if mask[index]]


def say_unknown_place():
    """Why a click brought nothing; for where ``vertex_at`` knows no selected place."""
    if chosen_vertex() is not None:
        st.info("This place is not among the subject's vertices, so nothing is known about it. Click a coloured one.")


def where(encoder, index):
    """A vertex in words."""
    names = rois_at(encoder.rois, index)
    side = HEMISPHERE[int(encoder.hemi[index])]
    return f"{', '.join(names) or 'between areas'}, {side} hemisphere, vertex {int(encoder.vertex[index])}"


def number_in_address(name):
    """The whole number that the address gives under a name; None when it gives none that could be meant."""
    asked = st.query_params.get(name, "")
    return int(asked) if asked.isdecimal() and len(asked) < 10 else None


def chosen_vertex():
    """Row of the whole mesh that is selected, the same on every page; the address says it at first. None: nothing."""
    if "vertex" not in st.session_state:
        st.session_state["vertex"] = number_in_address("vertex")
    return st.session_state["vertex"]


def choose_vertex(row):
    """Select a row of the whole mesh; None and negative ones select nothing."""
    st.session_state["vertex"] = row if row is not None and row >= 0 else None


def choose_place(row):
    """Select a row of the whole mesh alone: a region that was selected as a whole is left."""
    choose_vertex(row)
    st.session_state["roi"] = None


def chosen_roi():
    """Name of the region that is selected as a whole, the same on every page; the address says it at first."""
    if "roi" not in st.session_state:
        st.session_state["roi"] = st.query_params.get("roi")
    return st.session_state["roi"]


def maps_at_rest(encoder):
    """What a page shows on the brain before it has a map of its own: the layers, where none are chosen the score."""
    from factortopy.view import layer_map, score_map

    at = (encoder.hemi, encoder.vertex)
    common = {"painted": painted(encoder), "context": context_of(encoder), "density": encoder.density}
    if encoder.has_selectors:
        return [layer_map(encoder.selectors(), *at, **common)]
    return [score_map(encoder.scores.get("score", np.zeros(encoder.n_vertices)), *at, **common)]


def brain(maps, encoder, *, key, rois=None, height=600, report=("vertex", "roi"), map_name=None, **options):
    """The brain view with this encoder's scores and its own or other ROIs; keeps vertex and map in the address.

    A click reaches ``chosen_vertex`` before the page is drawn again; so does a selected region ``chosen_roi``. ``map_name``
    makes the page choose the map; the address then says nothing of it. The camera is set once, from the address.
    """
    from factortopy.view import brain_view, whole, whole_rois

    def clicked():
        state = st.session_state.get(key)
        choose_vertex(getattr(state, "vertex", None))
        st.session_state["roi"] = getattr(state, "roi", None)

    shown = map_name or getattr(st.session_state.get(key), "map", None) or st.query_params.get("map")
    shown = shown if shown in {m.name for m in maps} | {m.group for m in maps} else None
    score = encoder.scores.get("score") if encoder.scores else None
    seen = brain_view(
        maps,
        rois=whole_rois(encoder.rois if rois is None else rois, encoder.hemi, encoder.vertex, encoder.density),
        key=key,
        height=height,
        selected=chosen_vertex(),
        roi=chosen_roi(),
        camera=st.session_state.setdefault("camera", st.query_params.get("camera")),
        map=shown,
        score=None if score is None else whole(score, encoder.hemi, encoder.vertex, encoder.density),
        simulated=encoder.simulated,
        density=encoder.density,
        report=report,
        on_change=clicked,
        **options,
    )
    told = {"vertex": chosen_vertex(), "roi": chosen_roi()} | ({} if map_name else {"map": seen.map or shown})
    if "camera" in report:
        told["camera"] = seen.camera
    address(**told)
