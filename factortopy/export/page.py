"""The viewer as one HTML file that opens from disk, without Python and without network."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factortopy.errors import InputError
from factortopy.storage.files import write_atomic
from factortopy.view.brainmap import BrainMap
from factortopy.view.bundle import script
from factortopy.view.geometry import ASSETS, built
from factortopy.view.message import message
from factortopy.view.options import ViewOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

INSIDE = "https://inside.invalid/"  # where the script believes it lies; fetch finds the file's own data there
# Nothing may be loaded from anywhere: a page that was sent by mail stays what it is.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:; "
    "worker-src data: blob:; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="FactorTopy">
<title>{title}</title>
<style>
html, body {{ height: 100%; margin: 0; background: #0e1117; color: #e6e9ee; font: 14px/1.4 system-ui, sans-serif; }}
body {{ display: flex; flex-direction: column; }}
#view {{ flex: 1; min-height: 360px; position: relative; }}
#view > div {{ height: 100%; box-sizing: border-box; }}
footer {{ padding: 6px 12px; color: #9aa3b2; font-size: 12px; }}
{css}
</style>
<main id="view">{body}</main>
<footer>{note}</footer>
<noscript>This page draws a brain with JavaScript: allow it for this file.</noscript>
<script type="application/json" id="files">{files}</script>
<script type="module">
const files = JSON.parse(document.getElementById("files").textContent);
const bytes = (text) => {{
  const word = atob(text), out = new Uint8Array(word.length);
  for (let k = 0; k < word.length; k++) out[k] = word.charCodeAt(k); // three times sooner than Uint8Array.from
  return out;
}};
const elsewhere = globalThis.fetch;
globalThis.fetch = async (address, ...rest) => {{
  const url = String(address.url ?? address);
  const file = url.startsWith("{inside}") ? files[url.slice({inside_length}).split(/[?#]/)[0]] : undefined;
  return file === undefined ? elsewhere(address, ...rest) : new Response(bytes(file));
}};
const {{ default: component }} = await import({script});
const host = {{ parentElement: document.getElementById("view"), key: "page" }};
component({{ ...host, data: bytes(files.message), setStateValue() {{}}, setTriggerValue() {{}} }});
</script>
</html>
"""


def view_html(
    maps: BrainMap | Sequence[BrainMap],
    path: str | Path,
    *,
    title: str | None = None,
    note: str | None = None,
    **options: Any,
) -> Path:
    """Write the brain view with its maps as a page of its own.

    It turns, unfolds, picks, switches and thresholds as in the app; the assets are read when this is called.

    Parameters
    ----------
    maps : BrainMap or list of BrainMap
    path : str or Path
    title : str, optional
        Of the browser's tab; the first map's sentence by default.
    note : str, optional
        A line below the view, shown as typed.
    options
        Any field of ``view.ViewOptions`` by its name: rois, score, simulated, threshold, selected, map, layout and more.

    Returns
    -------
    Path
    """
    maps = [maps] if isinstance(maps, BrainMap) else list(maps)
    if not maps:
        raise InputError("page of the viewer: expected at least one map, found none")
    chosen = ViewOptions.named({"key": "page", "report": (), "density": maps[0].density, **options})
    contents = {"message": message(maps, chosen), **_geometries(maps[0].density)}
    files = {name: _text(content) for name, content in contents.items()}
    words = ("simulated · " if chosen.simulated else "") + (title or maps[0].title)
    page = _PAGE.format(
        policy=html.escape(_POLICY, quote=True),
        title=html.escape(words),
        css=(ASSETS / "brain.css").read_text(encoding="utf-8").replace("</", "<\\/"),
        body=(ASSETS / "brain.html").read_text(encoding="utf-8"),
        note=html.escape(note or words),
        script=_json(f"data:text/javascript;base64,{_text(_script().encode())}"),
        files=_json(files),
        inside=INSIDE,
        inside_length=len(INSIDE),
    )
    write_atomic(path, page)
    return Path(path)


def _script():
    """The component's script; its files lie where the page's own fetch finds them."""
    return script().replace("import.meta.url", f'"{INSIDE}"') + "\n//# sourceURL=factortopy.js\n"


def _geometries(density):
    """{name below ``INSIDE``: bytes} of a density's shapes, and of 10k's, which are drawn in motion."""
    return {path.name: path.read_bytes() for path in {built(density), built("10k")}}


def _text(data):
    return base64.b64encode(data).decode()


def _json(value):
    """JSON that cannot end the script element that holds it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
