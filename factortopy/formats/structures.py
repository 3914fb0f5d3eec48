"""Which hemisphere a file is about, as its metadata and its name say."""

import re

_SIDES = {
    **dict.fromkeys(("cortexleft", "leftcortex", "hemisphereleft", "lefthemisphere", "left", "lh", "l"), 0),
    **dict.fromkeys(("cortexright", "rightcortex", "hemisphereright", "righthemisphere", "right", "rh", "r"), 1),
}
_OTHERS = (
    "accumbens", "amygdala", "brainstem", "caudate", "cerebell", "diencephalon", "hippocampus", "pallidum", "putamen",
    "thalamus", "whitematter",
)  # fmt: skip
_SIDE_IN_NAME = [  # the surest first: task-L_hemi-R is the right one, as is rh.left_minus_right
    re.compile(rf"(?:^|[._\-/\\]){words}(?=[._\-]|$)", re.IGNORECASE)
    for words in ("hemi-(lh|rh|l|r|left|right)", "(lh|rh)", "(l|r|left|right)")
]
_SPACE = re.compile(r"(?:^|[._])(?:(?:space|tpl)-(?!fsaverage)([a-z0-9]+)|\d+k_(fs_?LR))(?=[._\-]|$)", re.IGNORECASE)


def stated_side(structure):
    """0 left, 1 right of a structure's name, None where it is neither cortex's.

    Read in any of Connectome Workbench's spellings: CortexLeft, CORTEX_LEFT, CIFTI_STRUCTURE_CORTEX_LEFT.
    """
    return _SIDES.get(_plain(structure))


def is_other_structure(structure):
    """Whether a structure's name is that of a part of the brain without cortex: HippocampusLeft, CEREBELLUM."""
    return _plain(structure).startswith(_OTHERS)


def _plain(structure):
    return re.sub("[^a-z]", "", structure.lower()).removeprefix("ciftistructure")


def side_in_name(name):
    """0 left, 1 right, None where a file's name does not say: lh.x.mgh, sub-01_hemi-R_x.func.gii, x.L.func.gii."""
    match = _side_match(name)
    return None if match is None else int(match[1][0].lower() == "r")


def without_side(name):
    """A file's name without the words that say its hemisphere."""
    match = _side_match(name)
    text = str(name) if match is None else str(name)[: match.start()] + str(name)[match.end() :]
    return text.strip("._- ")


def _side_match(name):
    return next(filter(None, (pattern.search(str(name)) for pattern in _SIDE_IN_NAME)), None)


def other_space(name):
    """The space that a file's name says as BIDS or Workbench have it and that is not fsaverage's: "fsLR"; "" where it says none."""
    words = _SPACE.search(str(name))
    return (words[1] or words[2]) if words else ""
