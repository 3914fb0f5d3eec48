"""Networks in a list to choose from: which have to be fetched first, and those that are not in it, by their name."""

import streamlit as st

OTHER = "timm/…"
OTHER_LABEL = "any of timm or OpenCLIP, by name"


def to_fetch(entries):
    """{name: what it is called} of the networks whose weights are not on this machine."""
    return {entry.name: f"{entry.name} (weights to fetch)" for entry in entries if not entry.available}


def typed_name(placeholder, help):
    """The name that is typed, as ``load_backbone`` takes it; empty while there is none."""
    name = st.text_input("Name in timm", placeholder=placeholder, help=help).strip()
    return name if not name or name.startswith(("timm/", "open_clip/")) else f"timm/{name}"
