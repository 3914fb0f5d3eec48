"""What work will cost, told before it starts; a subject's folder is looked at once a minute."""

import shutil

import streamlit as st

from factortopy.features.estimate import disk_size
from factortopy.features.reader import SAMPLE
from factortopy.jobs import job
from factortopy.runs import costs
from factortopy.storage.home import home
from factortopy.wording import duration, size_text
from pages.parts.words import plain

FOLDER_UNKNOWN = 10_000  # pictures that a folder is taken to hold when it does not tell


@st.cache_data(ttl=60, show_spinner=False)
def sizes(subject, subject_id, trials=None):
    """Sizes of a subject, or None."""
    return costs.sizes_of(subject, subject_id, trials)


@st.cache_data(ttl=10, show_spinner=False)
def extracted():
    """Features that are on disk."""
    return job.extracted()


def of_runs(planned):
    """Time and disk of runs, in a sentence that can be shown; ``planned`` as ``costs.estimate`` takes them."""
    return plain(costs.sentence(costs.estimate(planned, extracted(), sizes)))


def of_extraction(asked, layers, width):
    """Time and disk of an extraction, in a sentence that can be shown; ``asked`` as ``factortopy.jobs.extract`` takes its settings."""
    if costs.extraction_key(asked) in extracted():
        return "Its tokens of these pictures are on disk already; making sure takes seconds."
    size, pca = sizes(asked["subject"], asked["subject_id"]), asked["pca"]
    n = size.pictures if size else FOLDER_UNKNOWN
    time = costs.extraction_sentence(asked["backbone"], n + (min(n, SAMPLE) if pca else 0))
    disk = size_text(disk_size(layers, width, n, pca))
    first = costs.making([asked["subject"]])
    rendering = f" Before that the demo subject is made, once: about {duration(first)}." if first else ""
    return plain(
        f"For {n:,} pictures: {time}; {disk} of disk at most, {size_text(shutil.disk_usage(home()).free)} are free.{rendering}"
    )
