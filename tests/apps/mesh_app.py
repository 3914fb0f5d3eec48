"""A page with a brain view at 41k, for tests/surfaces/test_meshes.py."""

import numpy as np
import streamlit as st

from factortopy import surfaces, view

st.set_page_config(layout="wide")
mesh = surfaces.load_mesh("41k")
values = mesh.coords["inflated"][:, 1]
rows = np.arange(2 * mesh.n)
made = view.score_map(values / 200, surfaces.Vertices(rows // mesh.n, rows % mesh.n, "41k"))
view.brain_view(made, key="main", height=520, density="41k", simulated=True)
