"""The picture files of an Algonauts 2023 subject: their order by name."""

import os
import re
from pathlib import Path

from factortopy.formats.problems import stop
from factortopy.wording import first_few, safe_label

_NAME = re.compile(r"(train|test)-(\d{1,6})_nsd-(\d{1,6})\.(png|jpg|jpeg)", re.IGNORECASE)


def list_images(folder, kind):
    """(paths in row order, their NSD numbers) of the pictures in ``folder``; ``kind`` is "train" or "test".

    The first number in a name is the 1-based row of the responses, the second the 0-based NSD number.
    """
    if not folder.is_dir():
        raise stop(folder, f"pictures named {kind}-0001_nsd-00013.png", "no such folder", "copy or download it")
    rows, doubles, others = {}, [], []
    for entry in os.scandir(folder):
        match = _NAME.fullmatch(entry.name)
        if not match or match.group(1).lower() != kind:
            others += [entry.name] if len(others) < 5000 else []
            continue
        row = int(match.group(2))
        if row in rows:
            doubles.append(row)
        rows[row] = (Path(entry.path), int(match.group(3)))
    if not rows:
        raise stop(folder, f"pictures named {kind}-0001_nsd-00013.png", "none", "copy or download them")
    if doubles:
        raise stop(folder, "one picture a row", f"two for row {first_few(doubles)}", "remove the wrong ones")
    missing = sorted(set(range(1, max(rows) + 1)) - set(rows)) if max(rows) < 10**6 else []
    if missing:
        numbers = {name: map(int, re.findall(r"\d{1,6}", name)[:4]) for name in sorted(others)}
        renamed = [name for name, own in numbers.items() if any(k in missing[:1000] for k in own)]
        beside = f" (but {first_few(map(safe_label, renamed), 3)}: renamed?)" if renamed else ""
        text = f"no picture {first_few(missing)}{beside}"
        remedy = f"copy them, or name them like {kind}-0001_nsd-00013.png"
        raise stop(folder, f"pictures 1 to {max(rows):,}", text, remedy)
    ordered = [rows[row] for row in sorted(rows)]
    return [path for path, _ in ordered], [number for _, number in ordered]
