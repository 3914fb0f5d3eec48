"""The contact sheet of the rendered pictures: ``python -m benchmarks.make_picture_sheet docs/images/pictures.png``."""

import argparse

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from factortopy.stimuli.localizer import localizer
from factortopy.stimuli.scenes import CATEGORIES, SCENE_KINDS, render_scene

FIRST_SEED = 30_000_000  # seen by no network, subject or localizer
COLUMNS, SIDE, GAP, LABEL = 10, 96, 2, 84


def contact_sheet():
    """Rows of scene kinds, categories, unrestricted scenes and the localizer, as a PIL image in 256 colours."""
    rows = [(kind, _row(kind)) for kind in SCENE_KINDS + CATEGORIES]
    rows += [("any", [render_scene(FIRST_SEED + 10_000 * row + i, None)[0] for i in range(COLUMNS)]) for row in (1, 2)]
    sets = localizer(n=2)
    rows.append(("localizer", [image for images in sets.values() for image in images]))
    width, height = LABEL + COLUMNS * (SIDE + GAP), len(rows) * (SIDE + GAP)
    sheet = Image.new("RGB", (width, height), (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for row, (name, images) in enumerate(rows):
        top = row * (SIDE + GAP)
        label = {"none": "1/f noise"}.get(name, name)
        draw.text((LABEL - 8, top + SIDE // 2), label, fill=(40, 40, 40), font=font, anchor="rm")
        for column, image in enumerate(images):
            small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (LABEL + column * (SIDE + GAP), top))
    return sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)


def _row(category):
    # seeds differ by row, or every category would be shown before the same backgrounds
    first = FIRST_SEED + 100 * (CATEGORIES + SCENE_KINDS).index(category)
    return np.stack([render_scene(first + i, category)[0] for i in range(COLUMNS)])


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.make_picture_sheet", description=__doc__)
    parser.add_argument("out", help="PNG file to write")
    contact_sheet().save(parser.parse_args(arguments).out, optimize=True)


if __name__ == "__main__":
    main()
