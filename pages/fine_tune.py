"""Fine-tune: train a network on labelled pictures, to see what that does to it on the brain."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from factortopy.backbones.finetuned import DESCRIPTION, PREFIX, WEIGHTS, list_finetuned
from factortopy.errors import InputError
from factortopy.finetune.recipe import DEFAULTS
from factortopy.jobs import queue
from factortopy.jobs.job import Job, list_jobs
from factortopy.runs.folder import ACTIVE
from factortopy.storage.allowed_folders import typed
from pages.parts import address, job_panel, saving
from pages.parts.guard import checked, guard, guard_part
from pages.parts.network_names import OTHER, OTHER_LABEL, to_fetch, typed_name
from pages.parts.runs import finished_runs
from pages.parts.words import plain

TRY = 300  # steps of a first try
DRAWN, OWN = "Drawings by FactorTopy: a first try", "A folder on this machine"


def page():
    queue.wake()
    with st.sidebar:
        settings = form()
    jobs = [job for job in list_jobs() if job.kind == "finetune"]
    if not jobs:
        welcome(settings)
        return
    pictures(settings)
    names = [job.name for job in jobs]
    if name := address.asked("tuned"):
        st.session_state["tuned"] = name
    wanted = st.session_state.get("tuned")
    name = st.selectbox(
        "Fine-tuning", names, index=names.index(wanted) if wanted in names else 0, key=f"tuning {wanted}",
        format_func=lambda n: title_of(jobs[names.index(n)]),
        label_visibility="collapsed" if len(names) == 1 else "visible", help="All that were fine-tuned here, the newest first.",
    )  # fmt: skip
    panel(name)


def title_of(job):
    try:
        return str(job.info.get("title") or job.name)
    except InputError:
        return job.name


# ---------------------------------------------------------------- what is asked


def form():
    """Network, pictures, head; the settings that the button would send."""
    st.subheader("Fine-tune a network")
    backbone, layers = network()
    source = st.radio(
        "Pictures", (DRAWN, OWN), help="Labelled pictures, held out in part to measure how often it is right."
    )
    images = "drawings"
    if source == OWN:
        images = st.text_input(
            "Folder of pictures by class", placeholder="/data/EuroSAT",
            help="A folder for each class, as EuroSAT is released; or pictures with a CSV table of labels, as ISIC is.",
        ).strip()  # fmt: skip
        images = images if there(images) else ""
    last = f"the last ({layers})" if layers else "the last"
    layer = st.selectbox(
        "Layer that the head reads", [None, *range(1, (layers or 0) + 1)], format_func=lambda k: last if k is None else f"layer {k}",
        help="A linear classifier on this layer's class token, or on the mean of its tokens. Later layers are not trained.",
    )  # fmt: skip
    with st.expander("Recipe"):
        steps = st.number_input(
            "Steps", 1, 100_000, TRY if source == DRAWN else DEFAULTS["steps"],
            help="The paper's recipe: 3,000 steps of 4 pictures, AdamW. A first try on drawings needs fewer.",
        )  # fmt: skip
        per_class = st.number_input(
            "Pictures a class", 1, 10_000, DEFAULTS["per_class"], help="To train on; others are held out."
        )
        rate = st.number_input(
            "Learning rate", 1e-7, 1.0, DEFAULTS["lr"], step=1e-5, format="%.1e", help="Of AdamW; weight decay is 0.01."
        )
        seed = st.number_input("Seed", 0, 10_000, 0, help="Same seed, same machine, same result.")
    settings = {
        "backbone": backbone, "images": images or None, "layer": layer, "steps": int(steps), "per_class": int(per_class), "lr": float(rate),
        "seed": int(seed), "name": "drawings" if source == DRAWN else None,
    }  # fmt: skip
    cost(backbone, int(steps))
    if st.button(
        "Fine-tune", type="primary", width="stretch", disabled=not (backbone and images), icon=":material/play_arrow:"
    ):
        start(settings)
    return settings


def start(settings):
    """Send it to the queue."""
    job = checked(queue.submit_job, "finetune", {key: value for key, value in settings.items() if value is not None})
    if job is not None:
        st.session_state["tuned"] = job.name
        st.rerun()


def network():
    """(name, number of layers or None) of the network to begin with."""
    from factortopy.backbones.loading import list_backbones
    from factortopy.finetune.network import why_not

    entries = {e.name: e for e in list_backbones() if not why_not(e)}
    here = [e.name for e in entries.values() if e.available]
    own = [PREFIX + name for name in list_finetuned()]
    fetched = to_fetch(entries.values())
    labels = fetched | {OTHER: OTHER_LABEL}
    name = st.selectbox(
        "Network", [*here, *own, OTHER, *fetched], format_func=lambda name: labels.get(name, name),
        help="Its whole weights are trained; what it was stays as it is. Stable Diffusion cannot be fine-tuned this way.",
    )  # fmt: skip
    if name == OTHER:
        return typed_name("vit_small_patch16_224.augreg_in1k", "Or open_clip/MODEL:TAG.") or None, None
    base = (list_finetuned().get(name.removeprefix(PREFIX)) or {}).get("base", name)
    return name, entries[base].layers if base in entries else None


def cost(backbone, steps):
    """What it will take, where that was measured (docs/finetune.md)."""
    if backbone and backbone.startswith("demo"):
        st.caption(
            f"About {max(1, round(steps * SECONDS_A_STEP / 60)):,} min on two quiet cores without a GPU. It goes on when you leave "
            "the page."
        )
    elif backbone:
        st.caption(
            "Without a GPU a network of the size of ViT-B takes seconds a step. It goes on when you leave the page."
        )


SECONDS_A_STEP = 0.35
BOTH = "Needs an encoder of this network and one of the network as it was, of the same subject: train them first."


# ---------------------------------------------------------------- what is in the folder


@st.cache_data(ttl=60, show_spinner="Looking through the folder")
def looked(path):
    """(counts, problems, form, name) of a folder of labelled pictures."""
    from factortopy.finetune.folder import read_folder

    folder = read_folder(path)
    return folder.counts(), folder.problems, folder.form, folder.name, folder.simulated


def there(images):
    """Whether the folder that was typed can be trained on; what is wrong stands below the field."""
    return bool(images and checked(lambda: looked(str(typed(images, "pictures")))))


def pictures(settings):
    """What lies in the folder that was typed."""
    if settings["images"] in (None, "drawings"):
        return
    with st.expander("What is in the folder", expanded=True):
        counts, problems, form, name, simulated = looked(str(typed(settings["images"], "pictures")))
        drawn = ", rendered by FactorTopy" if simulated else ""
        st.markdown(
            f"**{plain(name)}**: {len(counts)} classes, {sum(counts.values()):,} pictures{drawn}; {plain(form)}."
        )
        few = [n for n, k in counts.items() if k <= settings["per_class"]]
        if few:
            st.warning(
                f"{len(few)} classes have {settings['per_class']} pictures or fewer ({plain(', '.join(few[:4]))}): a fifth of them "
                "is held out, the rest trained on.", icon=":material/info:",
            )  # fmt: skip
        shown = dict(sorted(counts.items(), key=lambda item: -item[1])[:40])
        figure = go.Figure(go.Bar(x=list(shown), y=list(shown.values())))
        saving.chart(figure, "pictures by class", simulated, 190, yaxis_title="pictures")
        for line in problems[:10]:
            st.caption(plain(line))


def welcome(settings):
    """Nothing was fine-tuned yet: what it is for, and the first click."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Does a network that learns a new task still look like a brain?")
        st.markdown(
            "1. Choose a network and labelled pictures on the left, and click **Fine-tune**. The drawings need nothing else.\n"
            "2. The whole network is trained to name the classes; how often it is right is measured on pictures it was not trained on, "
            "before and after.\n"
            "3. Fit an encoder with the new network, and compare the two brains: which layers moved, where, and what score was lost.\n\n"
            "You can leave this page, or stop and resume: nothing that was learnt is lost."
        )
    with right:
        pictures(settings)


# ---------------------------------------------------------------- one fine-tuning


@st.fragment(run_every=2.0)
def panel(name):
    """One of them, drawn anew every two seconds while the rest of the page stays."""
    guard_part(lambda: one(name))


def one(name):
    from factortopy.storage.home import jobs_dir

    job = Job(jobs_dir() / name)
    status, reason = job.state()
    before = st.session_state.get(f"tuning status {name}")
    st.session_state[f"tuning status {name}"] = status
    if before in ACTIVE and status == "finished":
        st.rerun()  # the encoders that can be compared
    headline(job, status, reason)
    buttons(job, status)
    if status in ("deleted", "unreadable"):
        return
    left, right = st.columns(2, gap="medium")
    with left:
        curve(job)
    with right:
        result(job, status)
    if log := job.log_tail(60):
        with st.expander("Log, with what was left out"):
            st.code(log, language=None, height=200)


def headline(job, status, reason):
    """What it is doing, how far, how long still; how it ended."""
    job_panel.headline(job, status, reason)
    if status == "finished":
        outcome = job.info.get("result") or {}
        drawn = " Rendered drawings, not photographs." if outcome.get("simulated") else ""
        right = (
            f": {outcome['accuracy']:.0%} of the held-out pictures are named rightly, {outcome['before']:.0%} before it, "
            f"{outcome['chance']:.0%} by chance"
            if "accuracy" in outcome
            else ""
        )
        st.success(f"Finished{right}.{drawn}")


def buttons(job, status):
    """Stop, resume, train, compare, delete: what makes sense now."""
    a, b, c = st.columns(3, vertical_alignment="center")
    try:
        job_panel.stop_or_resume(a, job, status, "Keeps what was learnt; it can be resumed.")
        if status == "finished":
            with a:
                address.link(
                    "train", "Train an encoder with it", ":material/model_training:", network=PREFIX + job.name
                )
            both = before_and_after(job)
            with b:
                address.link("compare", "Compare before and after", ":material/compare:", disabled=not both, help=BOTH,
                            runs=",".join(both or ()))  # fmt: skip
        if status not in (*ACTIVE, "deleted"):
            job_panel.delete(
                c,
                job,
                "Delete this network? Encoders that were fitted with it stay, but can no longer look at new pictures.",
            )
    except InputError as error:
        st.error(plain(error))


def before_and_after(job):
    """Names of a finished run of the network as it was and one of the new network, of one subject; () without."""
    from factortopy.backbones.finetuned import described

    description = described(job.path / WEIGHTS) or {}
    runs = finished_runs()
    after = {
        run.info.get("subject"): name for name, run in runs.items() if run.info.get("backbone") == PREFIX + job.name
    }
    for name, run in runs.items():
        info = run.info
        if (
            info.get("backbone") == description.get("began_as")
            and not info.get("weights")
            and info.get("subject") in after
        ):
            return name, after[info["subject"]]
    return ()


def curve(job):
    """Loss and accuracy by step."""
    from factortopy.finetune.checkpoint import History

    rows = History(job.path / "history.csv").read()
    if not rows["step"]:
        with st.container(height=300, border=True):
            st.caption("Loss and accuracy appear here with the first steps.")
        return
    figure, width = go.Figure(), max(1, len(rows["step"]) // 20)
    smooth = {
        key: np.convolve(rows[key], np.ones(width) / width, "valid") for key in ("loss", "accuracy")
    }  # four pictures a step are noisy
    at = rows["step"][width - 1 :]
    figure.add_scatter(x=at, y=smooth["loss"], name="loss", line={"width": 1.5})
    figure.add_scatter(x=at, y=smooth["accuracy"], name="accuracy on its own pictures", yaxis="y2", line={"width": 1.5})
    held = [(s, v) for s, v in zip(rows["step"], rows["held_out"], strict=True) if v is not None]
    figure.add_scatter(
        x=[s for s, _ in held], y=[v for _, v in held], name="on held-out pictures (a part)", yaxis="y2",
        mode="lines+markers",
    )  # fmt: skip
    figure.update_layout(
        height=340, margin={"l": 0, "r": 0, "t": 70, "b": 0}, xaxis_title="step", yaxis={"title": "loss", "rangemode": "tozero"},
        yaxis2={"overlaying": "y", "side": "right", "title": "accuracy", "tickformat": ".0%", "range": [0, 1.02], "dtick": 0.2, "tick0": 0},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip
    saving.chart(figure, f"tuning curve {job.name}", bool((job.info.get("result") or {}).get("simulated")))


def result(job, status):
    """Accuracy before and after, by class."""
    from factortopy.storage.files import read_json

    if status != "finished" or not (job.path / DESCRIPTION).is_file():
        if (job.path / "before.json").is_file():
            frozen = read_json(job.path / "before.json", "fine-tuning")
            st.markdown(
                f"**Before** a linear classifier on the frozen network names {frozen['all']:.0%} of the held-out pictures rightly."
            )
        return
    description = read_json(job.path / DESCRIPTION, "fine-tuning")
    before, after = description["accuracy"]["before"], description["accuracy"]["after"]
    st.markdown(
        f"**{before['all']:.1%} → {after['all']:.1%}** of {description['held_out_pictures']:,} held-out pictures",
        help="Before: a linear classifier on the frozen network. After: the network with its own head.",
    )
    rows = [{"class": "all", "before": before["all"], "after": after["all"]}]
    rows += [
        {"class": name, "before": before["classes"][name], "after": share} for name, share in after["classes"].items()
    ]
    saving.table(
        rows, f"classes {job.name}", bool(description.get("simulated")), percents=("before", "after"), height=250
    )
    st.caption(
        f"{plain(description['base'])} on {plain(description['data'])}, head on layer {description['layer']} of "
        f"{description['layers']}. Everywhere by name: `{PREFIX}{job.name}`"
    )
    with open(job.path / WEIGHTS, "rb") as file:
        st.download_button("Save the weights", file, f"{job.name}.safetensors", key=f"save {job.name}", icon=":material/download:",
                           help="Load them with load_backbone(…, weights=…) or in Networks.")  # fmt: skip


guard(page)
