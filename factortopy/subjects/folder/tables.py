"""What the small texts of the folder layout may say: dataset.json, read and checked here, and the columns of trials.tsv."""

import json
import math

from factortopy.formats.problems import DataError, stop, warn
from factortopy.formats.text import read_text
from factortopy.subjects.drifts import CUTOFF
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few, safe_label

KEYS = (
    "subject", "space", "density", "normalised", "averaged", "image_degrees", "simulated", "tr", "delays", "fps",
    "frames_per_tr", "high_pass",
)  # fmt: skip
LEAST_CUTOFF = 60.0  # seconds; below it the filter would take what a film does
COLUMNS = ("image", "session", "split", "stimulus", "run", "onset", "repeats")
_MOST_JSON = 2**20


def read_about(path, problems):
    """What dataset.json says, checked; every problem is added to the list.

    Returns
    -------
    dict
        With all of ``KEYS`` that could be read; ``delays`` a tuple of whole TRs, rising, or None; ``high_pass`` seconds, or 0.
    """
    twice = []

    def once(pairs):
        names = [name for name, _ in pairs]
        twice.extend(safe_label(name) for name in dict.fromkeys(names) if names.count(name) > 1)
        return dict(pairs)

    try:
        text, guess = read_text(path, "a JSON file", _MOST_JSON)
        content = json.loads(text, object_pairs_hook=once)
    except DataError as error:
        problems.append(error.problem)
        return {}
    except (ValueError, RecursionError) as error:
        remedy = "correct it: names and words stand in double quotes, as in docs/folder.md"
        problems.append(stop(path, "JSON", f"damaged text ({error})"[:120], remedy).problem)
        return {}
    if not isinstance(content, dict):
        problems.append(stop(path, "a JSON object { … }", f"a {type(content).__name__}", "see docs/folder.md").problem)
        return {}
    if guess:
        remedy = "do letters with accents look wrong? save it as UTF-8"
        problems.append(warn(path, "JSON in UTF-8", f"other bytes, read as {guess}", remedy))
    if twice:
        problems.append(stop(path, "every key once", f"{first_few(twice)} twice", "remove one of the two").problem)

    def wrong(key, expected, remedy="correct it"):
        actual = "nothing" if key not in content else safe_label(repr(content[key]))
        problems.append(stop(path, f"{key!r}: {expected}", actual, remedy).problem)

    def number(key):
        value = content.get(key)
        fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        if key in content and value is not None and not fine:
            wrong(key, "a number above 0")
        return float(value) if fine else None

    about = {}
    unknown = [safe_label(key) for key in content if key not in KEYS]
    if unknown:
        expected = f"no other keys than {', '.join(KEYS)}"
        problems.append(stop(path, expected, first_few(unknown), "a slip of the pen? correct or remove them").problem)
    if content.get("space") != "fsaverage":
        remedy = "resample other surfaces to fsaverage (mri_surf2surf, wb_command -metric-resample), project volumes"
        wrong("space", "'fsaverage'", remedy)
    densities, forms = "'10k', '41k' or '164k' (fsaverage5, 6, 7)", "'session' (z-scored per session already) or 'none'"
    for key, choices, words in (("density", list(N_VERTICES), densities), ("normalised", ["session", "none"], forms)):
        if content.get(key) in choices:
            about[key] = content[key]
        else:
            wrong(key, words)
    for key in ("averaged", "simulated"):
        about[key] = content.get(key, False)
        if not isinstance(about[key], bool):
            wrong(key, "true or false")
            about[key] = False
    if content.get("subject") is not None and not isinstance(content["subject"], str | int):
        wrong("subject", "a name")
    elif content.get("subject") is not None:
        about["subject"] = safe_label(content["subject"])
    for key in ("image_degrees", "tr", "fps"):
        about[key] = number(key)
    about["delays"] = _delays(content.get("delays"))
    if about["delays"] is None and content.get("delays") is not None:
        wrong("delays", "whole numbers of TRs from 0 to 20, rising")
    cutoff = content.get("high_pass")
    plain = isinstance(cutoff, int | float) and not isinstance(cutoff, bool) and math.isfinite(cutoff)
    if cutoff is not None and not (plain and (cutoff == 0 or cutoff >= LEAST_CUTOFF)):
        wrong(
            "high_pass", f"a period in seconds, {LEAST_CUTOFF:g} or more, or 0 for responses that are filtered already"
        )
    about["high_pass"] = float(cutoff) if plain and cutoff >= 0 else CUTOFF
    frames = content.get("frames_per_tr")
    if frames is not None and (isinstance(frames, bool) or not isinstance(frames, int) or not 1 <= frames <= 30):
        wrong("frames_per_tr", "a whole number from 1 to 30")
        frames = None
    about["frames_per_tr"] = frames
    return about


def _delays(value):
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 21:
        return None
    whole = all(isinstance(d, int) and not isinstance(d, bool) and 0 <= d <= 20 for d in value)
    return tuple(value) if whole and list(value) == sorted(set(value)) else None
