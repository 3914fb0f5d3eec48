"""Your pictures: what would this brain answer to my picture?"""

import hashlib
from itertools import chain

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from factortopy.encoder import Encoder
from factortopy.errors import InputError
from factortopy.pictures.archives import read_zip
from factortopy.pictures.reading import ENDINGS, read_picture, read_pictures
from factortopy.storage.allowed_folders import files_in
from pages.parts import pictures_channels, saving, video
from pages.parts.brain import areas_of, chosen_index, chosen_roi, describe_vertex, draw_brain, shown_of
from pages.parts.guard import checked, guard
from pages.parts.runs import choose_run, load_encoder, load_gallery
from pages.parts.sample_pictures import samples
from pages.parts.words import plain

HEIGHT = 640
MOST = 200  # pictures at once
MOST_BYTES = 200_000_000
FEW = 2  # problems are read at once, more of them on demand
TEST = "test picture"  # how pictures of the subject's own set are called here


def page():
    run, waiting = choose_run(), st.empty()
    if st.session_state.get("pictures of") != run.name:  # the first time it may take seconds
        waiting.caption("Loading the encoder and its network …")
    encoder = load_encoder(run)
    kind = st.segmented_control(
        "What the brain is shown", ["Pictures", "A video"], default="Pictures", key="kind", label_visibility="collapsed"
    )
    if kind == "A video":
        waiting.empty()
        video.page(encoder, HEIGHT)
        return
    gallery = load_gallery(run)
    left, right = st.columns([2, 1], gap="medium")
    with right, st.container(height=HEIGHT, border=False):
        mine = own_pictures(encoder)
        pictures = offered(mine, gallery)
        first, second = choose(list(pictures))
        responses = predicted(encoder, gallery, {name: pictures[name] for name in (first, second) if name})
        if responses is None:
            waiting.empty()
            return
        maps, response = maps_for(encoder, gallery, responses, first, second)
        beside = st.container()
    waiting.empty()
    st.session_state["pictures of"] = run.name
    with left:
        draw_brain(maps, encoder, key="pictures", height=HEIGHT, group="explore")
    with beside:
        details(encoder, pictures, response, first, second)
    ranking(encoder, gallery, mine)
    if encoder.has_selectors:
        pictures_channels.panel(run, encoder, pictures[first], first)


def own_pictures(encoder):
    """{name: pixels} of what the visitor dropped, a zip among it, or named as a folder."""
    uploads = st.file_uploader(
        "Drop your pictures here", type=[*(ending[1:] for ending in ENDINGS), "zip"], accept_multiple_files=True, key="uploads",
        help=f"PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF, or a zip of them, up to {MOST}. They stay on this machine and are "
        "forgotten when the page is closed.",
    )  # fmt: skip
    left, right = st.columns(2, gap="small")
    box = left.popover("A folder", icon=":material/folder_open:", width="stretch", help="Of pictures on this machine.")
    with box, st.container(width=300):  # a sentence below must not widen it
        folder = st.text_input(
            "Folder with pictures",
            placeholder="path of a folder",
            key="folder",
            help="All PNG, JPEG and WebP files in it.",
        ).strip()
        files = in_folder(folder) if folder else []
    with right.popover(
        "A sample", icon=":material/photo_library:", width="stretch", help="For who has no picture at hand."
    ):
        thumbnails(samples())
    mine = read(uploads or [], files)
    if mine:
        say_what_it_knows(encoder)
    return mine


def offered(mine, gallery):
    """{name: pixels}: the visitor's first, then the samples and the subject's own test pictures."""
    newest = list(mine)[-1] if mine else None
    if newest != st.session_state.get("newest"):  # a new upload is shown at once
        st.session_state["newest"] = newest
        if newest:
            st.session_state["shown"] = newest
    own = {}
    if gallery is not None:
        own = {f"{TEST} {int(i)}": p for i, p in zip(gallery.number, gallery.pictures, strict=True)}
    return mine | samples() | own


def thumbnails(pictures):
    """Samples to click, for those who have no picture at hand."""
    columns = st.columns(4)
    for k, (name, pixels) in enumerate(pictures.items()):
        with columns[k % 4]:
            st.image(pictures_channels.square(pixels), width="stretch")
            if st.button(name.split(": ")[-1], key=f"pick-{name}", width="stretch"):
                st.session_state["shown"] = name


def in_folder(folder):
    """Paths of the pictures in it; what is wrong with it is said below the control."""
    files = checked(files_in, folder, ENDINGS)
    if files is None:
        return []
    st.caption(f"{len(files)} file{'s' * (len(files) > 1)} found.")
    return files


def sources(uploads, problems):
    """(name, bytes) of all files that were dropped; a zip is opened, what is wrong with one is added to ``problems``."""
    for upload in uploads:
        if not upload.name.lower().endswith(".zip"):
            yield upload.name, upload.getvalue()
            continue
        try:
            yield from read_zip(upload.getvalue(), upload.name)
        except InputError as error:
            problems.append(str(error))


def read(uploads, files):
    """{name: pixels} of what was given; what cannot be read is said, the rest goes on."""
    problems, kept = [], Kept()
    read = read_pictures(chain(sources(uploads, problems), files), most=MOST, most_bytes=MOST_BYTES, read=kept.read)
    kept.forget_others()
    problems += [problem for _, problem in read.bad]
    if problems:
        words = f":material/broken_image: {len(problems)} of {len(problems) + len(read.good)} could not be read"
        with st.expander(words, expanded=len(problems) <= FEW):
            for problem in problems[:20]:
                st.error(plain(problem))
            if len(problems) > 20:
                st.caption(f"… and {len(problems) - 20} more.")
    out = {}
    for picture in read.good:
        for notice in picture.notices:
            st.info(f"{plain(picture.name)}: {plain(notice)}", icon=":material/info:")
        name = picture.name
        while name in out:  # two files of one name
            name += " (again)"
        out[name] = picture.pixels
    return out


class Kept:
    """Pictures that this visit has read before: the page is drawn anew at each click, and decoding them takes longest."""

    def __init__(self):
        self.before, self.now = st.session_state.get("pictures read", {}), {}

    def read(self, source, name, longest):
        """``read_picture`` of bytes, or of the path of a file, which may have changed."""
        try:
            key = (
                name,
                hashlib.blake2b(source).digest() if isinstance(source, bytes) else (source, source.stat().st_mtime_ns),
            )
        except OSError:  # gone meanwhile: the reader knows what to say
            key = None
        picture = self.before.get(key) or read_picture(source, name=name, longest=longest)
        if key is not None:
            self.now[key] = picture
        return picture

    def forget_others(self):
        """Keep those that were read now."""
        st.session_state["pictures read"] = self.now


def say_what_it_knows(encoder):
    if encoder.backbone_name.startswith("demo-"):
        st.caption(
            ":material/draw: This network has seen drawings made by this project alone. A photograph is outside what it knows: "
            "trust early areas (contrast) more than high-level ones."
        )


def choose(names):
    """Which picture is shown, and which one it is compared with (None: with nothing)."""
    if st.session_state.get("shown") not in names:
        st.session_state["shown"] = next((n for n in names if n.startswith(TEST)), names[0])
    left, right = st.columns(2, gap="small")
    first = left.selectbox("Picture", names, key="shown", help="The brain answers this picture.")
    nothing = "nothing"
    second = right.selectbox(
        "Compared with", [nothing, *(name for name in names if name != first)], key=f"second-{first}",
        help="Adds the map of the difference: first minus second.",
    )  # fmt: skip
    if first.startswith("photo"):
        st.caption(":material/draw: A real photograph; the demo networks have seen drawings only, so this is outside what "
                   "they know.")  # fmt: skip
    return first, None if second == nothing else second


def predicted(encoder, gallery, pictures):
    """{name: (N,) response}; those of the run's own test pictures are at hand, others go through the network."""
    out = {}
    for name, pixels in pictures.items():
        row = gallery_row(gallery, name)
        try:
            out[name] = gallery.predicted[row].astype(np.float32) if row is not None else answer(encoder, pixels)
        except InputError as error:
            st.error(plain(error))
            return None
    return out


@st.cache_data(
    max_entries=2000,
    show_spinner="Showing the picture to the network …",
    hash_funcs={Encoder: lambda encoder: encoder.fingerprint},
)
def answer(encoder, pixels):
    """(N,) predicted response to a picture."""
    return encoder.predict([pixels])[0]


def gallery_row(gallery, name):
    """Row of a test picture in the gallery; None for any other picture."""
    if gallery is None or not name.startswith(TEST):
        return None
    return int(np.flatnonzero(gallery.number == int(name.split()[-1]))[0])


def maps_for(encoder, gallery, responses, first, second):
    """The maps to switch between, and {title: (N,)} for the bars."""
    from factortopy.view import difference_map, response_map
    from factortopy.view.maps import shared_limit

    common = shown_of(encoder)
    one = responses[first]
    limit = shared_limit(values[common["painted"]] for values in responses.values())
    response = {f"predicted: {first}": one}
    maps = [
        response_map(
            one, encoder.vertices, limit=limit, name="Predicted", what=f"Predicted response to {first}", **common
        )
    ]
    row = gallery_row(gallery, first)
    if row is not None:
        measured = gallery.measured[row].astype(np.float32)
        kind = "Measured (simulated)" if encoder.simulated else "Measured"
        response[f"measured: {first}"] = measured
        what = f"{kind} response to {first} (noisy: one trial or a mean of few)"
        maps.append(response_map(measured, encoder.vertices, name=kind, what=what, **common))
    if second:
        two = responses[second]
        response[f"predicted: {second}"] = two
        maps.append(
            response_map(
                two, encoder.vertices, limit=limit, name="Second", what=f"Predicted response to {second}", **common
            )
        )
        maps.insert(0, difference_map(one, two, encoder.vertices, limit=limit, names=(first, second), **common))
    return maps, response


def details(encoder, pictures, response, first, second):
    """Beside the brain: the pictures, the clicked vertex, bars by area."""
    shown = [name for name in (first, second) if name]
    columns = st.columns(2)
    for column, name in zip(columns, shown, strict=False):
        column.image(pictures[name], caption=plain(name), width="stretch")
    index = chosen_index(encoder)
    with st.container() if second else columns[1]:
        if index is None:
            st.caption(
                "Click the brain to read one place's response. 0 is its mean over pictures, 1 a standard deviation."
            )
        else:
            st.markdown(f"**{plain(describe_vertex(encoder, index))}**")
            for name, values in response.items():
                st.markdown(f"{plain(name)}: **{values[index]:+.2f}**")
    saving.chart(area_bars(encoder, response), "areas", encoder.simulated)
    if encoder.simulated:
        st.caption("Responses of a simulated subject, in standard deviations.")


def ranking(encoder, gallery, mine):
    """Which of the visitor's and of the test pictures drive a place or an area most."""
    index = chosen_index(encoder)
    areas = areas_of(encoder)
    places = (["the clicked place"] if index is not None else []) + list(areas)
    if not places or not (mine or gallery):
        return
    places.sort(key=lambda place: place != chosen_roi())  # the area that is selected as a whole comes first
    heading = st.empty()
    chosen, among = st.columns(2)
    place = chosen.selectbox(
        "Of", places, key=f"ranked place {places[0]}", help="The clicked place of the brain, or the mean of an area."
    )
    heading.subheader(f"What drives {plain(place)} most")
    sets = (["my pictures", "both"] if mine else []) + ([f"{TEST}s"] if gallery else [])
    which = among.selectbox("Among", sets, key="ranked set", help="Whose pictures are put in order.")
    use = np.array([index]) if place == "the clicked place" else np.flatnonzero(areas[place])
    ranked = []
    if which != f"{TEST}s":
        responses = predicted(encoder, gallery, mine)
        if responses is None:
            return
        ranked += [(float(responses[name][use].mean()), name, pixels) for name, pixels in mine.items()]
    if which != "my pictures" and gallery is not None:
        values = gallery.predicted[:, use].astype(np.float32).mean(1)
        ranked += [
            (float(v), f"{TEST} {int(i)}", p) for v, i, p in zip(values, gallery.number, gallery.pictures, strict=True)
        ]
    ranked.sort(key=lambda row: -row[0])
    for column, (value, name, pixels) in zip(st.columns(8), ranked, strict=False):
        column.image(pictures_channels.square(pixels), width="stretch")
        column.caption(f"**{value:+.2f}** {plain(name)}")


def area_bars(encoder, response):
    """Mean response by area of the predicted vertices."""
    areas = areas_of(encoder)
    figure = go.Figure(
        [
            go.Bar(name=name, y=list(areas), x=[float(values[mask].mean()) for mask in areas.values()], orientation="h",
                   hovertemplate="%{y}: %{x:.2f}<extra></extra>")
            for name, values in response.items()
        ],
    )  # fmt: skip
    figure.update_layout(
        meta={"columns": {"y": "area"}},
        height=60 + 26 * max(4, len(areas)), margin={"l": 0, "r": 0, "t": 24 + 18 * (len(response) - 1), "b": 0},
        yaxis={"autorange": "reversed"}, xaxis={"zeroline": True, "title": "mean response by area"}, barmode="group",
        showlegend=len(response) > 1, legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    )  # fmt: skip
    return figure


guard(page)
