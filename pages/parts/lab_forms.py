"""Controls of the lab's experiments: each form gives the settings that differ from the experiment's defaults."""

import numpy as np
import streamlit as st

from factortopy.errors import InputError
from factortopy.experiments.protocol import module_of
from pages.parts.brain import choose_vertex, chosen_vertex, vertex_at
from pages.parts.words import plain

ALL = "all others"
PARTS = {
    "left half": [-1, -1, 0, 1], "right half": [0, -1, 1, 1], "upper half": [-1, -1, 1, 0], "lower half": [-1, 0, 1, 1],
    "centre": [-0.5, -0.5, 0.5, 0.5],
}  # fmt: skip
LESIONS = ("channels that an area uses most", "whole layers", "attention heads", "a part of the picture")


class Incomplete(Exception):
    """A control has said what is missing: there is nothing to run yet."""


def key(experiment, name):
    """Identity of a control, so that the page can remember it."""
    return f"lab {experiment} {name}"


def _choice(experiment, name, label, options, help, default=None, **more):
    options = list(options)
    at = key(experiment, name)
    if st.session_state.get(at) not in options:
        st.session_state[at] = default if default in options else options[0]
    return st.selectbox(label, options, key=at, help=help, **more)


def _number(experiment, name, label, low, high, help, step=None, default=None):
    at = key(experiment, name)
    value = st.session_state.get(at, module_of(experiment).DEFAULTS.get(name) if default is None else default)
    st.session_state[at] = type(low)(min(max(value, low), high))
    return st.slider(label, low, high, key=at, help=help, step=step)


# ---------------------------------------------------------------- the forms


def retinotopy(encoder):
    """Stimulus, carrier, aperture, repetitions, noise."""
    half = float(encoder.info.get("image_degrees") or 8.4) / 2
    protocol = _choice("retinotopy", "protocol", "Stimulus", ("bars", "wedges and rings", "wedges", "rings"),
                       "Bars in eight directions give receptive fields; wedges give polar angle, rings eccentricity.")  # fmt: skip
    carrier = _choice("retinotopy", "carrier", "Seen through it", ("checkerboard", "picture"),
                      "What the bar, wedge or ring shows of itself: checks, or rendered scenes.")  # fmt: skip
    with st.expander("More settings"):
        radius = _number(
            "retinotopy", "radius", "Aperture, degrees", 0.5, half, "Radius of the field that is shown.", default=half
        )
        width = _number("retinotopy", "width", "Width of bar or ring", 0.05, 1.0, "As a share of the aperture's radius.",
                        default=0.25)  # fmt: skip
        folder = None
        if carrier == "picture":
            folder = st.text_input("Folder of pictures", key=key("retinotopy", "pictures"), placeholder="empty: rendered scenes",
                                   help="What the bar, wedge or ring shows of itself.").strip() or None  # fmt: skip
        steps = _number("retinotopy", "steps", "Steps a sweep", 8, 48, "Frames from one side to the other.")
        repetitions = _number("retinotopy", "repetitions", "Repetitions", 1, 8, "Each with another carrier; averaged.")
        noise = _number("retinotopy", "noise", "Noise", 0.0, 3.0, "Added to every response, in standard deviations of the "
                        "place's own responses. A fitted encoder has none.")  # fmt: skip
    return {
        "protocol": protocol, "carrier": carrier, "steps": steps, "repetitions": repetitions, "noise": noise,
        "radius": None if radius >= half else radius, "pictures": folder,
        "bar_width": None if width == 0.25 else width * radius, "ring_width": None if width == 0.25 else width * radius,
    }  # fmt: skip


def localizer(encoder):
    """Pictures, category, what it is compared with."""
    folder = st.text_input(
        "Pictures", key=key("localizer", "folder"), placeholder="empty: rendered pictures; or the path of a folder",
        help="A folder on this machine with one sub-folder a category, such as faces, scenes, …; fLoc's names are known. Empty: "
        "rendered faces, bodies, scenes, objects and words.",
    ).strip()  # fmt: skip
    names = categories(folder)
    category = _choice("localizer", "category", "Category", names, "Which places prefer it?")
    at = key("localizer", "against")
    st.session_state[at] = [name for name in st.session_state.get(at, []) if name in names and name != category]
    against = st.multiselect("Against", [n for n in names if n != category], key=at, placeholder=ALL,
                             help="Compared with these; with all other categories when empty.")  # fmt: skip
    n = _number("localizer", "n", "Pictures a category", 4, 144, "More make t larger, not d′.")
    return {"pictures": folder or "rendered", "category": category, "against": against or None, "n": n}


def categories(folder):
    """Names of the categories of the rendered set or of a folder; a folder that cannot be read is said."""
    if not folder:
        return ["faces", "bodies", "scenes", "objects", "words"]
    try:
        return list(_read(folder))
    except InputError as error:
        st.error(plain(error))
        raise Incomplete from None


@st.cache_data(ttl=60, show_spinner="Reading the folder …")
def _read(folder):
    from factortopy.experiments.localizer import read_categories

    return {name: len(images) for name, images in read_categories(folder).items()}


def lesion(encoder):
    """What is damaged, how, and which contrast is followed."""
    areas = [name for name, mask in encoder.rois.items() if mask.any()]
    # A baseline has no channels that an area could be said to use.
    kinds = LESIONS if areas and encoder.has_selectors else LESIONS[1:]
    kind = _choice("lesion", "kind", "Damage", kinds, "Which part of the network.")
    out = {"channels": None, "heads": None, "region": None, "layers": None}
    if kind == LESIONS[0]:
        roi = _choice("lesion", "roi", "Area", areas, "The channels that this area's places read most.", "FFA")
        share = _number(
            "lesion", "share", "Share of each layer, %", 1, 90, "So many of the layer's channels.", default=10
        )
        out["channels"] = {"roi": roi, "share": share / 100}
    layers = st.multiselect("Layers", list(range(len(encoder.layer_names))), key=key("lesion", "layers"),
                            format_func=lambda l: encoder.layer_names[l], placeholder="all layers",
                            help="Only in these; in all when empty.")  # fmt: skip
    out["layers"] = layers or None
    if kind == LESIONS[2]:
        n_heads = heads_of(encoder)
        if not n_heads:
            st.info("This network has no attention heads that can be found; choose another part.")
            raise Incomplete
        st.session_state.setdefault(key("lesion", "heads"), [0])
        out["heads"] = st.multiselect("Heads", list(range(n_heads)), key=key("lesion", "heads"),
                                      help="The same ones in every chosen layer.") or [0]  # fmt: skip
    if kind == LESIONS[3]:
        out["region"] = PARTS[
            _choice("lesion", "part", "Part of the picture", PARTS, "Tokens whose centres lie there.")
        ]
    gain = _number("lesion", "gain", "What is left of it", 0.0, 2.0, "0: silenced. 1: intact. 2: doubled.", step=0.05)
    with st.expander("More settings"):
        noise = _number("lesion", "noise", "Noise", 0.0, 3.0, "Added, in standard deviations of each channel.")
        around = _choice("lesion", "around", "Silenced to", ("mean", "zero"), "The channel's mean over pictures is a value that "
                         "the network knows; zero often is not.")  # fmt: skip
        inside = kind == LESIONS[2]
        propagate = inside or st.toggle(
            "Inside the network", key=key("lesion", "propagate"),
            help="Off: only what the encoder reads is changed. On: later layers see the damage too. Heads are always inside.",
        )  # fmt: skip
        contrast = _choice(
            "lesion", "contrast", "Contrast that is followed", categories(""), "Its d′ before and after."
        )
    return out | {"gain": gain, "noise": noise, "around": around, "propagate": propagate, "contrast": contrast}


@st.cache_data(
    max_entries=16, show_spinner="Loading the network …", hash_funcs={"factortopy.encoder.encoder.Encoder": id}
)
def heads_of(encoder):
    """Attention heads of the network's layers, 0 where there are none."""
    sites = encoder.backbone().sites() or []
    return min((site.heads for site in sites), default=0)


def maximize(encoder):
    """What to drive, what to suppress, how long."""
    areas = [name for name, mask in encoder.rois.items() if mask.any()]
    row = chosen_vertex()
    clicked = vertex_at(encoder, row) is not None
    clusters = np.unique(encoder.scores.get("clusters", np.array([-1])))
    kinds = (["an area"] if areas else []) + ["the clicked place"] + (["a cluster"] if clusters.max() >= 0 else [])
    kind = _choice("maximize", "kind", "Drive", kinds, "A picture is grown that drives it as strongly as it can.")
    if kind == "an area":
        target = {"roi": _choice("maximize", "roi", "Area", areas, "The mean over its places.", "FFA")}
    elif kind == "a cluster":
        names = [int(k) for k in clusters if k >= 0]
        chosen = _choice("maximize", "cluster", "Cluster", names, "Places that read like channels (Explore's map Clusters).",
                         format_func=lambda k: f"cluster {k + 1}")  # fmt: skip
        target = {"cluster": chosen}
    elif clicked:
        target = {"vertex": int(row)}
    else:
        st.info("Click a coloured place of the brain first.")
        raise Incomplete
    suppressed = _choice(
        "maximize", "suppress", "Suppress", ("nothing", *areas), "An area that the picture shall not drive."
    )
    if suppressed != "nothing":
        target["suppress"] = {"roi": suppressed}
    with st.expander("More settings"):
        steps = _number("maximize", "steps", "Steps", 20, 1000, "More steps climb higher; each takes about 0.2 s here.")
        seeds = _number("maximize", "seeds", "Pictures", 1, 8, "Each grown from another noise.")
    return {"target": target, "steps": steps, "seeds": seeds}


def motion(encoder):
    """Which stimuli, how fast."""
    kinds = module_of("motion").DEFAULTS["types"]
    at = key("motion", "types")
    st.session_state.setdefault(at, kinds)
    types = (
        st.multiselect("Stimuli", kinds, key=at, help="Gratings drift; dots flow, coherently or each its own way.")
        or kinds
    )
    with st.expander("More settings"):
        clips = _number("motion", "clips", "Clips of each", 2, 24, "Each in another direction or of other dots.")
        speed = _number("motion", "speed", "Speed, degrees a second", 0.5, 16.0, "Of the dots.")
    return {"types": types, "clips": clips, "speed": speed}


FORMS = {"retinotopy": retinotopy, "localizer": localizer, "lesion": lesion, "maximize": maximize, "motion": motion}


# ---------------------------------------------------------------- controls that say a protocol


def show(protocol, encoder):
    """Set the controls as a protocol says, as far as they can; where they cannot, the form gives other settings."""
    experiment, settings = protocol["experiment"], protocol["settings"]
    try:
        values = SHOWN[experiment](settings, encoder)
    except (InputError, AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):  # what no control can hold
        return
    values = {name: settings[name] for name in SAME[experiment]} | values
    for name, value in values.items():
        st.session_state[key(experiment, name)] = value


SAME = {
    "retinotopy": ("protocol", "carrier", "steps", "repetitions", "noise"),
    "localizer": ("category", "n"),
    "lesion": ("gain", "noise", "around", "propagate", "contrast"),
    "maximize": ("steps", "seeds"),
    "motion": ("clips", "speed"),
}  # settings that a control holds as they are


def _show_retinotopy(settings, encoder):
    half = float(encoder.info.get("image_degrees") or 8.4) / 2
    folder = settings["pictures"] if isinstance(settings["pictures"], str) else ""
    radius = max(0.5, half if settings["radius"] is None else settings["radius"])
    width = 0.25 if settings["bar_width"] is None else round(settings["bar_width"] / radius, 6)
    return {"radius": radius, "width": min(1.0, max(0.05, width)), "pictures": folder}


def _show_localizer(settings, encoder):
    folder = "" if settings["pictures"] == "rendered" else settings["pictures"]
    if folder:
        _read(folder)  # InputError when it is gone: the result is still to be seen
    return {"folder": folder, "against": list(settings["against"] or ())}


def _show_lesion(settings, encoder):
    channels, heads, region = settings["channels"], settings["heads"], settings["region"]
    here = {"layers": [l for l in settings["layers"] or () if l in range(len(encoder.layer_names))]}
    if channels is not None:
        share = min(90, max(1, round(100 * channels["share"])))
        return here | {"kind": LESIONS[0], "roi": channels["roi"], "share": share}
    if heads is not None:
        return here | {"kind": LESIONS[2], "heads": [head for head in heads if head in range(heads_of(encoder))]}
    if region is not None:
        return here | {"kind": LESIONS[3], "part": next((name for name, part in PARTS.items() if part == region), None)}
    return here | {"kind": LESIONS[1]}


def _show_maximize(settings, encoder):
    target = settings["target"]
    seeds = settings["seeds"] if isinstance(settings["seeds"], int) else 1  # a list says which: no control does
    here = {"suppress": (target.get("suppress") or {}).get("roi", "nothing"), "seeds": seeds}
    if "cluster" in target:
        return here | {"kind": "a cluster", "cluster": target["cluster"]}
    if "vertex" in target:
        choose_vertex(int(target["vertex"]))
        return here | {"kind": "the clicked place"}
    return here | {"kind": "an area", "roi": target["roi"]}


def _show_motion(settings, encoder):
    return {"types": [kind for kind in settings["types"] if kind in module_of("motion").DEFAULTS["types"]]}


SHOWN = {
    "retinotopy": _show_retinotopy, "localizer": _show_localizer, "lesion": _show_lesion, "maximize": _show_maximize,
    "motion": _show_motion,
}  # fmt: skip


# ---------------------------------------------------------------- what will be shown


@st.cache_data(max_entries=32, show_spinner=False)
def preview(experiment, protocol, carrier, degrees, types):
    """A few pictures of what an experiment shows, list of (H, W, 3) uint8."""
    if experiment == "retinotopy":
        from factortopy.stimuli import apertures

        geometry = apertures.Geometry(degrees, degrees / 2, degrees / 8, 45.0, degrees / 8, 8)
        scenes = None if carrier == "checkerboard" else apertures.scene_carriers(4, 112, 0)
        frames = apertures.stimulus(protocol, 112, geometry, 1, degrees / 16, scenes, 0).frames
        return list(frames[np.linspace(2, len(frames) - 3, 8).round().astype(int)])
    if experiment == "motion":
        from factortopy.stimuli.movement import dots, grating

        one = {"frames": 2, "degrees": degrees}
        return [grating(45.0, **one)[0] if kind == "grating" else dots(kind, **one)[0] for kind in types]
    from factortopy.stimuli.localizer import localizer as rendered

    return [images[k] for images in rendered(n=2).values() for k in (0,)]
