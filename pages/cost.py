"""What work will cost, told before it starts; a subject's folder is looked at once a minute."""

import shutil

import streamlit as st

from factortopy import costs
from factortopy.home import home
from factortopy.tokens import SAMPLE, disk_size, size_text
from pages import shared

FOLDER_UNKNOWN = 10_000  # pictures that a folder is taken to hold when it does not tell


@st.cache_data(ttl=60, show_spinner=False)
def sizes(subject, subject_id, trials=None):
    """Sizes of a subject, or None."""
    return costs.sizes_of(subject, subject_id, trials)


def of_runs(planned):
    """Time and disk of runs, in a sentence that can be shown; ``planned`` as ``costs.estimate`` takes them."""
    return shared.plain(costs.told(costs.estimate(planned, sizes)))


def of_extraction(name, layers, width, subject, subject_id, pca):
    """Time and disk of an extraction, in a sentence that can be shown."""
    found = sizes(subject, subject_id)
    n = found.pictures if found else FOLDER_UNKNOWN
    time = costs.extraction_told(name, n + (min(n, SAMPLE) if pca else 0))
    disk = size_text(disk_size(layers, width, n, pca))
    return shared.plain(
        f"For {n:,} pictures: {time}; {disk} of disk at most, {size_text(shutil.disk_usage(home()).free)} are free."
    )
