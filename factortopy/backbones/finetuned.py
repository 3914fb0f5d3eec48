"""Fine-tuned networks by name, and what a weights file says of how it was made."""

import json
from pathlib import Path

from factortopy.errors import InputError
from factortopy.storage.files import read_json
from factortopy.storage.home import jobs_dir

PREFIX = "finetuned/"
WEIGHTS, TOLD = "finetuned.safetensors", "finetuned.json"
KEY = "factortopy.finetuned"  # in the weights' own metadata, so that a file that was moved still says what it is


def list_finetuned():
    """{name: what finetuned.json says} of the networks that the app fine-tuned, newest first; "finetuned/NAME" loads one."""
    found = []
    jobs = jobs_dir()
    for path in jobs.glob(f"*/{TOLD}") if jobs.is_dir() else ():
        try:
            if (path.parent / WEIGHTS).is_file():
                found.append((path.stat().st_mtime, path.parent.name, read_json(path, "fine-tuned network")))
        except (InputError, OSError):
            continue
    return {name: told for _, name, told in sorted(found, key=lambda one: -one[0])}


def find_finetuned(name):
    """Where it is told what "finetuned/NAME" is; InputError when there is no such network."""
    own = name.removeprefix(PREFIX)
    path = jobs_dir() / own / TOLD
    if Path(own).name != own or not path.is_file():
        known = ", ".join(PREFIX + one for one in list(list_finetuned())[:5]) or "none yet"
        raise InputError(
            f"network {name}: expected a fine-tuned network of this machine ({known}), found none of that name; fine-tune one"
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
            told = (file.metadata() or {}).get(KEY)
        found = json.loads(told) if told else None
    except (SafetensorError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def told_of(name, weights=None):
    """What is known of a network's fine-tuning by the name and weights that it was loaded with; None where it had none."""
    if str(name).startswith(PREFIX):
        return described(jobs_dir() / Path(str(name).removeprefix(PREFIX)).name / WEIGHTS)
    return described(weights) if weights else None


def describe(backbone, path):
    """Attach to a backbone that was loaded from a fine-tuned file what the file says; leaves others as they are."""
    told = described(path)
    if told is None:
        return
    backbone.finetuned, backbone.trained = told, True
    backbone.drawings_only = bool(backbone.drawings_only and told.get("simulated"))


def label(info):
    """What a network is called where several stand side by side: its base and what it was fine-tuned on.

    info : dict of a run or an encoder (backbone, finetuned)
    """
    told, name = info.get("finetuned"), str(info.get("backbone") or "features")
    if not told:
        return name
    where = f", head on layer {told['layer']}" if told.get("layer") != told.get("layers") else ""
    return f"{told.get('base', name)} fine-tuned on {told.get('data', 'pictures')}{where}"
