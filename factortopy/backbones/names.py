"""Names that no network has: what was probably meant, as ``load_backbone`` takes it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from factortopy.errors import InputError
from factortopy.wording import safe_label

if TYPE_CHECKING:
    from collections.abc import Iterable

# What people put before a network's own name: our libraries, the hub's way of writing.
BEFORE = re.compile(r"^(timm/|open_clip/|torchvision/|hf[-_]hub:|hf://|https?://huggingface\.co/)", re.IGNORECASE)
TORCHVISION = re.compile("torchvision/", re.IGNORECASE)
FORMS = "a name of the table (docs/networks.md), timm/NAME or open_clip/MODEL:TAG"
LONGEST = 100  # letters of a name that are looked at


def unknown(name: str, table: Iterable[str] = ()) -> InputError:
    """The error for a name that no network has, with the nearest of timm's, OpenCLIP's and the registry's (``table``)."""
    near = [] if TORCHVISION.match(str(name)) else nearest(name, table)
    return InputError(
        f"network {safe_whole(name)!r}: expected {FORMS}, found none of that name; "
        + (f"did you mean {', '.join(near)}?" if near else _otherwise(str(name)))
    )


def nearest(name: str, table: Iterable[str] = (), most: int = 3) -> list[str]:
    """Up to three names as ``load_backbone`` takes them; one alone where it is the same but for its writing."""
    own = bare(str(name)[:LONGEST])
    if not own:
        return []
    from_hub = _of_hub(own)
    if from_hub:
        return [from_hub]
    catalogue = _catalogue(table, str(name).lower().startswith("open_clip/"))
    for mark in ("", ":", ".", "/"):  # MODEL:TAG of OpenCLIP, NAME.TAG of timm, both as some write them
        stem, _, tag = own.partition(mark) if mark else (own, "", "")
        same = catalogue.get(_plain(stem))
        if same:
            return [same + _tag(same, tag)]
    owner, _, last = own.rpartition("/")
    if catalogue.get(_plain(last)):
        return [catalogue[_plain(last)]]
    # Another owner's network of the hub may be called anything: only those of the table are near it.
    choice = {_plain(one): one for one in table} if owner else catalogue
    return [choice[one] for one in get_close_matches(_plain(last.split(":")[0]), choice, most, 0.7)]


def safe_whole(name: str) -> str:
    """A name as typed, its folders kept, at most sixty letters."""
    return "/".join(safe_label(part) if part.strip(".") else part for part in str(name)[:60].split("/"))


def bare(name: str) -> str:
    """The name without what people put before it."""
    while (shorter := BEFORE.sub("", name.strip())) != name:
        name = shorter
    return name.removeprefix("timm/")


def _plain(name):
    """Small letters and digits alone: ViT-B/32, vit_b_32 and vit-b-32 are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _catalogue(table, open_clip_first):
    """{plain: name as ``load_backbone`` takes it}; of two libraries' equal names timm's unless OpenCLIP's are wanted."""
    import open_clip
    import timm
    from timm.models import get_deprecated_models

    old = {_plain(one): f"timm/{new}" for one, new in get_deprecated_models().items() if new}
    of_timm = old | {_plain(one): f"timm/{one}" for one in timm.list_models()}
    of_open_clip = {_plain(one): f"open_clip/{one}" for one in open_clip.list_models()}
    libraries = of_timm | of_open_clip if open_clip_first else of_open_clip | of_timm
    return libraries | {_plain(one): one for one in table}


def _tag(name, tag):
    """The tag of a network ("timm/NAME", "open_clip/MODEL") as it is published, with its mark; "" where there is none like it."""
    import open_clip
    import timm

    library, _, own = name.partition("/")
    if library == "open_clip":
        mark, tags = ":", open_clip.list_pretrained_tags_by_model(own)
    else:
        mark, tags = ".", [one.split(".", 1)[1] for one in timm.list_pretrained(f"{own}.*") if "." in one]
    published = {_plain(one): one for one in tags}
    return mark + published[_plain(tag)] if tag and _plain(tag) in published else ""


def _of_hub(repository):
    """The name of a network whose weights lie in a repository of the hub that OpenCLIP knows; None where it is none."""
    import open_clip

    for model, tag in open_clip.list_pretrained() if "/" in repository else ():
        place = (open_clip.get_pretrained_cfg(model, tag).get("hf_hub") or "").rstrip("/")
        if place and place.lower() == repository.lower():
            return f"open_clip/{model}:{tag}"
    return None


def _otherwise(name):
    if TORCHVISION.match(name):
        return "build it with torchvision.models.get_model and use factortopy.from_module(module, layers)"
    if "/" in bare(name) or "local-dir:" in name:
        return ("networks of other places: timm/NAME of the same architecture with the downloaded file as weights, or "
                "factortopy.from_module(module, layers)")  # fmt: skip
    return (
        "docs/networks.md says where names are listed (timm.list_models() for timm's); demo-vit comes with FactorTopy"
    )
