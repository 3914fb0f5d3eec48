"""``brain_view``: the interactive brain as a Streamlit component. The browser's side is in ``assets/``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from factortopy.storage.files import write_atomic
from factortopy.view import geometry
from factortopy.view.brainmap import BrainMap
from factortopy.view.bundle import script
from factortopy.view.message import message, stamp
from factortopy.view.options import ViewOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


NAME = "factortopy.brain"
STATES = ("vertex", "map", "threshold", "roi", "camera")


@dataclass(frozen=True)
class Seen:
    """What the visitor has chosen in a brain view.

    vertex : int or None, row of the whole mesh (left hemisphere first)
    map : str or None, name of the map that was switched to
    threshold : float or None, least score that is shown
    roi : str or None, name of the selected region
    camera : str or None, the view's camera and layout as a short text (at most 59 characters: letters, digits, ``.-_``)
        that ``brain_view(camera=…)`` takes; None until the camera has been moved
    """

    vertex: int | None = None
    map: str | None = None
    threshold: float | None = None
    roi: str | None = None
    camera: str | None = None


def brain_view(
    maps: BrainMap | Sequence[BrainMap],
    *,
    key: str,
    height: int = 560,
    on_change: Callable[[], Any] | None = None,
    **options: Any,
) -> Seen:
    """Show the brain with one or several maps, on the surface and on the flat map.

    Parameters
    ----------
    maps : BrainMap or list of BrainMap
        Sent together and switched in the browser.
    key : str
        Identity of the view; camera and choices outlive reruns.
    height : int
        Pixels, the same from the first moment on.
    on_change : callable, optional
        Called when the selected vertex or region has changed.
    options
        Any field of ``ViewOptions`` by its name: rois, score, selected, layout, report and more.

    Returns
    -------
    Seen

    Raises
    ------
    TypeError
        An option that does not exist.
    """
    chosen = ViewOptions.named({"key": key, **options})
    states = {name: getattr(chosen, "selected" if name == "vertex" else name) for name in STATES}
    result = _component()(
        key=key,
        data=message([maps] if isinstance(maps, BrainMap) else list(maps), chosen),
        height=int(height),
        default=states | {"vertex": -1 if chosen.selected is None else int(chosen.selected)},
        **{f"on_{name}_change": on_change if on_change and name in ("vertex", "roi") else _nothing for name in STATES},
    )
    now = {name: _state(key, name, value, getattr(result, name, None)) for name, value in states.items()}
    vertex = now.pop("vertex")
    return Seen(vertex=int(vertex) if vertex is not None and vertex >= 0 else None, **now)


def _state(key, name, wanted, reported):
    """What the page wants in the run in which that changes, else what the browser has reported."""
    import streamlit as st

    memory = f"_brain_view_{key}_{name}"
    changed = memory in st.session_state and st.session_state[memory] != wanted
    st.session_state[memory] = wanted
    return wanted if changed else reported


def _nothing():
    """Streamlit reports only states that have a callback."""


def make_ready() -> tuple[str, ...]:
    """Write the browser's side where it is served and register it with Streamlit; returns its files' names."""
    folder, files = geometry.folder(), _files()
    for name, content in files.items():
        if not (folder / name).is_file():
            write_atomic(folder / name, content)
    _serve(folder)
    _registered(*files)
    return tuple(files)


def _component():
    return _registered(*make_ready())


@cache
def _files():
    """{name: text} of style and script; the name changes with the text, so that no browser shows an old one."""
    texts = {"css": (geometry.ASSETS / "brain.css").read_text(encoding="utf-8"), "js": script()}
    return {f"brain-{stamp(text)}.{kind}": text for kind, text in texts.items()}


@cache
def _registered(css, js):
    import streamlit as st

    html = (geometry.ASSETS / "brain.html").read_text(encoding="utf-8")
    return st.components.v2.component(NAME, html=html, css=css, js=js)


def _serve(folder):
    """Let Streamlit serve the folder under the component's name.

    By itself it would look for a declaration in an installed package; what we serve is made on this machine.
    """
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(NAME) != folder.resolve():
        distribution, component = NAME.split(".")
        config = ComponentConfig(name=component, asset_dir=folder.name)
        manager.register_from_manifest(ComponentManifest(distribution, "0", [config]), folder.parent)
