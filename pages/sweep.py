"""Sweep: many trainings at once, subjects × networks × seeds × settings, as one table."""

import shutil

import pandas as pd
import streamlit as st

from factortopy import sweeps
from factortopy.backbones.loading import list_backbones
from factortopy.encoder.names import RECIPES
from factortopy.jobs import queue
from factortopy.runs import costs
from factortopy.runs.folder import ACTIVE, RESUMABLE
from factortopy.sweeps import slurm
from factortopy.sweeps.axes import whole
from factortopy.sweeps.table import summary
from factortopy.wording import duration
from pages.parts import address, cost
from pages.parts.guard import checked, guard, guard_part
from pages.parts.job_panel import STAGES
from pages.parts.network_names import to_fetch
from pages.parts.words import STATUS_WORDS, TERMS, plain

DEMO = ("demo-1", "demo-2", "demo-3")
MODELS = ("factorized", "classtoken", "patchtoken", "gnetvit", "ridge")
STATUSES = STATUS_WORDS | {"planned": "not started"}
MOST_COMPARED = 6
EMPTY = (
    "A sweep trains every combination of what you choose on the left: several subjects, networks, seeds, numbers of pictures "
    "…\n\n"
    "1. choose, and read here how many runs that makes and what they cost,\n"
    "2. start; they go through the queue, one at a time on each GPU, and on when you leave this page,\n"
    "3. compare what is finished, or save the table."
)


def page():
    waiting = st.empty()
    waiting.caption("Looking at subjects and networks …")
    queue.wake()
    with st.sidebar:
        form()
    waiting.empty()
    watch()


# ---------------------------------------------------------------- what to train


def form():
    """Axes, the number of runs, what they cost, the button."""
    st.subheader("Train many encoders")
    parts = [checked(whose_brains), which_networks(), checked(seeds)]
    with st.expander("More settings"):
        name = st.text_input("Name (optional)", help="What the runs' names begin with.").strip()
        parts += more()
        place = checked(where)
    axes, planned = {}, []
    if None not in (*parts, place):
        axes = {key: values for part in parts for key, values in part.items()}
        planned = checked(plan, axes) or []
    label = f"Start {len(planned)} run{'s' * (len(planned) != 1)}" if planned else "Start"
    if st.button(label, type="primary", width="stretch", disabled=not planned, icon=":material/play_arrow:"):
        if checked(start, planned, axes, name, place):
            st.rerun()


def start(planned, axes, name, place):
    """Send all runs to the queue, or to the cluster; the sweep is watched from now on."""
    sweeps.look_up(planned)
    sweep = sweeps.make(axes, name=name or None, **place)
    st.session_state["sweep"] = sweep.name
    sweeps.start(sweep)
    return sweep


def plan(axes):
    """Settings of all runs, with what they cost."""
    if not axes["subject"] or not axes["backbone"]:
        st.caption("Choose at least one subject and one network.")
        return []
    planned = sweeps.settings_of(axes)
    st.caption(price(planned, axes))
    return planned


def seeds():
    words = st.text_input(
        "Seeds", "0", help="Seeds with commas between, as in 0,1,2: the same training with other chance."
    )
    return {"seed": [whole("Seeds", word.strip()) for word in words.split(",")]}


def whose_brains():
    """Demo subjects, or those of a folder."""
    path = st.session_state.get("sweep folder", "").strip()
    if not path:
        chosen = st.multiselect(
            "Subjects", DEMO, ["demo-1"], help="Simulated. Each one's 3,000 pictures are rendered at the first use."
        )
    st.text_input(
        "Folder of mine", key="sweep folder", placeholder="path of a data set",
        help="A folder on this machine: NSD, Algonauts 2023 or FactorTopy's folder layout.",
    )  # fmt: skip
    if not path:
        return {"subject": chosen}
    from factortopy.subjects.layouts import subjects_in

    several = subjects_in(path)
    if len(several) < 2:
        return {"subject": [path]}
    ids = st.multiselect("Subjects", several, several[:1], help="The folder holds several.")
    return {"subject": [path] if ids else [], "subject_id": ids or [None]}


def which_networks():
    entries = list_backbones()
    here = [entry.name for entry in entries if entry.available]
    fetched = to_fetch(entries)
    options = [*here, *(f"{name} untrained" for name in here), *fetched]
    chosen = st.multiselect(
        "Networks", options, here[:2], format_func=lambda name: fetched.get(name, name),
        help="Whose layers are painted. Untrained: with random weights, to see what learning adds.",
    )  # fmt: skip
    return {"backbone": chosen}


def more():
    """Settings, each as a part of the axes; several values are one more axis. None for a part that is wrong."""
    parts = []

    def numbers(name, help):
        words = st.text_input(name, help=help).replace(" ", "")
        return {name.lower(): [whole(name, word) for word in words.split(",")]} if words else {}

    for name, help in (
        ("Steps", "Steps of the optimiser; empty takes the recipe's own number. Several with commas: 90,180"),
        ("Pictures", "How many pictures are learnt from; empty takes all. Test pictures stay. Several: 300,1000,3000"),
    ):
        parts.append(checked(numbers, name, help))
    recipe = st.multiselect(
        "Recipes",
        RECIPES,
        ["fast"],
        help="fast, the published one (up to 60,000 steps), or as the paper's released code (11,250 steps).",
    )
    model = st.multiselect("Models", MODELS, ["factorized"], help="The factorized encoder, and the papers' baselines.")
    alike = st.multiselect(
        "Neighbours choose alike", ["yes", "no"], ["yes"], help="No: every point of the cortex learns by itself."
    )
    return [*parts, {"recipe": recipe, "model": model, "topology": [word == "yes" for word in alike]}]


def where():
    """Engine, and SLURM's options: asked for only where SLURM's commands are."""
    here = {"engine": "local", "options": None}
    if not shutil.which("sbatch"):
        return here
    if (
        st.selectbox("Where", ["this machine", "SLURM"], help="SLURM: this machine can hand runs to a cluster.")
        != "SLURM"
    ):
        return here
    words = st.text_input(
        "SLURM", placeholder="partition=gpu,time=4:00:00,gpus=1,mem=32G,array=8",
        help="Of each run: partition, time, gpus, mem, cpus; array: how many at once. Other names are sbatch's own.",
    )  # fmt: skip
    return {"engine": "slurm", "options": slurm.options(words)}


def price(planned, axes):
    """How many runs, how much time and disk."""
    many = [(name, len(values)) for name, values in axes.items() if len(values) > 1]
    words = {"subject": "subjects", "subject_id": "subjects", "backbone": "networks", "seed": "seeds", "model": "models",
             "recipe": "recipes", "topology": "ways of topology"}  # fmt: skip
    product = " × ".join(f"{count} {words.get(name, name)}" for name, count in many)
    extractions = costs.extractions(planned)
    words = f"**{len(planned)} run{'s' * (len(planned) != 1)}**" + (f": {product}" if product else "")
    if extractions < len(planned):
        words += f"; features are extracted for {extractions} of them, the others read those"
    return f"{words}.  \n{cost.of_runs(planned)}"


# ---------------------------------------------------------------- what is training


def watch():
    """The list of sweeps and the one that is watched."""
    listed = {sweep.name: sweep for sweep in sweeps.list_sweeps()}
    if not listed:
        st.subheader("No sweep yet")
        st.markdown(EMPTY)
        st.page_link("pages/train.py", label="Train a single encoder", icon=":material/model_training:")
        return
    names = list(listed)
    wanted = st.session_state.get("sweep")
    name = st.selectbox(
        "Sweep", names, index=names.index(wanted) if wanted in listed else 0, label_visibility="collapsed",
        key=f"watched sweep {wanted}",
    )  # fmt: skip
    active = any(status in ACTIVE for status, _ in sweeps.states(listed[name]).values())
    st.fragment(lambda: guard_part(lambda: one_sweep(name, active)), run_every=2.0 if active else None)()


def one_sweep(name, was_active):
    """Progress, table, what can be done; drawn anew while the rest of the page stays."""
    from factortopy.storage.home import home

    sweep = sweeps.read(home() / "sweeps" / name)
    table = sweeps.rows(sweep)
    active = [row for row in table if row["status"] in ACTIVE]
    if bool(active) != was_active:
        st.rerun()
    counts = sweeps.counts(table)
    st.progress(counts.get("finished", 0) / len(table), text=plain(summary(table, STATUSES)))
    buttons(sweep, table, active)
    frame = pd.DataFrame([line_of(row, sweep.varied) for row in table])
    st.dataframe(
        frame, hide_index=True, width="stretch", height=min(600, 38 + 35 * len(frame)), placeholder="",
        column_config={
            "subject": st.column_config.TextColumn(width=130),
            "mean R²": st.column_config.NumberColumn(format="%.3f", help=TERMS["R²"]),
            "progress": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent", width="small"),
        },
    )  # fmt: skip
    reasons = [row for row in table if row["status"] == "failed"]
    for row in reasons[:3]:
        st.error(f"{plain(row['run'])}: {plain(row['reason'])}")
    if any(row["simulated"] for row in table):
        st.caption("Simulated subjects: no person was measured.")
    go_to(table)


def line_of(row, varied):
    """One line of the table, for people."""
    step, total = row["step"], row["total"]
    share = 1.0 if row["status"] == "finished" else step / total if step and total else 0.0
    subject = str(row["subject"]).rstrip("/").split("/")[-1] + (" (simulated)" if row["simulated"] else "")
    stage = STAGES.get(row["stage"], row["stage"]) if row["status"] in ("running", "stopping") else None
    left = None if row["remaining"] is None else duration(row["remaining"])
    return {
        "status": STATUSES.get(row["status"], row["status"]), "subject": subject,
        "network": row["backbone"], "seed": row["seed"], **{name: row[name] for name in varied}, "stage": stage,
        "progress": share, "left": left, "mean R²": row["mean_r2"],
        "minutes": None if row["seconds"] is None else round(row["seconds"] / 60, 1), "run": row["run"],
    }  # fmt: skip


def buttons(sweep, table, active):
    """Cancel, resume, save: what makes sense now."""
    a, b, c = st.columns(3)
    dead = [row for row in table if row["status"] in ("planned", *RESUMABLE)]
    if active and a.button(
        "Cancel",
        icon=":material/stop:",
        width="stretch",
        help="Stops all that waits or trains; what was learnt is kept.",
    ):
        sweeps.cancel(sweep)
        st.rerun()
    if dead and b.button(
        f"Resume {len(dead)}", icon=":material/play_arrow:", width="stretch",
        help="Goes on with what died, failed, was stopped or never started, each from its last checkpoint.",
    ):  # fmt: skip
        sweeps.resume(sweep)
        st.rerun()
    simulated = "_simulated" if any(row["simulated"] for row in table) else ""
    c.download_button(
        "Save the table (CSV)", sweeps.as_csv(table), f"{sweep.name}{simulated}.csv", "text/csv", width="stretch",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def go_to(table):
    """Open one run, or compare the finished ones."""
    finished = [row for row in table if row["status"] == "finished"]
    names = [row["run"] for row in table if row["status"] != "planned"]
    if not names:
        return
    a, b, c = st.columns([2, 1, 1], vertical_alignment="bottom")
    chosen = a.selectbox("Run", names, help="Open one of them: in Explore when it is finished, else in Train.")
    done = chosen in [row["run"] for row in finished]
    with b:
        if done:
            address.link("explore", "Open in Explore", ":material/explore:", run=chosen)
        else:
            address.link("train", "Open in Train", ":material/model_training:", watch=chosen)
    if len(finished) > 1:
        compared = [row["run"] for row in finished[:MOST_COMPARED]]
        label = "Compare all" if len(compared) == len(table) else f"Compare the first {len(compared)}"
        if len(compared) == len(finished) < len(table):
            label = f"Compare the {len(finished)} finished"
        with c:
            address.link("compare", label, ":material/compare:", runs=",".join(compared))


guard(page)
