"""Which areas belong together: sets of them that can be outlined on one brain without hiding it."""

from factortopy.subjects.algonauts.rois import NAMES, UNIONS

EARLY = ("V1", "V2", "V3", "hV4")
FEW = 12  # areas of names that nobody knows that may stand beside the known ones
_PARTS = {part for parts in UNIONS.values() for part in parts}
_CATEGORY = {"FFA", "FBA", "VWFA"}.union(*(names for kind, names in NAMES.items() if kind.startswith("floc-")))
_STREAMS = set(NAMES["streams"])


def area_sets(rois):
    """Sets of a subject's areas to outline, the one to begin with first.

    Parameters
    ----------
    rois : {name: (N,) bool}

    Returns
    -------
    {label: list of names}
        Main areas (early and category-selective ones as wholes), these two apart, parts such as V1v and FFA-1, NSD's
        eccentricity bands, streams, every atlas ("Kastner2015 V1v") and all other names; "none" comes last. Areas without
        a vertex are in no set.
    """
    sets = {"main areas": [], "early visual areas": [], "category areas": [], "their parts": [], "eccentricity bands": [],
            "streams": []}  # fmt: skip
    others = {}
    for name in (name for name, mask in rois.items() if mask.any()):
        if name in EARLY:
            sets["early visual areas"].append(name)
        elif name in _PARTS and any(name in parts and whole in rois for whole, parts in UNIONS.items()):
            sets["their parts"].append(name)
        elif name in _CATEGORY or name in _PARTS:
            sets["category areas"].append(name)
        elif name in _STREAMS:
            sets["streams"].append(name)
        elif name.startswith("ecc"):
            sets["eccentricity bands"].append(name)
        else:
            others.setdefault(name.split(" ")[0] if " " in name else "other areas", []).append(name)
    main = sets["early visual areas"] + sets["category areas"]
    plain = others.pop("other areas", [])
    if len(plain) > FEW:
        others = {"other areas": plain} | others
        plain = []
    sets["main areas"] = [name for name in rois if name in main or name in plain]
    return {label: names for label, names in (sets | others).items() if names} | {"none": []}
