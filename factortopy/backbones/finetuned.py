"""Fine-tuned networks by name, and what a weights file says of how it was made."""

import json
from pathlib import Path

from factortopy.errors import InputError
from factortopy.storage.files import read_json
from factortopy.storage.home import jobs_dir
from factortopy.storage.names import is_inside

PREFIX = "finetuned/"
WEIGHTS, DESCRIPTION = "finetuned.safetensors", "finetuned.json"
KEY = "factortopy.finetuned"  # in the weights' own metadata, so that a file that was moved still says what it is


def list_finetuned():
    """{name: what finetuned.json says} of the networks that the app fine-tuned, newest first; "finetuned/NAME" loads one."""
    networks = []
    jobs = jobs_dir()
    for path in jobs.glob(f"*/{DESCRIPTION}") if jobs.is_dir() else ():
        try:
            if (path.parent / WEIGHTS).is_file():
                networks.append((path.stat().st_mtime, path.parent.name, read_json(path, "fine-tuned network")))
        except (InputError, OSError):
            continue
    return {name: description for _, name, description in sorted(networks, key=lambda one: -one[0])}


def find_finetuned(name):
    """Path of the finetuned.json of "finetuned/NAME"; InputError when there is no such network."""
    own = name.removeprefix(PREFIX)
    path = jobs_dir() / own / DESCRIPTION
    if not is_inside(own) or Path(own).name != own or not path.is_file():
        names = ", ".join(PREFIX + one for one in list(list_finetuned())[:5]) or "none yet"
        raise InputError(
            f"network {name}: expected a fine-tuned network of this machine ({names}), found none of that name; fine-tune one"
        )
    return path


def described(path):
    """What a fine-tuned weights file says of itself (dict), None for any other file."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file() or path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
        description = json.loads(text) if text else None
    except (SafetensorError, OSError, ValueError):
        return None
    return description if isinstance(description, dict) else None


def description_of(name, weights=None):
    """What describes a network's fine-tuning, by the name and weights that it was loaded with; None where it had none."""
    if str(name).startswith(PREFIX):
        return described(jobs_dir() / Path(str(name).removeprefix(PREFIX)).name / WEIGHTS)
    return described(weights) if weights else None


def describe(backbone, path):
    """Attach to a backbone that was loaded from a fine-tuned file what the file says; leaves others as they are."""
    description = described(path)
    if description is None:
        return
    backbone.finetuned, backbone.trained = description, True
    backbone.drawings_only = bool(backbone.drawings_only and description.get("simulated"))


def label(info):
    """What a network is called where several stand side by side: its base and what it was fine-tuned on.

    info : dict of a run or an encoder (backbone, finetuned)
    """
    tuning, name = info.get("finetuned"), str(info.get("backbone") or "features")
    if not tuning:
        return name
    where = f", head on layer {tuning['layer']}" if tuning.get("layer") != tuning.get("layers") else ""
    return f"{tuning.get('base', name)} fine-tuned on {tuning.get('data', 'pictures')}{where}"
