"""The registry of networks: names in, networks in evaluation mode out."""

from factortopy.errors import InputError

UNTRAINED = " untrained"


def list_backbones():
    """All networks known by name, as ``Entry`` rows. Any timm network can be loaded as "timm/NAME" beside them."""
    from factortopy.backbones.demo import demo_entries

    return demo_entries()


def load_backbone(name, weights=None):
    """Load a network.

    Parameters
    ----------
    name : str
        A registry name (see ``list_backbones``) or "timm/NAME".
    weights : None, "untrained" or path
        None: as published (fetched once where needed). "untrained": random weights, and called so everywhere.

    Returns
    -------
    Backbone

    Raises
    ------
    InputError
        Unknown name; weights that cannot be fetched, are damaged or belong to another network.
    """
    name = str(name).strip()
    if name.endswith(UNTRAINED):  # the name that an untrained network goes by
        name, weights = name.removesuffix(UNTRAINED), "untrained"
    if name.startswith("timm/"):
        from factortopy.backbones.timm_adapter import load_timm

        backbone = load_timm(name.removeprefix("timm/"), weights)
    else:
        from factortopy.backbones.demo import OBJECTIVES, load_demo

        if name not in OBJECTIVES:
            known = ", ".join(entry.name for entry in list_backbones())
            raise InputError(
                f"network {name!r}: expected one of {known}, or timm/NAME for any timm network; found neither"
            )
        backbone = load_demo(name, weights)
    backbone.weights = None if weights is None else str(weights)
    return backbone
