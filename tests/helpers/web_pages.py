"""Pages opened by Streamlit's AppTest, read and followed."""

import io
from pathlib import Path
from urllib.parse import parse_qs

from PIL import Image
from streamlit.testing.v1 import AppTest

PAGES = {"explore": "pages/explore.py", "pictures": "pages/your_pictures.py", "train": "pages/train.py",
         "lab": "pages/lab.py", "data": "pages/data.py", "compare": "pages/compare.py", "learn": "pages/learn.py"}  # fmt: skip
SHIPPED = "demo-vit_demo-1"
ROOT = Path(__file__).resolve().parents[2]


def open_page(name, **query):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    return at if name == "explore" else at.switch_page(PAGES[name]).run()


def words(at):
    """Everything that is said on the page."""
    kinds = (at.markdown, at.caption, at.warning, at.error, at.info, at.success, at.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def link(at, label):
    """What the page's one link of that label says: page, query_string, disabled …"""
    (found,) = [element.proto for element in at.get("page_link") if element.proto.label == label]
    return found


def follow(at, label):
    """Open what a link leads to, as the browser does."""
    found = link(at, label)
    at.query_params.clear()
    for key, values in parse_qs(found.query_string).items():
        at.query_params[key] = values[0]
    return at.switch_page(f"pages/{found.page or 'explore'}.py").run()


def png(colour=(200, 80, 40), size=(90, 120)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()
