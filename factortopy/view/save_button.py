"""``save_button``: one small control beside a chart that saves it as PNG, SVG and CSV. The browser's side is in ``assets/``."""

from functools import cache

from factortopy.view.geometry import ASSETS

NAME = "factortopy.save"


def save_button(name, csv, key):
    """The control; put it before the chart, in a container that holds nothing else.

    Parameters
    ----------
    name : str
        Of the files, without ending.
    csv : str
        The numbers.
    """
    _component()(key=key, data={"name": name, "csv": csv}, height="content")


@cache
def _component():
    import streamlit as st

    html, css, js = ((ASSETS / f"save.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component(NAME, html=html, css=css, js=js)
