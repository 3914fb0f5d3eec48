"""The server of the app: as ``streamlit run app.py``, with what a first page needs made ready and announced beforehand."""

import threading
from contextlib import asynccontextmanager
from importlib import import_module

from starlette.middleware import Middleware
from streamlit.starlette import App

from factortopy.view.announcing import Announce, make_ready

# What the first page imports, then what the others do beside it; none of it needs torch.
IMPORTS = (
    "pages.parts.runs", "pages.parts.explore_clusters", "pages.parts.take_away",
    "factortopy.encoder.encoder", "factortopy.analysis.gallery", "factortopy.view.overlay", "factortopy.view.factor_maps", "pandas",
)  # fmt: skip


def prepare():
    """While the browser still starts."""
    make_ready()
    for name in IMPORTS:
        import_module(name)


@asynccontextmanager
async def lifespan(app):
    """Prepare beside the server, which answers meanwhile."""
    threading.Thread(target=prepare, daemon=True).start()
    yield


BRAINS = ("", "explore", "your_pictures", "lab", "compare", "data")  # pages that begin with one
app = App("app.py", lifespan=lifespan, middleware=[Middleware(Announce, pages=BRAINS)])
