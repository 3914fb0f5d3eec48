"""Networks: which networks are there, which weights do I have, and what do their layers see in a picture?"""

import hashlib

import numpy as np
import streamlit as st

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.loading import list_backbones
from factortopy.backbones.lookup import UNSTATED, source_of
from factortopy.backbones.weights_check import check_weights
from pages.parts import address, task_panel
from pages.parts.background import tasks
from pages.parts.guard import checked, guard
from pages.parts.sample_pictures import samples
from pages.parts.words import plain, sentence

ROWS_HEIGHT = 350
HERE, AWAY = "here", "to fetch"
A_ROW = 6  # layers beside each other


def page():
    with st.spinner("Looking up the networks and which of their weights are here …"):
        from pages.parts import extraction

        entries = {entry.name: entry for entry in list_backbones()}
    left, right = st.columns([2, 1], gap="medium")
    with left:
        clicked = table(entries)
        entry = by_name() or clicked
    with right:
        chosen = facts(entry)
    if chosen is None:
        return  # a file that cannot be read, as is said where it was typed
    name, weights = chosen
    if weights is not None or entry.available or name.endswith(UNTRAINED):
        extraction.offer(name, weights, entry.layers, entry.width)
    tokens(entry, name, weights)


# ---------------------------------------------------------------- which networks


def by_name():
    """A network of timm or OpenCLIP whose name is typed; None while nothing is typed or nothing is called that."""
    typed = st.text_input(
        "Or any other network by its name", key="typed network", placeholder="timm/vit_tiny_patch16_224 or open_clip/ViT-B-32:openai",
        help="As timm's and OpenCLIP's own lists have it. It is looked up on this machine; nothing is fetched.",
    ).strip()  # fmt: skip
    if not typed:
        return None
    with st.spinner(f"Looking up {plain(typed)}; the first time its library is loaded …"):
        entry = checked(looked_up, typed)
    if entry is None:
        return None
    st.caption(f"{plain(entry.name)} is shown on the right. Click a row of the table to leave it.")
    return entry


@st.cache_data(ttl=60, show_spinner=False)
def looked_up(name):
    """The Entry of any network's name; its weights may arrive meanwhile."""
    from factortopy.backbones.lookup import look_up

    return look_up(name)


def table(entries):
    """The registry, filtered; returns the chosen entry."""
    import pandas as pd

    with st.sidebar:
        kinds = sorted({kind_of(entry) for entry in entries.values()})
        kind = st.selectbox("Trained for", ["anything", *kinds], key="objective")
        library = st.selectbox("Library", ["any", *sorted({e.library for e in entries.values()})], key="library")
        here = st.toggle("Weights here", key="here", help="Only networks whose weights are on this machine.")
    shown = [
        entry for entry in entries.values()
        if (kind == "anything" or kind_of(entry) == kind)
        and (library == "any" or entry.library == library) and (entry.available or not here)
    ]  # fmt: skip
    if not shown:
        st.info("No network is like that. Show those whose weights are to be fetched, too, or take another library.")
        return entries["demo-vit"]
    rows = pd.DataFrame(
        {
            "Network": [e.name for e in shown],
            "Weights": [HERE if e.available else AWAY for e in shown],
            "Layers": [e.layers for e in shown],
            "Width": [e.width for e in shown],
            "Million parameters": [e.parameters / 1e6 for e in shown],
            "Trained for": [kind_of(e) for e in shown],
        }
    )
    chosen = st.dataframe(
        rows, hide_index=True, width="stretch", height=ROWS_HEIGHT, on_select=from_table, selection_mode="single-row",
        key=f"rows {kind} {library} {here}",
        column_config={
            "Million parameters": st.column_config.NumberColumn("Millions", format="%.1f", help="Parameters of the part that is used."),
            "Network": st.column_config.TextColumn(width=120), "Layers": st.column_config.NumberColumn(width=60),
            "Width": st.column_config.NumberColumn(help="Channels of the widest layer."),
        },
    ).selection.rows  # fmt: skip
    st.caption("Click a row. Which one to choose, and a module of your own: docs/networks.md.")
    return shown[chosen[0]] if chosen else shown[0]


def from_table():
    """A click on a row: a name that was typed counts no longer."""
    st.session_state["typed network"] = ""


def kind_of(entry):
    """The objective without its details."""
    return entry.objective.split(":")[0].split(" of ")[0]


def facts(entry):
    """One network: what it is, its weights; (name, weights) as ``load_backbone`` takes them, None where a file cannot be read."""
    st.subheader(plain(entry.name))
    training = (
        f"**Trained for** {plain(entry.objective)}  \n**On** {plain(entry.training_data)}  \n"
        if entry.training_data != UNSTATED else f"**Trained for** {entry.library} does not say; see the page of its weights  \n"
    )  # fmt: skip
    st.markdown(
        f"{training}"
        f"**Layers** {entry.layers}, up to {entry.width:,} channels  \n"
        f"**Pictures** {entry.input_size} × {entry.input_size} pixels, patches of {entry.patch}  \n"
        f"**Parameters** {entry.parameters / 1e6:,.1f} million  \n**Licence** {plain(entry.licence)}  \n"
        f"**From** {plain(entry.source)} ({entry.library}{' ' + plain(entry.model) if entry.model else ''})"
    )
    path = st.text_input(
        "Weights file or folder", key=f"path {entry.name}", placeholder="empty: as published",
        help="A .safetensors or PyTorch file (nothing in it is run), or a folder with one.",
    ).strip()  # fmt: skip
    random = st.toggle("Random weights", key=f"random {entry.name}", help="Called untrained wherever it appears.")
    if path and not random:
        path = checked(check_weights, entry.name, path)
        if path is None:
            return None
    weights = "untrained" if random else path or None
    if weights is None and not entry.available:
        fetch(entry)
    address.link("train", "Train an encoder with it", ":material/model_training:", network=entry.name, weights=weights)
    st.page_link("pages/fine_tune.py", label="Fine-tune a network on labelled pictures", icon=":material/tune:")
    return entry.name + (UNTRAINED if random else ""), None if random else path or None


def fetch(entry):
    """Get the published weights, with progress."""
    if source_of(entry) is None:
        st.caption("No weights of it are published: name a file, or look at it with random weights.")
        return
    key = f"fetch {entry.name}"
    task = tasks.find(key)
    if task is not None and task.active:
        task_panel.watch(key, megabytes)
        return
    if task is not None and task.state == "failed":
        st.error(plain(task.error))
    elif task is not None and task.state == "finished":
        tasks.forget(key)
        looked_up.clear()
        st.rerun()
    if st.button(f"Fetch the weights of {entry.name}", icon=":material/download:", width="stretch",
                 help=f"From {entry.source}."):  # fmt: skip
        tasks.forget(key)
        tasks.start(key, lambda task: source_of(entry).fetch(entry.name, task.report))
        st.rerun()


def megabytes(task):
    """How much of the weights is here."""
    far = f": {task.done / 1e6:,.0f} of {task.total / 1e6:,.0f} MB{task_panel.time_left(task)}" if task.total else ""
    return f"Fetching the weights{far}"


# ---------------------------------------------------------------- what its layers see


def tokens(entry, name, weights):
    """One picture's tokens, layer by layer."""
    st.subheader("What its layers tell apart in a picture")
    if weights is None and not entry.available and not name.endswith(UNTRAINED):
        st.markdown(
            "Its weights are not on this machine yet: fetch them, name a file, or look at the network with random weights."
        )
        return
    left, right = st.columns([1, 5], gap="medium")
    with left:
        pictures = offered()
        chosen = st.selectbox("Picture", list(pictures), key="picture")
        st.image(pictures[chosen], width="stretch")
    seen = hashlib.blake2b(
        pictures[chosen].tobytes(), digest_size=16
    ).hexdigest()  # another visitor's file may bear the same name
    key = f"tokens {name} {weights} {seen}"
    task = tasks.find(key)
    with right:
        if task is None or task.state == "stopped":
            st.markdown(
                f"The network is read ({entry.parameters / 1e6:,.0f} million parameters) and shown this picture; nothing is "
                "kept on disk."
            )
            if st.button("Show its layers", type="primary", icon=":material/layers:"):
                tasks.start(key, lambda task: look(name, weights, pictures[chosen]))
                st.rerun()
        elif task.active:
            task_panel.watch(key, lambda task: "Reading the network and showing it the picture")
        elif task.state == "failed":
            st.error(plain(task.error))
            if st.button("Try again"):
                tasks.forget(key)
                st.rerun()
        else:
            layers(*task.result)


def offered():
    """{name: picture}: the visitor's own first."""
    from factortopy.pictures.reading import ENDINGS, read_picture

    upload = st.file_uploader("Your picture", type=[ending[1:] for ending in ENDINGS], key="own picture")
    if upload is None:
        return samples()
    picture = checked(lambda: read_picture(upload.getvalue(), name=upload.name))
    own = {} if picture is None else {plain(picture.name): picture.pixels}
    return own | samples()


def look(name, weights, picture):
    """(colours, share of variance, layer names, sentences on cost and on its weights) of one picture; the work behind the button."""
    from factortopy.analysis.token_colours import token_colours
    from factortopy.backbones.loading import load_backbone
    from factortopy.features.estimate import plan
    from factortopy.features.extraction import compute

    backbone = load_backbone(name, weights)
    features = compute(backbone, picture, grid=None)
    others = [compute(backbone, one, grid=None).local for one in list(samples().values())[:2]]
    colours, share = token_colours(
        [tokens[0] for tokens in features.local], [[tokens[0] for tokens in one] for one in others]
    )
    return (
        name,
        colours,
        share,
        list(features.layer_names),
        plan(backbone, 10_000, seconds=2.0).sentence(),
        list(backbone.notices),
    )


def layers(name, colours, share, names, cost, notices):
    """The pictures of the layers, and what extracting them would cost."""
    for start in range(0, len(colours), A_ROW):
        for column, i in zip(st.columns(A_ROW), range(start, min(start + A_ROW, len(colours))), strict=False):
            large = np.kron(colours[i], np.ones((max(1, 112 // len(colours[i])),) * 2 + (1,), np.uint8))
            column.image(large, caption=f"{names[i]} · {100 * share[i]:.0f} %", width="stretch")
    st.caption(
        f"{name}. Alike colours, alike tokens: red, green and blue are each layer's first three principal components over this picture, "
        "full colour as in this picture or two sample ones; the figure is their share of its variance. "
        f"Extraction on this machine: {plain(cost)}."
    )
    for notice in notices:
        st.info(sentence(notice), icon=":material/info:")


guard(page)
