"""Train: make a new encoder, watch its map form."""

import streamlit as st

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.weights_check import check_weights
from factortopy.jobs import queue
from factortopy.runs.run import list_runs
from factortopy.runs.settings import DEFAULTS, SETTING
from pages.parts import address, cost, subjects, train_watch
from pages.parts.guard import checked, guard
from pages.parts.network_names import OTHER, OTHER_LABEL, to_fetch, typed_name
from pages.parts.words import plain

NETWORK, FILE = "train network", "train weights"  # widgets
DENSITIES = {"164k": "all vertices", "41k": "a quarter of them", "10k": "a quick look"}
TRIALS = {
    "single": "each by itself", "mean": "the mean of a picture's repeats", "paper": "as in the paper: without the last sessions",
}  # fmt: skip
MODEL_NAMES = {
    "factorized": "factorized, topological", "classtoken": "baseline: class tokens", "patchtoken": "baseline: patch tokens",
    "gnetvit": "baseline: GNet masks", "ridge": "baseline: pooled ridge",
}  # fmt: skip


def page():
    queue.wake()
    waiting = st.empty()
    waiting.caption("Looking at subjects and networks …")
    with st.sidebar:
        form()
    waiting.empty()
    train_watch.watch()


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
        "Recipe", SETTING["recipe"].choices, disabled=not steps_matter,
        help="**fast**: channel weights are solved exactly at each step, so that 180 steps are enough. "
        "**paper**: the published recipe, up to 60,000 steps; an hour or more for the demo subject, many for a real one, without a GPU. "
        "**paper-released**: as the paper's released code, where that does otherwise (docs/paper_recipe.md); 11,250 steps. "
        "A pooled ridge is solved at once and has none.",
    )  # fmt: skip
    with more:
        density = None
        if subject and not subject.startswith("demo"):
            density = st.selectbox(
                "Surface", DENSITIES, format_func=DENSITIES.get, help="Coarser data stay as they are. A quick look takes "
                "the vertices that belong to the coarse surface too, a sixteenth of all.",
            )  # fmt: skip
        trials = None
        if subject and subjects.kinds_of_trials(subject, subject_id) > 1:
            trials = st.selectbox(
                "Trials", TRIALS, format_func=TRIALS.get, help="NSD showed most pictures three times."
            )
        seed = st.number_input(
            "Seed", SETTING["seed"].least, 10_000, DEFAULTS["seed"], help="Same seed, same machine, same result."
        )
        pictures = st.number_input(
            "Pictures", 0, 100_000, 0, step=100, help="How many pictures are learnt from; 0 takes all. Test pictures stay. "
            "Fewer are quicker and tell how much data is enough.",
        )  # fmt: skip
        least = SETTING["pictures"].least
        if 0 < pictures < least:
            st.error(f"Pictures: expected {least} or more, or 0 for all, found {pictures}.")
        steps = st.number_input(
            "Steps", 0, 100_000, 0, disabled=not steps_matter,
            help="Steps of the optimiser; 0 takes the recipe's own number (fast 180, paper 60,000, paper-released 11,250).",
        )  # fmt: skip
        pca = st.number_input(
            "Principal components a layer", 0, 10_000, 0, step=32, disabled=model == "ridge",
            help="Keeps so many numbers of each token on disk in place of all channels, learnt from training pictures; 0 keeps "
            "all. For large networks and many pictures: docs/networks.md.",
        )  # fmt: skip
        select = st.multiselect(
            "What each point learns", SETTING["select"].choices, DEFAULTS["select"], disabled=not factorized,
            help="A factor left out is averaged: all layers, all places, or local and global tokens alike.",
        )  # fmt: skip
        topology = st.checkbox(
            "Neighbours choose alike", DEFAULTS["topology"], disabled=not factorized,
            help="Off: every point of the cortex learns by itself.",
        )  # fmt: skip
        space_samples = st.number_input(
            "Places a point looks at", SETTING["space_samples"].least, 9, DEFAULTS["space_samples"],
            disabled=not factorized or "space" not in select,
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
            st.caption(f"Was trained already, as {plain(same.name)}; again gives the same.")
    if st.button(
        "Train", type="primary", width="stretch", disabled=not (subject and backbone), icon=":material/play_arrow:"
    ):
        run = checked(queue.submit, settings)
        if run is not None:
            st.session_state["watched"] = run.name
            st.rerun()


def choose_network():
    """Name and weights as ``load_backbone`` takes them, None where they cannot be had; the page's address names them."""
    from factortopy.backbones.loading import list_backbones

    entries = sorted(list_backbones(), key=lambda entry: not entry.available)  # those with weights first
    fetched = to_fetch(entries)
    state, asked = st.session_state, (address.text("network"), address.text("weights"))
    if NETWORK not in state or address.changed("network", "weights"):  # from another page, or a kept address
        state["network given"], state[FILE] = given(*asked)
        state[NETWORK] = state["network given"]
    options = [*(entry.name for entry in entries if entry.available), f"demo-vit{UNTRAINED}", OTHER, *fetched]
    options = options if state["network given"] in options else [state["network given"], *options]
    labels = fetched | {
        "demo-vit": "demo-vit: small transformer, learnt categories", "demo-mae": "demo-mae: the same, learnt to fill in",
        f"demo-vit{UNTRAINED}": "demo-vit with random weights", OTHER: OTHER_LABEL,
    }  # fmt: skip
    choice = name = st.selectbox(
        "Network", options, format_func=lambda k: labels.get(k, k), key=NETWORK, on_change=lambda: state.update({FILE: ""}),
        help="Whose layers are painted. The demo networks have seen rendered drawings only.",
    )  # fmt: skip
    if choice == OTHER:
        name = typed_name("vit_base_patch16_224.mae", "As on timm's model list; or open_clip/MODEL:TAG.")
    file = ""
    if choice == OTHER or state.get(FILE):
        file = st.text_input(
            "Weights file", key=FILE, placeholder="empty: as published", help="A .safetensors or PyTorch file, or a folder with "
            "one. Empty it to take the published weights. The word untrained: random weights.",
        ).strip()  # fmt: skip
    if given(*asked) != (name, file):
        asked = name or None, file or None
    address.write(network=asked[0], weights=asked[1])
    if choice in fetched and not file:
        entry = next(entry for entry in entries if entry.name == choice)
        st.caption(
            f"Its weights, about {entry.parameters * 4e-6:,.0f} MB, are not on this machine. The training fetches them first, from "
            f"{plain(entry.source)}. Without a connection: name a file on the Networks page."
        )
        st.page_link("pages/networks.py", label="Fetch them, or name a file", icon=":material/download:")
    if not name or file in ("", "untrained"):
        return name or None, file or None
    path = checked(check_weights, name, file)
    return (None, None) if path is None else (name, path)


def given(network, weights):
    """(choice of the box, weights file or "") that an address means."""
    if not network:
        return "demo-vit", ""
    if weights == "untrained":
        return network.removesuffix(UNTRAINED) + UNTRAINED, ""
    return network, weights or ""


guard(page)
