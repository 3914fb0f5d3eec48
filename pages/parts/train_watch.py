"""Train, what is training: progress, the curve, the map that forms, how it ended, all runs."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from factortopy.analysis.scores import painted
from factortopy.errors import InputError
from factortopy.runs.folder import ACTIVE
from factortopy.runs.run import find_run, list_runs
from factortopy.wording import score_text
from pages.parts import address, job_panel, saving
from pages.parts.guard import guard_part
from pages.parts.runs import load_encoder, network_of, overall, recipe_of
from pages.parts.words import STATUS_WORDS, plain

HEIGHT = 520
LEAST = {"loss": 0.02, "validation R²": 0.1}  # that an axis spans: one point or two must not be taken for a trend
CURVE = (
    "The curve is measured on the validation pictures and, by the recipe fast, on a sample of the vertices; the score on the test pictures "
    "and all vertices. R² of few pictures is uncertain, and mostly low."
)


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
    if name := address.asked("watch"):
        st.session_state["watched"] = name
    wanted = st.session_state.get("watched")
    if wanted is not None and wanted not in runs:
        st.warning(f"There is no run {plain(wanted)} here (any more); showing another one.", icon=":material/info:")
    start = names.index(wanted) if wanted in runs else names.index(active[0]) if active else 0
    name = st.selectbox("Run", names, index=start, key=f"watched run {wanted}", label_visibility="collapsed")
    panel(name)
    with st.expander(f"All runs ({len(runs)})"):
        table(runs)


@st.fragment(run_every=2.0)
def panel(name):
    """One run, drawn anew every two seconds while the rest of the page stays."""
    guard_part(lambda: one_run(name))


def one_run(name):
    """Progress, curve, map so far, what can be done."""
    try:
        run = find_run(name)
    except InputError:
        st.warning(f"Run {plain(name)} was deleted.", icon=":material/delete:")
        return
    status, reason = run.state()
    before = st.session_state.get(f"status {name}")
    st.session_state[f"status {name}"] = status
    if before not in (None, status):
        st.rerun()  # the table below says so, too
    history = run.history()
    headline(run, status, reason, history)
    if status != "unreadable":
        st.caption(asked_for(run.info))
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
        whole = overall(run.info)
        score, say = "", st.success
        if whole:
            pictures = f"{n:,} pictures" if (n := (run.info.get("pictures") or {}).get("test")) else "pictures"
            score = f": mean R² {score_text(whole['score'])} over {whole['vertices']:,} vertices, on {pictures} it has not seen"
            if not whole["score"] > 0:
                say, score = (
                    st.warning,
                    f"{score}: on average no better than each vertex's mean response, so its maps say little",
                )
        say(f"Finished{score}." + (" Simulated subject." if run.info.get("simulated") else ""))


def asked_for(info):
    """What the run is: subject, network, recipe."""
    simulated = " (simulated)" if info.get("simulated") else ""
    return f"{plain(info.get('subject'))}{simulated} · {network_of(info)} · {recipe_of(info)}"


def kept(info):
    """Which step a finished run kept, why it ended there, what its score is of; "" of a ridge."""
    step, done, steps = (info.get(name) for name in ("best_step", "steps_done", "steps"))
    if not step:
        return ""
    pictures = info.get("pictures") or {}
    few, many = (f"{pictures[part]:,} " if pictures.get(part) else "" for part in ("val", "test"))
    score = f" (R² {score_text(info['val_score'])})" if info.get("val_score") is not None else ""
    averaged = (info.get("recipe_settings") or {"ingredients": info.get("recipe") == "paper"}).get("ingredients")
    last = averaged == 0 and info.get("recipe") != "fast"  # as the paper's released code, which chooses none
    which = f"the last{', as measured' if score else ''}" if last else "the best"
    sentence = f"Kept: step {step:,}, {which} on the {few}validation pictures{score}"
    sentence += ", averaged with others where they gained. " if averaged else ". "
    if info.get("diverged"):
        sentence += f"It ended at step {done:,} of {steps:,}, where the loss was no number. "
    elif done and steps and done < steps:
        sentence += f"Stopped early, at step {done:,} of {steps:,}: nothing was gained any more. "
    return f"{sentence}The score above is of other pictures: the {many}test pictures."


def buttons(run, status):
    """Stop, resume, open, delete: what makes sense now."""
    a, b, _ = st.columns([1, 1, 2], vertical_alignment="center")
    try:
        job_panel.stop_or_resume(
            a, run, status, "Stops cleanly and keeps what was learnt; it can be resumed.", "Goes on from its last checkpoint.", "fragment"
        )  # fmt: skip
        if status == "finished":
            with a:
                address.link("explore", "**Open in Explore**", ":material/explore:", run=run.name)
        if status not in ACTIVE:
            job_panel.delete(b, run, "Delete this run with everything in it?")
    except InputError as error:
        st.error(plain(error))


def forming(run, status):
    """The map so far."""
    from factortopy.encoder.selectors import Selectors
    from factortopy.surfaces.coordinates import Vertices
    from factortopy.view import brain_view, layer_map

    if run.settings["model"] != "factorized":
        st.caption(
            "This run is a baseline: it learns scores, and no layer map. Its scores open in Explore when it is done."
        )
        return
    preview = run.preview() if status != "finished" else None
    if status == "finished":
        encoder = load_encoder(run)
        factor, vertices, rois = encoder.selectors(), encoder.vertices, encoder.rois
        mask, state = painted(encoder), "finished"
    elif preview is None:
        with st.container(height=HEIGHT - 120, border=True):
            st.caption("The map appears here with the first steps of the fit.")
        return
    else:
        factor = Selectors(preview["space"], preview["layer"], preview["scale"], np.zeros((len(preview["layer"]), 0)))
        vertices = Vertices(preview["hemi"], preview["vertex"], run.info.get("density") or "10k")
        rois = {k[4:]: v.astype(bool) for k, v in preview.items() if k.startswith("roi.")}
        mask, state = None, "so far, not yet scored"
    settings = run.settings
    brain_map = layer_map(
        factor, vertices, painted=mask,
        context=f"{settings['backbone']} on {run.info.get('subject')} · {state}",
    )  # fmt: skip
    simulated = bool(run.info.get("simulated"))
    brain_view(
        [brain_map], rois=vertices.roi_rows(rois), key=f"forming-{run.name}", height=HEIGHT,
        simulated=simulated, controls="compact", layout="surface", report=(), density=vertices.density,
    )  # fmt: skip


def curve(run, history):
    """Loss and validation score by step; of a finished run, the step that was kept."""
    if not history.step:
        st.caption("Loss and validation score appear here with the first steps.")
        return
    if not any(loss is not None for loss in history.loss):
        return  # a ridge regression has no steps to draw
    figure = go.Figure()
    measured = {s: v for s, v in zip(history.step, history.val_score, strict=True) if v is not None}
    figure.add_scatter(x=history.step, y=history.loss, name="loss", mode="lines", line={"width": 1})
    if measured:
        figure.add_scatter(
            x=list(measured), y=list(measured.values()), name="validation R²", yaxis="y2", mode="lines+markers"
        )
    info = run.info
    step = info.get("best_step") if info.get("finished") else None
    if step in measured:
        figure.add_scatter(x=[step], y=[measured[step]], name=f"kept: step {step:,}", yaxis="y2", mode="markers",
                           marker={"size": 13, "symbol": "circle-open", "line": {"width": 2}, "color": "#d9480f"})  # fmt: skip
    saving.chart(
        figure, f"curve {run.name}", bool(info.get("simulated")), HEIGHT - 120, xaxis_title="step", yaxis=axis("loss", history.loss),
        yaxis2=axis("validation R²", measured.values()) | {"overlaying": "y", "side": "right", "showgrid": False},
        legend={"orientation": "h", "y": -0.15},
    )  # fmt: skip
    if sentence := info.get("finished") and kept(info):
        st.caption(sentence, help=CURVE)


def axis(name, values):
    """An axis over the values with as many decimals as tell its numbers apart."""
    values = [value for value in values if value is not None]
    low, high = (min(values), max(values)) if values else (0, 1)
    middle, half = (low + high) / 2, max(0.53 * (high - low), LEAST[name] / 2)
    return {"title": name, "range": [middle - half, middle + half], "tickmode": "auto"}


def table(runs):
    """All runs in one table."""
    import pandas as pd

    rows = []
    for run in runs.values():
        try:
            info = run.info
        except InputError:
            rows.append({"run": run.name, "status": STATUS_WORDS["unreadable"]})
            continue
        whole = overall(info)
        subject = info.get("subject")
        subject = f"{subject} (simulated)" if subject and info.get("simulated") else subject
        rows.append(
            {"run": run.name, "status": STATUS_WORDS[run.status], "subject": subject, "network": info.get("backbone"),
             "seed": info.get("seed"), "mean R²": whole.get("score"), "minutes": (info.get("seconds") or 0) / 60},
        )  # fmt: skip
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, width="stretch",
        column_config={"mean R²": st.column_config.NumberColumn(format="%.3f"),
                       "minutes": st.column_config.NumberColumn(format="%.1f")},
    )  # fmt: skip
