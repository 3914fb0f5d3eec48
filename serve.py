"""The server of the app: as ``streamlit run app.py``, with what a first page needs made ready and announced beforehand."""

import threading
from contextlib import asynccontextmanager

from starlette.middleware import Middleware
from streamlit.starlette import App

from factortopy.view.announcing import Announce, make_ready


@asynccontextmanager
async def lifespan(app):
    """Read what the pages import while the browser still starts."""
    threading.Thread(target=make_ready, daemon=True).start()
    yield


BRAINS = ("", "explore", "your_pictures", "lab", "compare", "data")  # pages that begin with one
app = App("app.py", lifespan=lifespan, middleware=[Middleware(Announce, pages=BRAINS)])
