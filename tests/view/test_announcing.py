"""Pages name what a brain needs before Streamlit asks for it, answers are not held back, browsers keep what never changes."""

import asyncio
import http.client
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn
from browser import start_app

from factortopy.view.announcing import STATIC, Announce, streamlit_parts

BRAINS = ("/", "/lab", "/compare", "/your_pictures")


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Asks a running app for a path: (status, headers, body), over one connection."""
    with start_app("serve.py", tmp_path_factory.mktemp("home")) as app:
        connection = http.client.HTTPConnection(app.url.removeprefix("http://"))

        def ask(path):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

        end = time.monotonic() + 60
        while "link" not in ask("/")[1] and time.monotonic() < end:  # a moment after the server's start
            time.sleep(0.1)
        yield ask


def links(headers):
    return re.findall(r"<\.(/[^>]+)>; rel=(\w+)", headers.get("link", ""))


@pytest.mark.parametrize("path", BRAINS)
def test_a_page_with_a_brain_names_what_it_needs_and_all_of_it_is_there(answered, path):
    """Relative, so that they also hold behind a proxy that gives the app a folder of its own."""
    named = links(answered(path)[1])
    for kind in (r"brain-\w+\.js", r"brain-\w+\.css", r"geometry-10k-\w+\.bin\.gz", r"BidiComponent\.[\w-]+\.js"):
        assert sum(bool(re.search(f"/{kind}$", name)) for name, _ in named) == 1, kind
    for name, _ in named:
        status, headers, body = answered(name)
        assert (status, bool(body)) == (200, True), name
        assert "immutable" in headers["cache-control"], name  # else it would be asked for once more


@pytest.mark.parametrize("path", ["/train", "/jobs", "/networks", "/learn", "/_stcore/health", "/nothing/here"])
def test_what_has_no_brain_names_nothing(answered, path):
    assert not links(answered(path)[1])


def test_answers_do_not_wait_for_the_acknowledgement_of_their_head():
    """A port opened as Streamlit opens it: Nagle's algorithm is on until the first request has come through."""
    seen = []

    async def app(scope, receive, send):
        connection = receive.__self__.transport.get_extra_info("socket")
        seen.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    for served in (app, Announce(app, ())):
        with socket.socket(family=socket.AF_INET) as port:
            port.bind(("127.0.0.1", 0))
            port.listen()
            server = uvicorn.Server(uvicorn.Config(served, lifespan="off", log_level="error"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [port]}, daemon=True)
            thread.start()
            connection = http.client.HTTPConnection("127.0.0.1", port.getsockname()[1], timeout=30)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            server.should_exit = True
            thread.join(30)
    assert seen[0] == 0, "no need of our own setting any more: take it out"
    assert seen[1] == 1


def test_parts_of_streamlit():
    """What the element's script imports and the page does not name by itself; nothing for a name that Streamlit has not."""
    parts, folder = streamlit_parts("BidiComponent"), STATIC / "static" / "js"
    index = (STATIC / "index.html").read_text()
    assert parts[0].startswith("BidiComponent.") and len(set(parts)) == len(parts)
    assert all((folder / part).is_file() and part not in index for part in parts)
    imported = re.findall(r'from"\./([\w.-]+\.js)"', (folder / parts[0]).read_text())
    assert {part for part in imported if part not in index} <= set(parts)
    assert streamlit_parts("NoSuchElement") == []


@pytest.mark.parametrize("kind", ["http", "websocket", "lifespan"])
def test_without_a_connection_it_passes_everything_on(kind):
    """As a test client, or another server than uvicorn, gives it."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})

    async def receive():
        return {}

    async def send(message):
        sent.append(message)

    with ThreadPoolExecutor(1) as own:  # a browser's test leaves a loop running in this thread
        own.submit(asyncio.run, Announce(app, BRAINS)({"type": kind, "path": "/train"}, receive, send)).result()
    assert sent == [{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}]
