"""Taking away the maps of the page Compare: made in the background, in one zip."""

import hashlib

from pages.parts import saving, take_away

HELP = "Each map as a flat picture (PNG), as a drawing (SVG), its numbers as CSV and as GIFTI for other programs; all in one zip."


def control(shown, key="maps"):
    """ "Save these maps" for ``shown``, (name, BrainMap, Encoder, {column: (N,)}) of each."""
    if not shown:
        return
    contents = "".join(f"{name}{one.title}{one.stamp}{sorted(one.legend.items())}" for name, one, _, _ in shown)
    task_key = f"compared {hashlib.blake2b(contents.encode(), digest_size=12).hexdigest()}"
    file = f"{saving.file_name('compared maps', any(e.simulated for _, _, e, _ in shown))}.zip"
    take_away.offer_zip(key, task_key, "Save these maps", lambda task: packed(shown, task), file, HELP)


def packed(shown, task):
    """Bytes of the zip; ``task`` is told of each file."""
    from factortopy.export.compared import Shown, export_compared

    def write(folder, say):
        for path in export_compared(folder, [Shown(*one) for one in shown]):
            say(path)

    return take_away.drawn(write, 2 * len(shown), task)
