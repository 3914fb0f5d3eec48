"""A picture as the channels of areas, of clusters and of the clicked place see it, on the page Your pictures."""

import numpy as np
import streamlit as st

from factortopy.encoder import Encoder
from factortopy.errors import InputError
from pages.parts import explore_clusters, pictures_save
from pages.parts.brain import chosen_index, chosen_roi, describe_vertex
from pages.parts.runs import load_gallery
from pages.parts.words import plain

COLUMNS = 8  # the picture itself and what is chosen
REFERENCE = 4  # test pictures that say how strong full colour is
CLICKED, ITS_CLUSTER = "the clicked place", "its cluster"


def panel(run, encoder, pixels, name):
    """Choose areas and clusters; their pictures side by side."""
    st.subheader("This picture through the channels of")
    places = offered(encoder, explore_clusters.clusters_of(run, encoder))
    usual = [place for place in (chosen_roi(), CLICKED, ITS_CLUSTER) if place in places]
    usual += [place for place in places if place not in usual][: 4 - len(usual)]
    chosen = st.multiselect(
        "Of", list(places), usual, key=f"channels of {' '.join(usual[:2])}", max_selections=COLUMNS - 1,
        label_visibility="collapsed",
    )  # fmt: skip
    st.caption(
        "A single place is grey: bright where the picture drives it. An area or a cluster is in colour: red, green and blue are its "
        "three main directions of channel weights, each as strong as it is, so that like colours within one picture are read alike. "
        "Middle grey is what a blank picture gives; what drives a place less has less colour.",
        help="The clusters are those of Explore's map Clusters, as many as are chosen there. Colours of different places of a row "
        "do not stand for the same; of one place, all pictures have one scale, taken from test pictures of the run.",
    )  # fmt: skip
    columns = st.columns(COLUMNS)
    columns[0].image(square(pixels), caption=plain(name), width="stretch")
    images, gallery = {}, load_gallery(run)
    among = None if gallery is None else gallery.pictures[:: max(1, len(gallery.pictures) // REFERENCE)][:REFERENCE]
    for column, place in zip(columns[1:], chosen, strict=False):
        try:
            images[place] = seen(encoder, pixels, places[place], among)
            column.image(enlarged(images[place]), caption=plain(place), width="stretch")
        except InputError as error:
            column.error(plain(error))
    if images:
        pictures_save.button("channel images", encoder.simulated, lambda: saved(encoder, pixels, name, images, places))


def saved(encoder, pixels, name, images, places):
    """Pictures, titles and numbers of the row; {place: channel image}, {place: rows of vertices}."""
    from factortopy.report import picture_row

    index = chosen_index(encoder)
    where = "" if index is None else describe_vertex(encoder, index)
    rows = []
    for place, image in images.items():
        row = {"picture": name, "of": f"{place}: {where}" if place in (CLICKED, ITS_CLUSTER) else place}
        row["vertices"] = len(places[place])
        for at, value in picture_row.places(image):
            shades = (
                dict(zip(("red", "green", "blue"), map(float, value), strict=True))
                if image.ndim == 3
                else {"grey": float(value)}
            )
            rows.append(row | at | shades)
    return [square(pixels), *images.values()], [name, *images], rows


def offered(encoder, clusters):
    """{name: rows of vertices}: the clicked place and its cluster, the areas, the clusters."""
    index = chosen_index(encoder)
    here = None if clusters is None else clusters.of(index)
    places = {} if index is None else {CLICKED: np.array([index])}
    if here is not None:
        places[ITS_CLUSTER] = np.flatnonzero(clusters.labels == here)
    places |= {name: np.flatnonzero(mask) for name, mask in encoder.rois.items() if mask.any()}
    for k in range(0 if clusters is None else clusters.number):
        places[f"cluster {k + 1} of {clusters.number}"] = np.flatnonzero(clusters.labels == k)
    return places


@st.cache_data(max_entries=200, show_spinner=False, hash_funcs={Encoder: lambda encoder: encoder.fingerprint})
def seen(encoder, pixels, rows, among):
    """``analysis.channel_image``, kept."""
    from factortopy.analysis import channel_image

    scale = None if among is None else stretch(encoder, among, rows)
    return channel_image(encoder, pixels, rows, features=tokens(encoder, pixels), stretch=scale)


@st.cache_data(max_entries=200, show_spinner=False, hash_funcs={Encoder: lambda encoder: encoder.fingerprint})
def stretch(encoder, pictures, rows):
    """One ``Stretch`` for every picture that is shown of these vertices, over (n, h, w, 3) pictures."""
    from factortopy.analysis.channels import Stretch, channel_values

    blank = channel_values(encoder, tokens(encoder, None), rows)
    return Stretch.over([channel_values(encoder, tokens(encoder, picture), rows) for picture in pictures], blank)


@st.cache_resource(
    max_entries=2 * REFERENCE, show_spinner=False, hash_funcs={Encoder: lambda encoder: encoder.fingerprint}
)
def tokens(encoder, pixels):
    """A picture's features at the network's own resolution, kept; of None those of a blank one."""
    from factortopy.analysis.channels import blank_features
    from factortopy.features.extraction import compute

    return blank_features(encoder) if pixels is None else compute(encoder.backbone(), pixels, grid=None)


def enlarged(image):
    """A channel image for the eye, (224, 224, 3) uint8."""
    from PIL import Image

    shade = np.round(image * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(shade).convert("RGB").resize((224, 224), Image.Resampling.NEAREST))


def square(pixels):
    """The middle square, so that a row of thumbnails does not jump."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]
