"""Who may reach the app, which folders its visitors may open, what one visitor sees of another, what names can do."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from browser import ROOT, browser, start_app  # noqa: F401
from PIL import Image
from streamlit.testing.v1 import AppTest
from web_pages import open_page, png, words

import factortopy
from factortopy.errors import InputError
from factortopy.storage import allowed_folders
from factortopy.storage.home import assets_dir, runs_dir

HOSTILE = "<img src=x onerror=alert(1)> :red[x] ![](http://example.invalid/x.png) $\\frac{1}{2}$"
SHIPPED = "demo-vit_demo-1"


@pytest.fixture(autouse=True)
def not_confined(monkeypatch):
    """What a test or a page sets is taken back."""
    monkeypatch.setenv(allowed_folders.LISTED, "")
    monkeypatch.delenv(allowed_folders.LISTED)


# ---------------------------------------------------------------- listening


@pytest.mark.parametrize(
    ("address", "beyond"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("[::1]", False), ("127.8.8.8", False), ("unix:///run/x", False),
     ("0.0.0.0", True), ("::", True), ("", True), (None, True), ("192.168.1.7", True), ("brain.lab", True),
     ("localhost.evil.example", True)],
)  # fmt: skip
def test_addresses(address, beyond):
    assert allowed_folders.beyond_this_machine(address) is beyond


@pytest.mark.parametrize(
    "asked", [["--address", "0.0.0.0"], ["--server.address=::"], ["app", "--server.address", "10.0.0.3"], []]
)
def test_run_py_says_what_to_do_before_it_listens_elsewhere(asked):
    surroundings = {**os.environ, "STREAMLIT_SERVER_ADDRESS": "" if not asked else "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *asked],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "password" in done.stderr and "docs/security.md" in done.stderr and "--share" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_red_banner_beyond_this_machine():
    from streamlit import config

    before = config.get_option("server.address")
    config._set_option("server.address", "0.0.0.0", "test")
    try:
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
        assert not at.exception and "asks for no password" in at.error[0].value and "security.md" in at.error[0].value
        assert allowed_folders.confined() and allowed_folders.listed() == []
    finally:
        config._set_option("server.address", before, "test")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app as it is started by default, in a process of its own."""
    with start_app("serve.py", tmp_path_factory.mktemp("home")) as running:
        running.port = int(running.url.rsplit(":", 1)[1])
        yield running


def own_address():
    """An address of this machine that others could use; None where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return None
        found = probe.getsockname()[0]
    return None if found.startswith("127.") else found


def test_the_app_answers_this_machine_alone(app):
    socket.create_connection(("127.0.0.1", app.port), timeout=5).close()
    elsewhere = own_address()
    if elsewhere is None:
        pytest.skip("this machine has no address but loopback")
    with pytest.raises(OSError):
        socket.create_connection((elsewhere, app.port), timeout=5)


def put(app, body, headers, session="session"):
    """Status of an upload."""
    request = urllib.request.Request(f"{app.url}/_stcore/upload_file/{session}/file", body, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:  # closed before all was sent
        return "closed"


def test_an_upload_without_token_is_refused(app):
    form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\nabc\r\n--x--\r\n'
    assert put(app, form, {"Content-Type": "multipart/form-data; boundary=x"}) == 403


def session_of(app, line):
    """The id that the server gives to a visitor who has opened its socket."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    ask = BackMsg()
    ask.rerun_script.query_string = ""
    line.send(ask.SerializeToString())
    while True:
        told = ForwardMsg.FromString(line.recv(timeout=60))
        if told.WhichOneof("type") == "new_session":
            return told.new_session.initialize.session_id


def test_an_upload_over_the_limit_is_refused(app):
    """A visitor with a session and a token of their own: a small file is taken, one over ``maxUploadSize`` is not."""
    from websockets.sync.client import connect

    health = urllib.request.urlopen(f"{app.url}/_stcore/health", timeout=10)
    cookie = next(c.split(";")[0] for c in health.headers.get_all("Set-Cookie") if "xsrf" in c.lower())
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Cookie": cookie}
    headers["X-Xsrftoken"] = cookie.partition("=")[2].strip('"')

    def form(size):
        head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
        return head + bytes(size) + b"\r\n--x--\r\n"

    with connect(f"ws://localhost:{app.port}/_stcore/stream", origin=app.url, max_size=None) as line:
        session = session_of(app, line)
        assert put(app, form(1000), headers, session) == 204
        assert put(app, form(51 * 2**20), headers, session) in (413, "closed")
        assert put(app, form(1000), headers, "another-session") == 400


def opened(port, host, origin):
    """Status of an attempt to open the app's socket."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: {origin}\r\n\r\n".encode()
        )
        return line.recv(200).split(b" ")[1]


def test_a_foreign_page_cannot_open_the_socket(app):
    own = f"localhost:{app.port}"
    assert opened(app.port, own, app.url) == b"101"
    assert opened(app.port, own, "http://evil.example") == b"403"
    assert opened(app.port, "evil.example", app.url) == b"403"  # a name that was made to point here


@pytest.mark.slow
def test_behind_a_proxy_only_its_name_opens_the_socket(tmp_path):
    """The options of docs/security.md."""
    name = "brain.example.org"
    options = ("--server.allowedHosts", name, "--server.corsAllowedOrigins", f"https://{name}")
    with start_app("serve.py", tmp_path, *options) as app:
        port = int(app.url.rsplit(":", 1)[1])
        assert opened(port, name, f"https://{name}") == b"101"
        assert opened(port, name, "https://evil.example") == b"403"
        assert opened(port, "evil.example", f"https://{name}") == b"403"


# ---------------------------------------------------------------- folders


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A listed folder, one beside it, links between them."""
    for name in ("open/inner", "secret", "open-not"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret" / "w.safetensors").write_bytes(b"x")
    (tmp_path / "open" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "open" / "loop").symlink_to(tmp_path / "open" / "loop")
    (tmp_path / "open" / "fine").symlink_to(tmp_path / "open" / "inner")
    monkeypatch.setenv(allowed_folders.LISTED, str(tmp_path / "open"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


OUTSIDE = [
    "{place}/secret", "{place}/open/../secret", "open/../secret", "open/inner/../../secret", "secret", "/", "/etc/passwd", "..", ".",
    "{place}/open/link", "{place}/open/link/w.safetensors", "{place}/open/loop", "{place}/open-not", "~", "~root", "~nobody-there/x",
    "C:\\Users\\me", "\\\\server\\share", "//server/share", "file:///etc/passwd", "open\0/../secret", "x" * 5000, "", "/proc/self/environ",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_outside_are_refused_everywhere(place, path):
    path = path.format(place=place)
    ways = (
        lambda: allowed_folders.permitted(path), lambda: allowed_folders.typed(path), lambda: allowed_folders.files_in(path, (".png",)),
        lambda: factortopy.load_subject(path), lambda: factortopy.load_backbone("demo-vit", path or "."),
    )  # fmt: skip
    for way in ways:
        with pytest.raises(InputError, match="inside the folders that this app may open") as caught:
            way()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["{place}/open", "{place}/open/inner", "open/inner", "open/./inner/..", "{place}/open/fine", "{place}/open/none"],
)
def test_paths_inside_are_opened(place, path):
    path = path.format(place=place)
    assert allowed_folders.permitted(path) == path and allowed_folders.is_permitted(path)


def test_the_answer_tells_nothing_about_what_is_outside(place):
    said = []
    for name in ("secret", "gone--"):
        with pytest.raises(InputError) as caught:
            factortopy.load_subject(str(place / name))
        said.append(str(caught.value).replace(name, "*"))
    assert said[0] == said[1]


def test_what_needs_no_path_is_there_and_a_data_set_is_not_looked_for_above(place, monkeypatch):
    from dataclasses import replace

    from factortopy.subjects import layouts

    seen = []
    watched = [replace(one, is_here=lambda folder: seen.append(folder)) for one in layouts.LAYOUTS]
    monkeypatch.setattr(layouts, "LAYOUTS", watched)
    with pytest.raises(InputError):
        layouts.find(place / "open" / "inner")
    assert seen and all(folder.is_relative_to(place / "open") for folder in seen)
    assert factortopy.load_backbone("demo-vit", "untrained").name.endswith("untrained")


def test_paths_in_protocols_and_settings_are_refused(place):
    from factortopy.experiments.localizer import read_categories
    from factortopy.experiments.protocol import complete, run_protocol
    from factortopy.runs.settings import check_settings

    encoder = factortopy.Encoder.load(assets_dir() / "runs" / SHIPPED)
    secret = str(place / "secret")
    with pytest.raises(InputError, match="may open"):
        read_categories(secret)
    for name, value in (("localizer", secret), ("retinotopy", secret), ("retinotopy", [secret + "/a.png"])):
        more = {"carrier": "picture"} if name == "retinotopy" else {}
        with pytest.raises(InputError, match="may open"):
            run_protocol(complete({"experiment": name, "settings": {"pictures": value, **more}}), encoder)
    for key in ("subject", "weights"):
        with pytest.raises(InputError, match="may open"):
            check_settings({"subject": "demo-1", "backbone": "demo-vit", key: secret})


def test_everything_may_be_opened_by_who_sits_at_the_machine(place, monkeypatch):
    monkeypatch.delenv(allowed_folders.LISTED)
    assert allowed_folders.permitted("/etc") == "/etc"
    allowed_folders.confine()
    with pytest.raises(InputError, match="none; whoever started the app lists them in FACTORTOPY_FOLDERS"):
        allowed_folders.permitted("/etc")


def test_pages_refuse_them_in_a_sentence(place):
    for name in ("data", "train"):
        at = open_page(name)
        at.selectbox[0].set_value("").run()
        next(t for t in at.text_input if t.label == "Folder").set_value(str(place / "secret")).run()
        assert not at.exception and len(at.error) == 1 and "may open" in at.error[0].value
    at = open_page("pictures")
    next(t for t in at.text_input if t.label == "Folder with pictures").set_value("/etc").run()
    assert not at.exception and len(at.error) == 1 and "may open" in at.error[0].value


# ---------------------------------------------------------------- visitors


def test_files_of_one_name_are_not_mixed_up_between_visitors():
    """What the page Networks made of a picture is found again by what is in it, not by its name."""

    def networks():
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
        return at.switch_page("pages/networks.py").run()

    first, second = networks(), networks()
    for visitor, colour in ((first, (200, 10, 10)), (second, (10, 10, 200))):
        visitor.file_uploader[0].upload("mine.png", png(colour), "image/png").run()
        visitor.selectbox(key="picture").set_value(r"mine\.png").run()
    next(b for b in first.button if b.label == "Show its layers").click().run()
    end = time.monotonic() + 120
    while "principal components" not in words(first):
        assert time.monotonic() < end and not first.exception and not first.error
        time.sleep(0.3)
        first.run()
    second.run()
    assert any(b.label == "Show its layers" for b in second.button) and "principal components" not in words(second)


def test_the_videos_key_is_the_content():
    from pages.parts import video
    from pages.parts.background import tasks

    class Upload:
        def __init__(self, data):
            self.getvalue = lambda: data

    encoder = type("E", (), {"fingerprint": "f", "info": {}})()
    keys = [video.started(encoder, Upload(data), 2, False)[1] for data in (b"one", b"two", b"one")]
    assert keys[0] == keys[2] != keys[1] and tasks.find(keys[0]) is not tasks.find(keys[1])


# ---------------------------------------------------------------- names


def hostile_store(home):
    """Runs whose subject, network, areas and layers bear hostile names; two, so that they can be compared."""
    from factortopy.encoder import Encoder

    for number in (1, 2):
        encoder = Encoder.load(assets_dir() / "runs" / SHIPPED)
        encoder.rois = {f"{HOSTILE}{k}": mask for k, mask in enumerate(encoder.rois.values())}
        encoder.layer_names = [f"{HOSTILE}{k}" for k in range(len(encoder.layer_names))]
        encoder.info |= {"subject": HOSTILE, "recipe": "fast", "seed": number}
        place = home / "runs" / f"mine{number}"
        encoder.save(place)
        for name in ("gallery.jpg", "gallery.safetensors", "history.csv"):
            shutil.copy(assets_dir() / "runs" / SHIPPED / name, place)
        info = json.loads((place / "run.json").read_text())
        rows = [
            {"roi": name, "vertices": 10, "score": 0.1, "ceiling": 0.5, "share": 0.2} for name in ("all", *encoder.rois)
        ]
        told = {
            "schema": 1,
            "name": place.name,
            "settings": {"subject": HOSTILE, "seed": number},
            "scores": rows,
            "state": "finished",
            "created": HOSTILE,
        }
        (place / "run.json").write_text(json.dumps(info | told | {"reason": HOSTILE}))


PAGES = ("explore", "pictures", "lab", "compare", "train", "data", "networks", "learn")


def test_names_are_shown_as_typed_on_every_page(tmp_path):
    """Text, and what Streamlit reads as Markdown beside it: labels, headings, options of a row of buttons."""
    hostile_store(tmp_path / "home")
    encoder = factortopy.Encoder.load(runs_dir() / "mine1")
    inside = int(np.flatnonzero(next(iter(encoder.rois.values())))[0])
    views = [(name, {}) for name in PAGES[:5]] + [
        ("explore", {"vertex": str(inside)}),
        ("explore", {"roi": f"{HOSTILE}0"}),
    ]
    for name, query in views:
        at = open_page(name, run="mine1", **query)
        assert not at.exception, name
        labels = [
            w.label for kind in (at.button, at.metric, at.expander, at.checkbox, at.toggle, at.slider) for w in kind
        ]
        options = [o for kind in (at.radio, at.button_group) for w in kind for o in w.options]
        said = "\n".join(
            [words(at), *labels, *map(str, options), *(t.value for kind in (at.title, at.header) for t in kind)]
        )
        assert "![](" not in said and " :red[" not in said and "$\\frac" not in said.replace("\\$", ""), (name, query)
        assert not any(m.allow_html for m in at.markdown)


def test_names_in_what_is_taken_away_are_text(tmp_path):
    """Exported page, tables and GIFTI hold the names as text; nothing in them is loaded from anywhere."""
    from factortopy.export.run import export_run
    from factortopy.runs.run import find_run

    hostile_store(tmp_path / "home")
    export_run(find_run("mine1"), tmp_path / "out", ["html", "gifti"])
    made = [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".html", ".svg", ".gii", ".xml")]
    assert made
    for path in made:
        text = path.read_text(encoding="utf-8")
        assert "<img src=x" not in text, path.name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_hostile_names_in_a_browser(browser, tmp_path):  # noqa: F811
    """Every page, the report and the exported page: no dialog, no request to anywhere but the app."""
    from factortopy.cli.main import main
    from factortopy.export.run import export_run
    from factortopy.runs.run import find_run

    home = tmp_path / "home"
    hostile_store(home)
    (tmp_path / HOSTILE.replace("/", "_")).mkdir()
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    dialogs, wanted = [], []
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    page.on("request", lambda r: wanted.append(r.url))
    with start_app("serve.py", home, "--server.address", "0.0.0.0") as app:
        own = app.url.split("//")[1]

        def foreign():
            return [url for url in wanted if own not in url and not url.startswith(("data:", "blob:"))]

        for name in PAGES:
            place = {"explore": "", "pictures": "your_pictures"}.get(name, name)
            page.goto(f"{app.url}/{place}?run=mine1" + (f"&roi={HOSTILE}" if name in PAGES[::2] else "&vertex=100"))
            page.get_by_text("asks for no password").wait_for(timeout=90_000)
            page.wait_for_timeout(6000)
            assert not foreign(), f"{name} asked for {foreign()[:2]}"
            assert page.get_by_text("Traceback").count() == 0, name
            assert page.locator("img[src='x'], img[onerror]").count() == 0, name
            if name == "pictures":
                named = tmp_path / "<img src=x onerror=alert(1)>.png"
                Image.fromarray(np.full((40, 40, 3), 99, np.uint8)).save(named)
                page.locator("input[type=file]").first.set_input_files(str(named))
                page.wait_for_timeout(6000)
                assert page.locator("img[src='x'], img[onerror]").count() == 0
            if name == "data":
                page.get_by_placeholder("path of a data set").fill(str(tmp_path / HOSTILE.replace("/", "_")))
                page.keyboard.press("Enter")
                page.get_by_text("may open").wait_for(timeout=60_000)
        assert not foreign() and "Traceback" not in app.log()
    assert main(["report", "mine1", "mine2", "--out", str(tmp_path / "report"), "--quick"]) == 0
    export_run(find_run("mine1"), tmp_path / "out", ["html"])
    page.goto("about:blank")  # the page of the app that has ended asks for it again and again
    wanted.clear()
    for path in (tmp_path / "report" / "report.html", *(tmp_path / "out").glob("*.html")):
        page.goto(path.as_uri())
        page.wait_for_timeout(3000)
        assert page.locator("img[src='x'], img[onerror]").count() == 0, path.name
    assert all(url.startswith(("file:", "data:", "blob:")) for url in wanted), wanted
    assert not dialogs
    page.close()
