"""Compare: what did the objective, the size, the data or the fine-tuning of a network change?"""

import streamlit as st

from factortopy.analysis.averaging import average, on_shared_vertices, without_channels
from factortopy.analysis.measures import MEASURES, R2, available
from factortopy.runs.names import families, full_name, short_names
from pages.parts import (
    address,
    compare_grid,
    compare_numbers,
    compare_save,
    compare_seeds,
    compare_slopes,
    compare_two,
    report_panel,
)
from pages.parts.brain import chosen_vertex
from pages.parts.guard import guard
from pages.parts.runs import finished_runs, invite_to_train, version
from pages.parts.words import plain

FIRST = ("demo-vit_demo-1", "demo-mae_demo-1", "demo-vit-untrained_demo-1")  # one architecture, three objectives


def page():
    runs = finished_runs()
    if not runs:
        invite_to_train()
        return
    linked(runs)
    infos = {name: run.info for name, run in runs.items()}
    labels = short_names(infos)
    names = st.multiselect(
        "Networks", list(runs), format_func=labels.get, key="compared", placeholder="Choose fitted networks",
        help="Fitted encoders, as many as you like. Names say what tells runs apart; type to search.",
    )  # fmt: skip
    st.session_state["compared kept"] = names
    if not names:
        st.info("Choose at least one fitted network above. More come from **Train**.")
        st.page_link("pages/train.py", label="Train an encoder", icon=":material/model_training:")
        return
    with st.spinner("Reading the runs", show_time=True):
        encoders = on_shared_vertices({name: light(*version(runs[name])) for name in names})
    chosen = {name: infos[name] for name in names}
    with st.sidebar:
        measure = choose_score(encoders)
        averaged = choose_average(chosen)
        columns = compare_grid.choose_columns()
        aside = st.container()
        st.caption("All views turn together and share their colours: brightness and scales mean the same in each.")
    dropped = max(light(*version(runs[name])).n_vertices for name in names) - min(
        e.n_vertices for e in encoders.values()
    )
    seeds = compare_seeds.of_names(encoders, chosen)
    single, members = encoders, {name: [name] for name in names}
    if averaged:
        members |= {first: [first, *rest] for first, *rest in families(chosen, "subject")}
        encoders, chosen = averages(encoders, chosen)
    short = {name: word for name, word in short_names(infos | chosen).items() if name in chosen}
    hover = {short[name]: full_name(name, info) for name, info in chosen.items()}
    encoders = {short[name]: encoder for name, encoder in encoders.items()}
    kind, layer = compare_grid.choose_map(encoders, aside)
    keep(names, kind, measure)
    scale = compare_grid.Scale.of(encoders, kind, layer, measure)
    shown = compare_grid.grid(encoders, scale, columns, hover)
    compare_save.control([(name, *scale.drawn(name, e)) for name, e in shown.items()])
    if dropped:
        st.caption(
            f"The subjects' vertices differ: all is shown at the {next(iter(encoders.values())).n_vertices:,} that every chosen one has."
        )
    levels = sections(encoders, scale, seeds, {word: name for name, word in short.items()}, members, single)
    report_panel.show(names, levels=levels)


def sections(encoders, scale, seeds, runs, members, single):
    """Everything below the maps: two of them, seeds, numbers; returns the areas' levels or None.

    runs : {short name: run}; members : {run: runs that are averaged in its place}; single : {run: Encoder}
    """
    factorized = {name: e for name, e in encoders.items() if e.has_selectors}
    tuned = compare_two.tuned_pairs(encoders)
    compare_numbers.place(encoders, scale.measure)
    if len(factorized) > 1:
        pair = next(((before, after) for after, before in tuned.items() if {before, after} <= factorized.keys()), ())
        compare_two.two(factorized, scale, pair, runs)
    if tuned:
        compare_two.tuning(encoders, tuned)
    compare_seeds.section(seeds)
    scored = {name: e for name, e in encoders.items() if scale.measure in available(e)}
    if scored:
        compare_numbers.scores(scored, scale.measure)
    levels = None
    if factorized:
        behind = {name: members[runs[name]] for name in factorized}
        levels = compare_numbers.hierarchy(factorized, compare_slopes.reader(factorized, behind, single))
        compare_slopes.button([of[0] for of in behind.values() if len(of) == 1])
        compare_numbers.layers(factorized)
    compare_numbers.time_steps(encoders)
    return levels


@st.cache_resource(max_entries=128, show_spinner=False)
def light(path, stamp):
    """What is compared of the run of a ``version``; without channels, so that many take little memory."""
    from factortopy.encoder import Encoder

    return without_channels(Encoder.load(path))


# ---------------------------------------------------------------- the address


def linked(runs):
    """What the address asks for, once: ?runs=A,B&map=Layer&score=Pearson r; else what was chosen last. docs/compare.md has all words."""
    asked = [name for name in (address.text("runs") or "").split(",") if name]
    here = [name for name in asked if name in runs]
    if len(here) < len(asked):
        gone = ", ".join(plain(name[:60]) for name in asked if name not in runs)
        st.warning(f"The address asks for runs that are not here, or not finished: {gone}.")
    kept = [name for name in st.session_state.get("compared kept", ()) if name in runs]
    if address.asked("runs") and here:
        st.session_state["compared"] = here
    st.session_state.setdefault(
        "compared", kept or [name for name in FIRST if name in runs] or list(runs)[: len(FIRST)]
    )
    address.restore("map", "compared map", compare_grid.MAPS, "Layer")
    address.restore("score", "compared score", MEASURES, R2)


def keep(names, kind, measure):
    """The address says what is shown, so that it can be sent."""
    address.write(runs=",".join(names), vertex=chosen_vertex())
    address.keep("map", "compared map", kind)
    address.keep("score", "compared score", measure, R2)


# ---------------------------------------------------------------- choices


def choose_score(encoders):
    """Which score maps, charts and tables show; those that no chosen run knows are not offered, and why."""
    offered = [name for name in MEASURES if any(name in available(e) for e in encoders.values())] or [R2]
    if st.session_state.get("compared score") not in offered:
        st.session_state["compared score"] = offered[0]
    measure = st.selectbox(
        "Score", offered, key="compared score",
        help="What the map Brain score, the charts and the tables show. " + " ".join(f"**{n}**: {m.words}" for n, m in MEASURES.items()),
    )  # fmt: skip
    missing = [name for name in MEASURES if name not in offered]
    if missing:
        st.caption(
            f"Not known for these runs: {', '.join(missing)}.",
            help="r is kept with a run when it is trained; of an older run, train it again to have it. What is divided by "
            "the noise ceiling needs a data set that has one.",
        )
    return measure


def choose_average(infos):
    """Whether several subjects of a network are shown as their mean; asked where runs are chosen that differ in it alone."""
    return bool(families(infos, "subject")) and st.toggle(
        "Average over subjects", key="compared average",
        help="Runs of one network on several subjects become one map, their mean at each vertex of the common surface (fsaverage).",
    )  # fmt: skip


def averages(encoders, infos):
    """({name: Encoder}, {name: info}) with each family of subjects as one, under the name of its first run."""
    kept, averaged = dict(infos), dict(encoders)
    for members in families(infos, "subject"):
        first, *rest = members
        averaged[first] = average([encoders[name] for name in members])
        kept[first] = infos[first] | {"subject": f"mean of {len(members)} subjects"}
        for name in rest:
            del averaged[name], kept[name]
    return averaged, kept


guard(page)
