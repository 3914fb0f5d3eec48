"""Agreement of seeds on the page Compare: runs that differ in their seed alone, and where they choose the same layers (Fig. 13)."""

import streamlit as st

from factortopy.analysis.scores import painted
from factortopy.analysis.seeds import by_area, seed_agreement
from factortopy.runs.names import families, short_names
from pages.parts.brain import context_of
from pages.parts.compare_grid import brain
from pages.parts.compare_numbers import BY_CHANCE, NO_CHANCE, beside, floors, table

HEIGHT = 420


def of_names(encoders, infos):
    """{what the fits have in common: {seed: Encoder}} of the chosen runs that differ in their seed alone."""
    groups = [members for members in families(infos, "seed") if all(encoders[name].has_selectors for name in members)]
    labels = short_names({members[0]: infos[members[0]] | {"seed": 0} for members in groups})
    return {
        labels[members[0]]: {infos[name].get("seed") or 0: encoders[name] for name in members} for members in groups
    }


def section(seeds):
    """Maps and numbers of one family of seeds; how to get one where there is none."""
    st.subheader("Agreement of seeds", help="A fit starts from random numbers (its seed). What two fits of the same network to the same "
                 "subject disagree on was not in the data (paper, Fig. 13).")  # fmt: skip
    if not seeds:
        st.caption("Choose runs that differ in their seed alone, two or more, to see which places choose the same layer each time. "
                   "More come from:")  # fmt: skip
        left, right, _ = st.columns([1, 1, 4])
        left.page_link("pages/train.py", label="Train with a seed", icon=":material/model_training:")
        right.page_link("pages/sweep.py", label="Sweep over seeds", icon=":material/grid_view:")
        return
    name = next(iter(seeds))
    if len(seeds) > 1:
        name = st.selectbox("Fits of", list(seeds), key="seeds of", help="Chosen runs that differ in their seed alone.")
    fits = seeds[name]
    agreement, first = seed_agreement(fits), next(iter(fits.values()))
    left, right = st.columns([2, 1], gap="medium")
    with left:
        brain(maps(agreement, first, len(fits)), first, key=f"seeds-{name}", height=HEIGHT, layout="flat")
    with right:
        st.metric("Same best layer", f"{agreement.layer_equal:.0%}", help="Mean over places of the share of pairs of fits whose best layer "
                  "is the same.")  # fmt: skip
        by_chance = floors(list(fits.values()))

        def chance(key, form):
            return f" ({beside(by_chance[key], form)})" if key in by_chance else ""

        st.markdown(
            f"same best layer: **{agreement.layer_equal:.0%}**{chance('layer_equal', '.0%')}  \nsame or next layer: "
            f"**{agreement.layer_near:.0%}**{chance('layer_near', '.0%')}  \nmean layer, r: **{agreement.layer_r:.2f}**"
            f"{chance('layer_r', '.2f')}  \nseeds: **{', '.join(map(str, sorted(fits)))}**  \nplaces that all predict: "
            f"**{agreement.vertices:,}**", help=BY_CHANCE,
        )  # fmt: skip
        if not by_chance:
            st.caption(NO_CHANCE)
        table(by_area(agreement, first.rois), "seeds", fits)


def maps(agreement, encoder, fits):
    """BrainMaps of the agreement."""
    from factortopy.view import value_map

    shown = {"painted": painted(encoder), "context": f"{fits} seeds, {context_of(encoder)}"}
    equal = value_map(agreement.equal, encoder.vertices, name="Same layer", label="pairs of seeds with the same best layer", low=0.0,
                      high=1.0, what="How often seeds choose the same layer", ends=("never", "always"), **shown)  # fmt: skip
    spread = value_map(agreement.spread, encoder.vertices, name="Spread", label="spread of the mean layer, share of the depth", low=0.0,
                       what="How far the seeds' mean layers lie apart", palette="inferno", **shown)  # fmt: skip
    return [equal, spread]
