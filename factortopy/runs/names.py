"""What runs are called where several stand side by side: by what differs between them, no longer than that takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from factortopy.backbones.finetuned import label
from factortopy.encoder.names import FACTORS
from factortopy.runs.settings import DEFAULTS, SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_NETWORK = ("subject", "subject_id", "density", "seed")  # settings that do not make another network of a run
LONGEST = 44  # characters of a short name


def network_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that makes two runs ones of different networks or ways of fitting.

    info : what run.json says
    """
    settings = {**DEFAULTS, **{k: info[k] for k in DEFAULTS if k in info}, **(info.get("settings") or {})}
    settings["select"] = sorted(map(str, settings["select"] or ()))
    return {"backbone": label(info)} | {
        key: value for key, value in settings.items() if key not in (*NO_NETWORK, "backbone")
    }


def in_word(key: str, value: Any) -> str:
    """A setting in a word or two; nothing for what is usual."""
    if key == "topology":
        return "" if value else "no topology"
    if key == "model":
        return "" if value == "factorized" else str(value)
    if key == "select":
        return "" if len(value) == len(FACTORS) else "factors " + "+".join(value) if value else "no factors"
    if key == "layers":
        return "" if value is None else "layers " + "+".join(str(k + 1 if isinstance(k, int) else k) for k in value)
    if key == "channel":
        return "" if value else "selectors alone"
    if key == "warm":
        return (
            "" if value is None else "start from " + "+".join(str(v).replace("\\", "/").split("/")[-1] for v in value)
        )
    if key == "weights" and value:
        value = "/".join(str(value).replace("\\", "/").split("/")[-2:])  # a whole path says too much
    words = SETTING[key].in_words if key in SETTING else None  # a newer version may have others
    if value is None:
        return ""
    return words.format(value) if words else f"{key} {value}"


def families(infos: Mapping[str, Mapping[str, Any]], but: str) -> list[list[str]]:
    """Names of runs that differ in nothing but their ``"seed"`` or their ``"subject"``, two or more together.

    Of one subject there is one run a seed, and of one seed one run a subject: the first of several counts.
    """
    groups: dict[str, dict[str, str]] = {}
    for name, info in infos.items():
        if but == "seed" and (info.get("settings") or {}).get("warm"):
            continue  # a fit that starts from another stays near it: such seeds would differ too little
        own = {"seed": str(info.get("seed") or 0), "subject": str(info.get("subject"))}
        same = network_of(info) | {key: value for key, value in own.items() if key != but}
        groups.setdefault(repr(sorted(same.items(), key=lambda one: one[0])), {}).setdefault(own[but], name)
    return [list(members.values()) for members in groups.values() if len(members) > 1]


def short_names(infos: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """{run's name: short name}, each unique: network, then subject, settings and seed where they differ.

    Of subject, settings and seed, what all share is left out; a name that the user gave is kept where nothing else differs.
    """
    what = {name: network_of(info) for name, info in infos.items()}
    subjects = {str(info.get("subject")) for info in infos.values()}
    short = {}
    for name, own in what.items():
        alike = [other for other in what if what[other]["backbone"] == own["backbone"]]
        differs = [k for k in own if len({repr(what[other].get(k)) for other in alike}) > 1]
        words = [str(infos[name].get("subject"))] if len(subjects) > 1 else []
        words += [word for key in differs if (word := in_word(key, own[key]))]
        twins = [
            other for other in alike if what[other] == own and infos[other].get("subject") == infos[name].get("subject")
        ]
        seed = infos[name].get("seed") or 0
        among = twins if seed == 0 else alike  # 0 is usual: it is named where nothing else tells two apart
        if len({infos[other].get("seed") or 0 for other in among}) > 1:
            words.append(f"seed {seed}")
        short[name] = " · ".join([_middle(own["backbone"]), *words])
    taken = list(short.values())
    return {name: word if taken.count(word) == 1 else f"{word} · {_middle(name)}" for name, word in short.items()}


def full_name(name: str, info: Mapping[str, Any]) -> str:
    """Everything that a run is called by: its own name, network, subject, recipe, seed, and what is unusual about it."""
    own = network_of(info)
    parts = [
        own["backbone"],
        f"subject {info.get('subject')}",
        in_word("recipe", own["recipe"]),
        f"seed {info.get('seed') or 0}",
    ]
    return f"{name}: {', '.join([*parts, *unusual(info)])}"


def unusual(info: Mapping[str, Any], but: tuple[str, ...] = ()) -> list[str]:
    """What was asked beside the defaults and the recipe, a word or two each: fewer pictures, a baseline, an ablation.

    info : what run.json says; but : settings that are named elsewhere
    """
    own = network_of(info)
    usual = network_of({"backbone": info.get("backbone"), "recipe": own["recipe"]})
    words = (
        in_word(key, value) for key, value in own.items() if value != usual.get(key) and key not in ("backbone", *but)
    )
    return [word for word in words if word]


def _middle(text, most=LONGEST):
    """A long text without its middle, which says least: timm/vit_base_pat…openai."""
    text = re.sub(r"^.*/", "", text) if len(text) > most else text
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"
