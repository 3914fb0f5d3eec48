"""Pictures for visitors who have none at hand: rendered scenes and two photographs."""

import numpy as np
import streamlit as st

SCENES = (
    ("face", "face", 20),
    ("body", "body", 31),
    ("hills", "landscape", 42),
    ("street", "street", 55),
    ("word", "word", 63),
)
SIDE = 400  # pixels, about, of the photographs


@st.cache_resource(max_entries=1, show_spinner=False)
def samples():
    """{name: (H, W, 3) uint8}."""
    from sklearn.datasets import load_sample_images

    from factortopy.stimuli.scenes import render_scene

    pictures = {f"drawn: {name}": render_scene(30_000_000 + seed, kind, 224)[0] for name, kind, seed in SCENES}
    for name, pixels in zip(("photo: house", "photo: flower"), load_sample_images().images, strict=True):
        step = max(1, pixels.shape[0] // SIDE)
        pictures[name] = np.ascontiguousarray(pixels[::step, ::step])
    return pictures
