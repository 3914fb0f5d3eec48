"""How many pictures a second networks were shown on this machine: every extraction leaves it, estimates read it.

``pace.json`` under the home folder: {network: {"pictures_per_second", "device", "date"}}, the last extraction of each, or a probe
with blank pictures ("probe") while there is none. Losing it loses nothing but estimates.
"""

import contextlib

from factortopy.errors import InputError
from factortopy.storage.files import read_json, write_json
from factortopy.storage.home import home
from factortopy.storage.records import now

FEWEST, SHORTEST = 32, 1.0  # pictures and seconds below which an extraction says little
FEWEST_PROBED = 4
UNTRAINED = " untrained"  # random weights take as long


def keep(backbone, pictures, seconds, probe=False):
    """Remember what a network was measured at; estimates are no reason to fail."""
    speeds, name = measured(), str(backbone.name).removesuffix(UNTRAINED)
    if probe:
        enough = pictures >= FEWEST_PROBED and seconds > 0 and speeds.get(name, {"probe": True}).get("probe", False)
    else:
        enough = pictures >= FEWEST and seconds >= SHORTEST
    if not enough:
        return
    device = getattr(getattr(backbone, "device", None), "type", "cpu")
    one = {"pictures_per_second": round(pictures / seconds, 3), "device": device, "date": now()[:10]}
    with contextlib.suppress(InputError, OSError):
        write_json(home() / "pace.json", speeds | {name: one | ({"probe": True} if probe else {})})


def measured():
    """{network: what was measured}; what cannot be read counts as not measured."""
    with contextlib.suppress(InputError, OSError):
        speeds = read_json(home() / "pace.json", "measurement").items()
        return {name: one for name, one in speeds if isinstance(one, dict) and _is_pace(one.get("pictures_per_second"))}
    return {}


def _is_pace(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
