"""What a brain view is asked to show: one row an option, for ``brain_view``, for the browser and for exported pages."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.formats.problems import close_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SENT_AS_ARRAYS = ("rois", "score", "score_label", "density")  # or within what describes them


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """How a brain view looks and what it reports, each option with what it is when nothing is given.

    What "acts when it changes" leaves the visitor's own choice alone as long as the page asks for the same.
    """

    key: str = "brain"
    """Identity of the view; camera and choices outlive reruns."""
    group: str | None = None
    """Views of one group share camera, hovered and selected vertex."""
    rois: Mapping[str, np.ndarray] | None = None
    """{name: (V,) bool or whole-mesh rows}, outlined and named (``Vertices.roi_rows`` gives them)."""
    score: np.ndarray | None = None
    """(V,) float of the whole mesh, NaN where there is none, for the threshold slider (``Vertices.whole`` gives it)."""
    score_label: str = "R²"
    """What the score is, beside its slider."""
    density: str = "10k"
    """Of the maps: "10k", "41k" or "164k"."""
    selected: int | None = None
    """Row of the whole mesh to select; acts when it changes. None and −1 select nothing."""
    map: str | None = None
    """Name of the map to show first; acts when it changes."""
    threshold: float | None = None
    """Least ``score`` that is shown; acts when it changes. The visitor can move it."""
    roi: str | None = None
    """Name of a region to select; acts when it changes."""
    camera: str | None = None
    """``Seen.camera`` of another time; acts when it changes. One that cannot be read is left out of account."""
    swipe: str | None = None
    """Name of a map to show right of a divider when the view is first drawn; the visitor can change it."""
    simulated: bool = False
    """Shows the badge "simulated"."""
    labels: bool = True
    """Outlines and names of regions are shown at first."""
    layout: str = "both"
    """"both", "surface" or "flat"."""
    controls: str = "full"
    """"full", or "compact" for small pictures: sentence and legend only."""
    comparing: bool = True
    """False takes the view's own buttons Swipe and Difference away."""
    heading: str = ""
    """Stands in one line above a small picture, in place of the map's sentence, which hovering it then tells."""
    report: Sequence[str] = ("vertex", "threshold")
    """Which of "vertex", "map", "threshold", "roi", "camera" rerun the script when they change; the camera is reported
    when it has come to rest."""

    @classmethod
    def named(cls, given: Mapping[str, Any]) -> ViewOptions:
        """Options from keyword arguments; TypeError names one that does not exist."""
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise TypeError(
                    f"brain view: no option {name!r}{close_to(name, names)}; the options are {', '.join(names)}"
                )
        return cls(**given)

    def header(self) -> dict[str, Any]:
        """{name: value} as JSON takes it, without what is sent as an array."""
        names = (field.name for field in fields(self) if field.name not in _SENT_AS_ARRAYS)
        header = {name: _plain(getattr(self, name)) for name in names}
        return header | {"selected": -1 if self.selected is None else int(self.selected)}


def _plain(value):
    """Numpy's numbers and any sequence as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | bool | int | float) else list(value)
