"""What a brain needs is announced with the page itself, so that the browser has it before Streamlit asks.

Without it script, style and shapes are asked for one after the other, behind eighty parts of Streamlit's own: when a page is asked
for, its answer gets a ``Link`` header (RFC 8288) that names them. Their names change with their content: a browser may keep them.
"""

import re
import socket
from pathlib import Path

import streamlit

from factortopy.view import component, geometry

SERVED = f"_stcore/bidi-components/{component.NAME}/"
STATIC = Path(streamlit.__file__).parent / "static"
IMPORTS = re.compile(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""")
KEEP = b"public, max-age=31536000, immutable"


class Announced:
    """The links of this server; none before ``make_ready``, since the component's files cannot be asked for until then."""

    links = b""


def make_ready():
    """Register the component, write its files, and from then on announce them; less than a second."""
    names = component.make_ready()
    script, style = (next(name for name in names if name.endswith(kind)) for kind in (".js", ".css"))
    shapes = geometry.built("10k").name
    links = [
        f"<./{SERVED}{script}>; rel=modulepreload",
        f"<./{SERVED}{style}>; rel=preload; as=style",
        f"<./{SERVED}{shapes}>; rel=preload; as=fetch; crossorigin",
        *(f"<./static/js/{name}>; rel=modulepreload" for name in streamlit_parts("BidiComponent")),
    ]
    Announced.links = ", ".join(links).encode()


def streamlit_parts(name):
    """Streamlit's own scripts for an element of that name beyond those that every page names; [] where it has none."""
    folder, index = STATIC / "static" / "js", (STATIC / "index.html").read_text(encoding="utf-8")
    waiting, parts = [path.name for path in folder.glob(f"{name}.*.js")], []
    while waiting:
        part = waiting.pop()
        if part not in parts and part not in index and (folder / part).is_file():
            parts.append(part)
            waiting += IMPORTS.findall((folder / part).read_text(encoding="utf-8"))
    return parts


class Announce:
    """ASGI middleware: adds the links to the pages of these names, and lets browsers keep the component's files."""

    def __init__(self, app, pages):
        self.app, self.pages = app, frozenset(pages)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            at_once(receive)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message):
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = dict(message["headers"])
                if f"/{SERVED}" in scope["path"]:
                    headers[b"cache-control"] = KEEP
                elif Announced.links and scope["path"].rpartition("/")[2] in self.pages:
                    headers[b"link"] = Announced.links
                message = message | {"headers": list(headers.items())}
            await send(message)

        await self.app(scope, receive, answer)


def at_once(receive):
    """Let the system send what a connection writes without waiting for more.

    Streamlit (1.67) opens its port in a way that asyncio does not know as TCP, and so leaves Nagle's algorithm on: an answer's
    second part then waits up to 40 ms for the browser's acknowledgement of the first. uvicorn's ``receive`` knows the connection.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
