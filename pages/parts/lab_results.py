"""What the lab shows: the simulated brain beside the measured one, and an experiment's numbers."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.parts import saving
from pages.parts.brain import (
    chosen_index,
    describe_vertex,
    draw_brain,
    maps_at_rest,
    rows_of,
    say_unknown_place,
    shown_of,
)
from pages.parts.words import plain

REFERENCES = {"measured": "measured", "atlas": "atlas", "selectors": "own selector"}
SCORES = {
    "circular_r": "polar angle, circular r", "angle_error": "polar angle, median error °",
    "eccentricity_r": "eccentricity, Spearman", "size_r": "size, Spearman", "same_sign": "field sign, share equal",
}  # fmt: skip
TURNED = (
    "Chance up to: smooth maps are alike by chance. The map is turned on the sphere of the cortex, 200 times, both hemispheres as mirror "
    "images; 5 % of the turns agree better than this (the strictest of the columns). p: the share of turns that agree as well (the largest "
    "of the columns). Only places that stay within the mapped area are compared, a fifth of it or more. Empty: nothing could be turned."
)
SWAPPED = "This result is from before maps were turned: its chance swaps single places, and smooth unrelated maps pass it. Run it again."
MEASURES = {
    "similarity": "similarity to the intact",
    "dprime": "d′ of the contrast",
    "change": "change of the predicted response",
}
AXES = {"similarity": "similarity, r", "dprime": "d′", "change": "change, SD"}
SD = "SD: predicted responses are counted in standard deviations of the measured ones over pictures."


# ---------------------------------------------------------------- the brains


def brains(result, encoder, experiment, height, beside=None, running=False):
    """The result's maps, and what they are compared with ``beside`` them; without a result what is known already."""
    from factortopy.view.lab_maps import result_maps

    degrees = float(encoder.info.get("image_degrees") or 8.4)
    common = shown_of(encoder)
    if result is None:
        draw_brain(before(encoder, experiment, degrees, common), encoder, key=f"lab-{experiment}-none", height=height,
                     group="lab")  # fmt: skip
        st.caption(
            "At work: until it is done, shown is what is known without the experiment. How far it is stands on the right."
            if running
            else "Not run yet: shown is what is known without the experiment. **Run** is on the right."
        )
        return
    maps = result_maps(result.maps, encoder.vertices, image_degrees=degrees, scale=scale_of(encoder), **common)
    if not maps:
        st.info("No place of the brain gave a result: nothing was above chance.")
        return
    if not beside:
        draw_brain(maps, encoder, key=f"lab-{experiment}", height=height, group="lab")
        return
    left, right = st.columns(2, gap="small")
    name, reference = beside
    with right:
        st.markdown(f"**{reference_name(name, encoder).capitalize()}**")
        other = result_maps(
            reference, encoder.vertices, image_degrees=degrees, **common | {"context": reference_name(name, encoder)}
        )
        shown = getattr(st.session_state.get(f"lab-{experiment}-beside"), "map", None)
        names = [m.name for m in other]
        draw_brain(
            other, encoder, key=f"lab-beside-{name}", height=height - 45, group="lab", layout="flat",
            map_name=shown if shown in names else names[0],
        )  # fmt: skip
    with left:
        st.markdown("**Simulated experiment**")
        draw_brain(
            maps, encoder, key="lab-retinotopy", height=height - 45, group="lab", layout="flat",
            report=("vertex", "roi", "map"),
        )  # fmt: skip


def scale_of(encoder):
    """(N,) scale selector, by which maps of places fade; None for baselines."""
    return encoder.selectors().scale if encoder.has_selectors else None


def choose_reference(result, encoder):
    """What stands beside the simulated maps: (name, {map: (N,)}), or None."""
    if result.experiment == "localizer":
        offered = {row["map"]: encoder.maps[row["map"]] for row in result.numbers.get("measured", {}).values()}
        return ("measured", offered) if offered else None
    offered = references(encoder) if result.experiment == "retinotopy" else {}
    if not offered:
        return None
    name = st.selectbox(
        "Beside it", list(offered), format_func=lambda name: reference_name(name, encoder), key="reference",
        help="What the simulated maps are compared with.",
    )  # fmt: skip
    return name, offered[name]


def reference_name(name, encoder):
    """What a reference is called."""
    if name == "measured":
        return "truth (simulated)" if encoder.simulated else "measured"
    return REFERENCES[name]


def references(encoder):
    """{name: {map: (N,)}} of what retinotopy can be compared with."""
    from factortopy.experiments.agreement import truths
    from factortopy.surfaces.atlases import atlas_retinotopy

    degrees = float(encoder.info.get("image_degrees") or 8.4)
    compared = truths(encoder, atlas_retinotopy(encoder.density), rows_of(encoder), degrees)
    return {name: maps for name, (maps, _, _) in compared.items()}


def before(encoder, experiment, degrees, common):
    """Maps to show before the first result."""
    from factortopy.view.lab_maps import result_maps

    if experiment == "retinotopy":
        offered = references(encoder)
        name = "measured" if "measured" in offered else next(iter(offered), None)
        if name is not None:
            return result_maps(
                offered[name], encoder.vertices, image_degrees=degrees,
                **common | {"context": reference_name(name, encoder)},
            )  # fmt: skip
    return maps_at_rest(encoder)


# ---------------------------------------------------------------- the numbers


def draw_numbers(result, encoder, gallery=None):
    """Tables, curves and pictures of a result, and what must be said beside them."""
    KINDS[result.experiment](result, encoder)
    if result.experiment == "maximize" and gallery is not None:
        driven = gallery.predicted.astype(np.float32) @ result.maps["target"]
        best = int(driven.argmax())
        left, right = st.columns([1, 5], vertical_alignment="center")
        left.image(gallery.pictures[best], width="stretch")
        right.markdown(
            f"Best of the subject's {len(driven)} test pictures: it drives the target by **{driven[best]:.2f}**."
        )
    with st.expander("What to keep in mind"):
        st.markdown("\n".join(f"- {plain(note)}" for note in result.notes))


def retinotopy(result, encoder):
    """Agreement, areas, borders, one place's course."""
    numbers = result.numbers
    st.markdown(f"**{numbers['mapped']:,} of {numbers['vertices']:,} places have a fit**: {_what_a_fit_is(numbers)} "
                f"{numbers['frames']} frames, {numbers['seconds']:.0f} s.")  # fmt: skip
    compared = numbers["agreement"]
    # Results of before turned nothing: places were swapped one by one, which smooth maps pass by chance.
    swapped = any("p" not in score for scores in compared.values() for score in scores.values())
    st.markdown("**Agreement**", help=f"Each hemisphere by itself, then the mean. {SWAPPED if swapped else TURNED}")
    column = "chance, too low" if swapped else "chance up to"
    rows = []
    for key, words in SCORES.items():
        scores = {name: score[key] for name, score in compared.items() if key in score}
        if scores:
            row = {"": words} | {reference_name(name, encoder): score["mean"] for name, score in scores.items()}
            floors = [score["floor"] for score in scores.values() if score["floor"] is not None]
            worst = min if key == "angle_error" else max
            row[column] = worst(floors) if floors else None
            chances = [score["p"] for score in scores.values() if score.get("p") is not None]
            rows.append(row if swapped else row | {"p": f"{max(chances):.3f}" if chances else None})
    table(rows, "retinotopy agreement", result)
    st.markdown("**Areas**", help="Right sign: share of places whose visual field sign is that of their area (V1 −, V2 +, "
                "V3 −, hV4 +). On this coarse surface the atlas itself reaches the share in the last "
                "column; chance is what 5 % of maps exceed that are turned on the sphere.")  # fmt: skip
    signs = numbers.get("signs") or {}
    table([
        {"area": row["roi"], "with a fit": row["mapped"], "R²": row["r2"], "ecc. °": row["eccentricity"], "size °": row["size"],
         "right sign": row["right_sign"],
         "chance up to": (signs.get(row["roi"]) or {}).get("floor"), "atlas": (signs.get(row["roi"]) or {}).get("template")}
        for row in numbers["areas"]
    ], "retinotopy areas", result)  # fmt: skip
    for name, d in (numbers.get("borders") or {}).items():
        if d.get("found_to_atlas") is not None and d.get("chance") is not None:
            st.markdown(f"Border {name}: reversals of the sign lie {_apart(d['found_to_atlas'])} from the atlas' border on "
                        f"average (all places with a fit there: {_apart(d['chance'])}; not tested).")  # fmt: skip
    course(result, encoder)
    st.image(list(result.pictures["frames"]), width=76)


def _apart(distance):
    """A distance in words."""
    return f"{distance:.1f} mm" if distance >= 0.1 else "less than 0.1 mm"


def _what_a_fit_is(numbers):
    """Sentences; a result of an earlier version was held against shuffled frames."""
    if "level" not in numbers:
        return f"R² above {numbers['floor']:.2f}, which shuffled frames reach in 5 % (an earlier version's test, which finds too many)."
    lacking = ", ".join(f"{reason} {count:,}" for reason, count in numbers["lacking"].items() if count)
    suppressed = (
        f" {numbers['suppressed']:,} answer less to what is shown there (sign −1)." if numbers["suppressed"] else ""
    )
    return (
        f"their responses depend on where something is shown (q < {numbers['level']:.2f}) and R² is {numbers['floor']:.2f} or more."
        f"{suppressed}{f' Without a fit: {lacking}.' if lacking else ''}"
    )


def course(result, encoder):
    """Responses of the clicked place over the frames, and the fitted field's."""
    from factortopy.experiments.retinotopic import fitted

    index = chosen_index(encoder)
    if index is None:
        say_unknown_place()
        st.caption("Click a place of the brain to see its responses over the frames.")
        return
    figure = go.Figure()
    figure.add_scatter(y=np.asarray(result.arrays["responses"], np.float32)[:, index], name="response")
    model = fitted(result, index)
    if model is not None:
        figure.add_scatter(y=model, name="fitted field", line={"dash": "dot"})
    saving.chart(figure, "course", simulated(result), 220, describe_vertex(encoder, index), xaxis_title="frame")


def localizer(result, encoder):
    """Response profile by area, agreement with areas, examples."""
    numbers = result.numbers
    one = numbers["contrast"]
    compared = plain(f"{one['category']} against {', '.join(one['against'])}")
    st.markdown(f"**{compared}**: {one['more']:,} of {one['vertices']:,} places answer "
                f"more, {one['less']:,} less (q ≤ {one['q']}).")  # fmt: skip
    a, b = st.columns(2, gap="medium")
    with a:
        saving.chart(profile(numbers["profile"]), "profile", simulated(result))
    with b:
        st.markdown(
            "**Are the areas found?**", help="AUC: chance that a place of the area has a larger d′ than one outside; 0.5 is chance. "
            "Dice: overlap of the area with equally many places of largest d′. Found: share of it among as many places as all areas "
            "of that category have together.",
        )  # fmt: skip
        table([{"area": name, "by": row["category"], "AUC": row["auc"], "Dice": row["dice"],
                "found": row["found"], "vertices": row["vertices"]}
               for name, row in numbers["agreement"].items()], "localizer areas", result)  # fmt: skip
        for category, row in numbers.get("measured", {}).items():
            named = f"the measured map {plain(row['map'])} ({row['vertices']:,} vertices)"
            st.markdown(f"{plain(category)}: r = {row['r']:.2f} with {named}.")
    pictures(result, 6)


def profile(by_roi):
    """Bars of mean responses by area and category."""
    figure = go.Figure()
    for category in next(iter(by_roi.values()), {}):
        cells = [by_roi[roi][category] for roi in by_roi]
        figure.add_bar(x=list(by_roi), y=[c["mean"] for c in cells], name=category,
                       error_y={"array": [c["se"] for c in cells], "thickness": 1, "width": 0})  # fmt: skip
    saving.size(figure, 300, yaxis_title="mean response, SD", legend={"orientation": "h", "y": 1.15})
    return figure


def lesion(result, encoder):
    """What was lost by area, beside random channels; dose and response."""
    numbers = result.numbers
    parts = numbers["lesioned"]["layers"]
    st.markdown(
        f"**{sum(parts.values()):,} {numbers['lesioned']['of']} in {len(parts)} layers**; what is left of them: "
        f"{result.settings['gain']:.0%}."
    )
    rows = []
    for name, row in numbers["rois"].items():
        line = {"area": name, "change, SD": row["response change"],
                f"d′ {numbers['contrast']['category']} before": row["dprime before"],
                "d′ after": row["dprime after"], "similarity": row["similarity"]}  # fmt: skip
        if "similarity, random" in row:
            line |= {"d′ after, random": row["dprime after, random"], "similarity, random": row["similarity, random"]}
        rows.append(line)
    st.markdown("**What is lost**", help="Change: of the mean response. Similarity: correlation over pictures of the responses after "
                f"with those before; 1 nothing lost. Random: equally many random channels. {SD}")  # fmt: skip
    table(rows, "lesion areas", result)
    doses = numbers["doses"]
    if not doses["gain"]:
        return
    names = [
        n for n in dict.fromkeys((lesioned_area(result), "V1", "FFA", "PPA", "EBA", "all")) if n in doses["rois"]
    ] or list(doses["rois"])
    measure = st.selectbox("Dose and response", list(MEASURES), key="dose", format_func=MEASURES.get, width=460,
                           help=f"Over what is left of the parts. {SD}")  # fmt: skip
    figure = go.Figure()
    for name in names:
        for kind, curves in doses["rois"][name].items():
            figure.add_scatter(x=doses["gain"], y=curves[measure], name=name + (", random" if kind == "random" else ""),
                               line={"dash": "dot" if kind == "random" else "solid"}, legendgroup=name)  # fmt: skip
    left = {"title": "what is left", "autorange": "reversed"}
    saving.chart(
        figure, "doses", simulated(result), 400, xaxis=left, yaxis_title=AXES[measure]
    )  # the legend of six areas


def lesioned_area(result):
    """The area whose channels were taken, or None."""
    asked = result.settings.get("channels")
    return asked.get("roi") if isinstance(asked, dict) else None


def maximize(result, encoder):
    """The pictures, how they grew, and how they compare."""
    numbers = result.numbers
    best = numbers["objective"]["seeds"].index(numbers["objective"]["best_seed"])
    columns = st.columns(max(3, len(result.pictures["maximized"])))
    for k, (column, pixels) in enumerate(zip(columns, result.pictures["maximized"], strict=False)):
        column.image(pixels, width="stretch", caption=f"drives the target by {numbers['objective']['by_seed'][k]:.2f}"
                     + (" (the one on the brain)" if k == best else ""))  # fmt: skip
    base = numbers["baselines"]
    st.markdown(
        f"Target's response: **{numbers['objective']['best']:.2f}**. Best of {result.settings['rendered'] * 5} rendered pictures "
        f"({base['rendered']['category']}) {base['rendered']['best']:.2f}; best noise of the same spectrum {base['noise']['best']:.2f}; "
        f"grey {base['grey']:.2f}."
    )
    a, b = st.columns(2, gap="medium")
    with a:
        st.markdown("**How it grew**")
        st.image(list(result.pictures["growth"]), width=96, caption=[f"step {s}" for s in numbers["growth_steps"]])
        figure = go.Figure(
            [go.Scatter(y=row, name=f"picture {k + 1}") for k, row in enumerate(result.arrays["history"])]
        )
        saving.chart(figure, "history", simulated(result), 200, xaxis_title="step", yaxis_title="target, SD")
    with b:
        st.markdown("**What else it drives**", help="z: in standard deviations over rendered pictures. A selective picture drives its "
                    f"target far more than any other area. {SD}")  # fmt: skip
        rows = sorted(numbers["rois"].items(), key=lambda item: -(item[1]["z"] or -np.inf))
        table(
            [
                {"area": n + (" (target)" if row["in_target"] else ""), "response, SD": row["response"], "z": row["z"]}
                for n, row in rows
            ],
            "maximize areas",
            result,
        )


def motion(result, encoder):
    """Responses by stimulus, and what order means."""
    numbers = result.numbers
    same = "makes no difference" if numbers["identical"] else "makes a difference"
    st.markdown(
        f"**The order of the frames {same}** (largest change {numbers['shuffled frames']:.1e} of a response's spread)."
    )
    saving.chart(profile(numbers["profile"]), "motion profile", simulated(result))
    if "coherent" in numbers:
        table(
            [
                {"area": name, "d′ coherent against random": value}
                for name, value in numbers["coherent"]["dprime"].items()
            ],
            "motion areas",
            result,
        )
    pictures(result, 4)


def pictures(result, each):
    """Rows of examples by name."""
    with st.expander("What was shown"):
        for name, stack in result.pictures.items():
            st.caption(plain(name))
            st.image(list(stack[:each]), width=96)


def simulated(result):
    """Was the subject a simulated one?"""
    return bool(result.info.get("simulated"))


def table(rows, name, result):
    """Rows of dicts; figures with two decimals."""
    if rows:
        saving.table(rows, name, simulated(result), decimals=2, height="content")
    else:
        st.caption("Nothing to compare.")


KINDS = {"retinotopy": retinotopy, "localizer": localizer, "lesion": lesion, "maximize": maximize, "motion": motion}
