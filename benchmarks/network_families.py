"""What the adapters make of every network that timm and OpenCLIP know: docs/reference/network_families.md.

    python -m benchmarks.network_families              writes the page (half an hour on two cores)
    python -m benchmarks.network_families xcit cait    prints the rows of these families

Every name is built on torch's meta device, for its shapes. Each family's smallest member is run with random weights: one bright
square in each quarter of a grey picture must change the first layer most in that quarter of the grid.
"""

import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.loading import load_backbone
from factortopy.errors import InputError

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "network_families.md"
QUARTERS = ("upper left", "upper right", "lower left", "lower right")
HEAD = (
    "| family | library: part | names read | smallest member | input | layers: first to last | global token | refused |\n"
    + "|---" * 8
    + "|"
)
START = """# Families of networks

Every name that timm {timm} and OpenCLIP {open_clip} list, by family (the first letters of the names and the part of the library that
builds them), and what `load_backbone` makes of it: {read:,} of {names:,} names are read, {whole} of {families} families whole. Written by
`python -m benchmarks.network_families`; `tests/backbones/test_network_families.py` makes it again in the slow run.

- Every name was built without memory for its weights (torch's meta device), for the shapes of its layers. Layers are given as grid ×
  channels, first and last, of the smallest member at its own input size.
- Each smallest member was run with random weights: one bright square in each quarter of a grey picture changes the first layer most in
  that quarter of the grid. No published weights were there ([What was tested](../networks.md#what-was-tested)).
- The global token is the class token where the library hands it out beside the layers. Where it comes after the last block (CaiT, XCiT,
  VOLO) or is kept back (PiT, CoaT, ConViT, MViTv2's `_cls`, CrossViT), it is the mean of the local tokens, as in networks without one.

"""


@dataclass(frozen=True)
class Member:
    """One name of a library: what its shapes are, or why it is refused."""

    name: str
    parameters: int = 0
    input_size: int = 0
    shapes: tuple = ()
    layer: str = ""  # "block" or "stage"
    token: str = ""  # what the global token is
    refused: str = ""


def families():
    """{(library, its part, first letters): names as ``load_backbone`` takes them}, sorted."""
    import open_clip
    import timm
    from timm.models import _registry

    names, members = set(timm.list_models()), {}
    for module, own in _registry._module_to_models.items():
        for name in sorted(own & names):
            members.setdefault(("timm", module, re.match("[a-z]+", name)[0]), []).append(f"timm/{name}")
    for name in open_clip.list_models():
        vision = open_clip.get_model_config(name)["vision_cfg"]
        part = "timm's" if "timm_model_name" in vision else "its own"
        members.setdefault(("open_clip", part, re.match("[A-Za-z]+", name)[0]), []).append(f"open_clip/{name}")
    return dict(sorted(members.items()))


def look_at(name):
    """The ``Member`` of a name, built without memory for its weights."""
    import torch

    try:
        with torch.device("meta"):
            backbone = load_backbone(name, "untrained")
    except InputError as error:
        return Member(name, refused=str(error))
    parameters = sum(weight.numel() for weight in backbone.model.parameters())
    token = "class token" if backbone._class_token else "mean"
    kind = backbone.layer_names[0].split()[0]
    return Member(name, parameters, backbone.input_size, tuple(backbone.token_shapes()), kind, token)


def square_moves(backbone):
    """[(quarter that is bright, quarter where the first layer changes most)] of a network."""
    side, changes = backbone.input_size, []
    grey = np.full((1, side, side, 3), 110, np.uint8)
    before = backbone.tokens(grey)[0][0][0]
    for k, quarter in enumerate(QUARTERS):
        bright = grey.copy()
        row, column = (side // 8 + place * side // 2 for place in divmod(k, 2))
        bright[:, row : row + side // 4, column : column + side // 4] = 255
        change = (backbone.tokens(bright)[0][0][0] - before).norm(dim=-1)
        h, w = change.shape
        row, column = divmod(int(change.argmax()), w)
        changes.append((quarter, QUARTERS[2 * (2 * row >= h) + (2 * column >= w)]))
    return changes


def row(key, names):
    """One line of the table.

    Raises
    ------
    AssertionError
        The smallest member's places or shapes are not those of the picture.
    """
    library, part, letters = key
    members = [look_at(name) for name in names]
    read = [member for member in members if not member.refused]
    refused = "; ".join(sorted({reason(member) for member in members if member.refused}))
    start = f"| {letters} | {library}: {part} | {len(read)} of {len(members)} |"
    if not read:
        return f"{start} – | – | – | – | {refused} |"
    least = min(read, key=lambda member: (member.parameters, member.input_size, member.name))
    backbone = load_backbone(least.name + UNTRAINED)
    local, _ = backbone.tokens(np.zeros((1, 8, 8, 3), np.uint8))
    assert [tuple(tokens.shape[1:]) for tokens in local] == list(least.shapes), least
    sites, weights = backbone.sites(), backbone.channel_weights()
    assert sites is None or len(sites) == len(local), least
    assert weights is None or [len(w) for w in weights] == [shape[2] for shape in least.shapes], least
    moves = square_moves(backbone)
    assert all(bright == changed for bright, changed in moves), (least.name, moves)
    first, last = (" × ".join(str(n) for n in least.shapes[place]) for place in (0, -1))
    layers = f"{len(least.shapes)} {least.layer}s: {first} to {last}"
    own = least.name.partition("/")[2]
    return f"{start} `{own}` | {least.input_size} | {layers} | {least.token} | {refused} |"


def reason(member):
    """Why a name is refused, without the name and the remedy."""
    return member.refused.split("; ")[0].split(": ", 1)[-1].replace(member.name, "it")


def page(rows):
    """The text of the page around its rows."""
    import open_clip
    import timm

    counts = [tuple(int(n) for n in line.split(" | ")[2].split(" of ")) for line in rows]
    start = START.format(
        timm=timm.__version__, open_clip=open_clip.__version__, read=sum(read for read, _ in counts),
        names=sum(names for _, names in counts), whole=Counter(read == names for read, names in counts)[True],
        families=len(counts),
    )  # fmt: skip
    return start + "\n".join([HEAD, *rows]) + "\n"


def main(wanted):
    """Write the page, or print the rows of the families whose letters are wanted."""
    warnings.filterwarnings("ignore")
    rows = []
    for key, names in families().items():
        if not wanted or key[2] in wanted:
            rows.append(row(key, names))
            print(rows[-1], flush=True)
    if not wanted:
        PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
