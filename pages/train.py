"""Train: make a new encoder, watch its map form."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from factortopy import jobs
from factortopy.encoder.choices import FACTORS, RECIPES
from factortopy.errors import InputError
from factortopy.records import DEFAULTS, score_text
from factortopy.runs import ACTIVE, find_run, list_runs
from pages import cost, job_panel, saving, shared, subjects

HEIGHT = 520
DENSITIES = {"164k": "all vertices", "41k": "a quarter of them", "10k": "a quick look"}
TRIALS = {
    "single": "each by itself", "mean": "the mean of a picture's repeats", "paper": "as in the paper: without the last sessions",
}  # fmt: skip
MODEL_NAMES = {
    "factorized": "factorized, topological", "classtoken": "baseline: class tokens", "patchtoken": "baseline: patch tokens",
    "gnetvit": "baseline: GNet masks", "ridge": "baseline: pooled ridge",
}  # fmt: skip


def page():
    jobs.wake()
    waiting = st.empty()
    waiting.caption("Looking at subjects and networks …")
    with st.sidebar:
        form()
    waiting.empty()
    watch()


# ---------------------------------------------------------------- what to train


def form():
    """Subject × network × recipe."""
    st.subheader("Train an encoder")
    st.page_link("pages/sweep.py", label="Or many at once: a sweep", icon=":material/grid_view:")
    st.page_link("pages/fine_tune.py", label="Or fine-tune a network first", icon=":material/tune:")
    subject, subject_id = subjects.choose()
    backbone, weights = choose_network()
    above = st.container()
    more = st.expander("More settings")
    model = more.selectbox(
        "Model", list(MODEL_NAMES), format_func=MODEL_NAMES.get, help="Baselines of the papers: scores to compare "
        "with. They learn no layer and no place for a point of the cortex, so there is no layer map.",
    )  # fmt: skip
    factorized, steps_matter = model == "factorized", model != "ridge"
    recipe = above.selectbox(
        "Recipe", RECIPES, disabled=not steps_matter,
        help="**fast**: channel weights are solved exactly at each step, so that 180 steps are enough. "
        "**paper**: the published recipe, up to 60,000 steps; an hour or more for the demo subject, many for a real one, without a GPU. "
        "A pooled ridge is solved at once and has none.",
    )  # fmt: skip
    with more:
        density = None
        if subject and not subject.startswith("demo"):
            density = st.selectbox(
                "Surface", ("164k", "41k", "10k"), format_func=DENSITIES.get, help="Coarser data stay as they are. A quick look takes "
                "the vertices that belong to the coarse surface too, a sixteenth of all.",
            )  # fmt: skip
        trials = None
        if subject and subjects.kinds_of_trials(subject, subject_id) > 1:
            trials = st.selectbox(
                "Trials", TRIALS, format_func=TRIALS.get, help="NSD showed most pictures three times."
            )
        seed = st.number_input("Seed", 0, 10_000, 0, help="Same seed, same machine, same result.")
        pictures = st.number_input(
            "Pictures", 0, 100_000, 0, step=100, help="How many pictures are learnt from, 10 at least; 0 takes all. Test pictures stay. "
            "Fewer are quicker and tell how much data is enough.",
        )  # fmt: skip
        steps = st.number_input(
            "Steps", 0, 100_000, 0, disabled=not steps_matter,
            help="Steps of the optimiser; 0 takes the recipe's own number (fast 180, paper 60,000).",
        )  # fmt: skip
        pca = st.number_input(
            "Principal components a layer", 0, 10_000, 0, step=32, disabled=model == "ridge",
            help="Keeps so many numbers of each token on disk in place of all channels, learnt from training pictures; 0 keeps "
            "all. For large networks and many pictures: docs/networks.md.",
        )  # fmt: skip
        select = st.multiselect(
            "What each point learns", FACTORS, FACTORS, disabled=not factorized,
            help="A factor left out is averaged: all layers, all places, or local and global tokens alike.",
        )  # fmt: skip
        topology = st.checkbox(
            "Neighbours choose alike", True, disabled=not factorized,
            help="Off: every point of the cortex learns by itself.",
        )  # fmt: skip
        space_samples = st.number_input(
            "Places a point looks at", 1, 9, 1, disabled=not factorized or "space" not in select,
            help="With more than one, what is seen there is averaged.",
        )  # fmt: skip
    settings = {
        "subject": subject, "subject_id": subject_id, "density": density, "trials": trials, "backbone": backbone, "weights": weights,
        "seed": int(seed), "pictures": int(pictures) or None, "model": model, "pca": None if model == "ridge" else int(pca) or None,
    }  # fmt: skip
    if steps_matter:
        settings |= {"recipe": recipe, "steps": int(steps) or None}
    if factorized:
        settings |= {"select": select, "topology": topology, "space_samples": int(space_samples)}
    if subject and backbone:
        st.caption(cost.of_runs([DEFAULTS | settings]))
        done = (run for run in list_runs(shipped=False) if run.status == "finished")
        same = next((run for run in done if run.settings == DEFAULTS | settings), None)
        if same:
            st.caption(f"Was trained already, as {shared.plain(same.name)}; again gives the same.")
    if st.button(
        "Train", type="primary", width="stretch", disabled=not (subject and backbone), icon=":material/play_arrow:"
    ):
        try:
            run = jobs.submit(settings)
        except InputError as error:
            st.error(shared.plain(error))
            return
        st.session_state["watched"] = run.name
        st.rerun()


def choose_network():
    """Name and weights as ``load_backbone`` takes them."""
    from factortopy.backbones import list_backbones

    entries = sorted(list_backbones(), key=lambda entry: not entry.available)  # those with weights first
    if name := shared.asked("network"):  # from the Networks page
        st.session_state["network"] = name, st.query_params.get("weights")
    given, file = st.session_state.get("network", (None, None))
    fetched = {entry.name: f"{entry.name} (weights to fetch)" for entry in entries if not entry.available}
    options = [*(entry.name for entry in entries if entry.available), "demo-vit untrained", "timm/…", *fetched]
    own = f"{given} untrained" if file == "untrained" else given
    options = options if own is None or own in options else [own, *options]
    said = fetched | {
        "demo-vit": "demo-vit: small transformer, learnt categories", "demo-mae": "demo-mae: the same, learnt to fill in",
        "demo-vit untrained": "demo-vit with random weights", "timm/…": "any of timm or OpenCLIP, by name",
    }  # fmt: skip
    name = st.selectbox(
        "Network", options, format_func=lambda k: said.get(k, k), index=options.index(own) if own else 0,
        help="Whose layers are painted. The demo networks have seen rendered drawings only.",
    )  # fmt: skip
    if name in fetched and not (name == given and file):
        entry = next(entry for entry in entries if entry.name == name)
        st.caption(
            f"Its weights, about {entry.parameters * 4e-6:,.0f} MB, are not on this machine. The training fetches them first, from "
            f"{shared.plain(entry.source)}. Without a connection: name a file on the Networks page."
        )
        st.page_link("pages/networks.py", label="Fetch them, or name a file", icon=":material/download:")
    if name != "timm/…":
        return name, file if name == given and file != "untrained" else None
    typed = st.text_input(
        "Name in timm", placeholder="vit_base_patch16_224.mae", help="As on timm's model list; or open_clip/MODEL:TAG."
    ).strip()
    weights = st.text_input(
        "Weights file (optional)", help="A .safetensors or .pth file. Empty: fetched from the model hub. The word "
        "untrained: random weights.",
    ).strip()  # fmt: skip
    if not typed.startswith("open_clip/"):
        typed = f"timm/{typed.removeprefix('timm/')}" if typed else None
    return typed, weights or None


# ---------------------------------------------------------------- what is training


def watch():
    """The list of runs and the one that is watched."""
    runs = {run.name: run for run in list_runs(shipped=False)}
    if not runs:
        st.subheader("Nothing was trained here yet")
        st.markdown(
            "The demo subject and network on the left need nothing but a click on **Train**. Then\n\n"
            "1. the network looks at every picture, and its tokens are kept,\n"
            "2. the encoder is fitted, and you watch the map form here,\n"
            "3. it is scored on pictures it has not seen, and opens in Explore.\n\n"
            "You can leave this page, or stop and resume: nothing that was learnt is lost."
        )
        return
    active = [name for name, run in runs.items() if run.status in ACTIVE]
    names = list(runs)
    if name := shared.asked("watch"):
        st.session_state["watched"] = name
    wanted = st.session_state.get("watched")
    if wanted is not None and wanted not in runs:
        st.warning(
            f"There is no run {shared.plain(wanted)} here (any more); showing another one.", icon=":material/info:"
        )
    start = names.index(wanted) if wanted in runs else names.index(active[0]) if active else 0
    name = st.selectbox("Run", names, index=start, key=f"watched run {wanted}", label_visibility="collapsed")
    panel(name)
    with st.expander(f"All runs ({len(runs)})"):
        table(runs)


@st.fragment(run_every=2.0)
def panel(name):
    """One run, drawn anew every two seconds while the rest of the page stays."""
    shared.guard(lambda: one_run(name))


def one_run(name):
    """Progress, curve, map so far, what can be done."""
    try:
        run = find_run(name)
    except InputError:
        st.warning(f"Run {shared.plain(name)} was deleted.", icon=":material/delete:")
        return
    status, reason = run.state()
    before = st.session_state.get(f"status {name}")
    st.session_state[f"status {name}"] = status
    if before not in (None, status):
        st.rerun()  # the table below says so, too
    history = run.history()
    headline(run, status, reason, history)
    buttons(run, status)
    if status == "unreadable":
        return
    left, right = st.columns([2, 1], gap="medium")
    with left:
        forming(run, status)
    with right:
        curve(run, history)
    if log := run.log_tail(60):
        with st.expander("Log"):
            st.code(log, language=None, height=220)


def headline(run, status, reason, history):
    """What it is doing, how far, how long still; how it ended."""
    score = next((score for score in reversed(history.val_score) if score is not None), None)
    job_panel.headline(run, status, reason, f" · validation R² {score_text(score)}" if score is not None else "")
    if status == "finished":
        whole = next((row for row in run.info.get("scores") or [] if row["roi"] == "all"), None)
        score = f": mean R² {score_text(whole['score'])} on pictures it has not seen" if whole else ""
        st.success(f"Finished{score}." + (" Simulated subject." if run.info.get("simulated") else ""))


def buttons(run, status):
    """Stop, resume, open, delete: what makes sense now."""
    a, b, _ = st.columns([1, 1, 2], vertical_alignment="center")
    try:
        if status in ("queued", "running"):
            if a.button("Stop", key=f"stop-{run.name}", icon=":material/stop:", width="stretch",
                        help="Stops cleanly and keeps what was learnt; it can be resumed."):  # fmt: skip
                jobs.cancel(run)
                st.rerun(scope="fragment")
        elif run.resumable and a.button("Resume", key=f"resume-{run.name}", icon=":material/play_arrow:", width="stretch",
                                        help="Goes on from its last checkpoint."):  # fmt: skip
            jobs.resume(run)
            st.rerun(scope="fragment")
        if status == "finished":
            with a:
                shared.link("explore", "**Open in Explore**", ":material/explore:", run=run.name)
        if status not in ACTIVE:
            with b.popover("Delete", icon=":material/delete:", width="stretch"):
                st.write("Delete this run with everything in it?")
                if st.button("Yes, delete it", key=f"delete-{run.name}", type="primary"):
                    run.delete()
                    st.rerun()
    except InputError as error:
        st.error(shared.plain(error))


def forming(run, status):
    """The map so far."""
    from factortopy.encoder.selectors import Selectors
    from factortopy.view import brain_view, layer_map, whole_rois

    if run.settings["model"] != "factorized":
        st.caption(
            "This run is a baseline: it learns scores, and no layer map. Its scores open in Explore when it is done."
        )
        return
    preview = run.preview() if status != "finished" else None
    if status == "finished":
        encoder = shared.load_encoder(run)
        factor, hemi, vertex, rois = encoder.selectors(), encoder.hemi, encoder.vertex, encoder.rois
        density, mask, state = encoder.density, shared.painted(encoder), "finished"
    elif preview is None:
        with st.container(height=HEIGHT - 120, border=True):
            st.caption("The map appears here with the first steps of the fit.")
        return
    else:
        factor = Selectors(preview["space"], preview["layer"], preview["scale"], np.zeros((len(preview["layer"]), 0)))
        hemi, vertex, mask, density = (
            preview["hemi"].astype(int),
            preview["vertex"].astype(int),
            None,
            run.info.get("density") or "10k",
        )
        rois = {k[4:]: v.astype(bool) for k, v in preview.items() if k.startswith("roi.")}
        state = "so far, not yet scored"
    settings = run.settings
    made = layer_map(
        factor, hemi, vertex, painted=mask, density=density,
        context=f"{settings['backbone']} on {run.info.get('subject')} · {state}",
    )  # fmt: skip
    simulated = bool(run.info.get("simulated"))
    brain_view(
        [made], rois=whole_rois(rois, hemi, vertex, density), key=f"forming-{run.name}", height=HEIGHT,
        simulated=simulated, controls="compact", layout="surface", report=(), density=density,
    )  # fmt: skip


def curve(run, history):
    """Loss and validation score by step."""
    if not history.step:
        st.caption("Loss and validation score appear here with the first steps.")
        return
    if not any(loss is not None for loss in history.loss):
        return  # a ridge regression has no steps to draw
    figure = go.Figure()
    measured = [(s, v) for s, v in zip(history.step, history.val_score, strict=True) if v is not None]
    figure.add_scatter(x=history.step, y=history.loss, name="loss", line={"width": 1})
    if measured:
        figure.add_scatter(x=[s for s, _ in measured], y=[v for _, v in measured], name="validation R²", yaxis="y2",
                           mode="lines+markers")  # fmt: skip
    figure.update_layout(
        height=HEIGHT - 120, margin={"l": 0, "r": 0, "t": 10, "b": 0}, xaxis_title="step", yaxis={"title": "loss", "tickformat": ".2f"},
        yaxis2={"overlaying": "y", "side": "right", "title": "validation R²", "tickformat": ".3f", "tickmode": "auto", "nticks": 6,
                "showgrid": False},
        legend={"orientation": "h", "y": -0.15},
    )  # fmt: skip
    simulated = bool(run.info.get("simulated"))
    saving.chart(figure, f"curve {run.name}", simulated)


def table(runs):
    """All runs in one table."""
    import pandas as pd

    rows = []
    for run in runs.values():
        try:
            info = run.info
        except InputError:
            rows.append({"run": run.name, "status": shared.SAID["unreadable"]})
            continue
        whole = next((row for row in info.get("scores") or [] if row["roi"] == "all"), {})
        subject = info.get("subject")
        subject = f"{subject} (simulated)" if subject and info.get("simulated") else subject
        rows.append(
            {"run": run.name, "status": shared.SAID[run.status], "subject": subject, "network": info.get("backbone"),
             "seed": info.get("seed"), "mean R²": whole.get("score"), "minutes": (info.get("seconds") or 0) / 60}
        )  # fmt: skip
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, width="stretch",
        column_config={"mean R²": st.column_config.NumberColumn(format="%.3f"),
                       "minutes": st.column_config.NumberColumn(format="%.1f")},
    )  # fmt: skip


shared.guard(page)
