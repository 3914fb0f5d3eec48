"""A row of pictures as files: a PNG that says what each one is, and a CSV of the numbers behind them."""

import csv
from pathlib import Path

from factortopy.report import figures
from factortopy.view.legend_picture import print_figure


def write_row(folder, name, pictures, titles, rows, simulated):
    """Write ``name``.png and ``name``.csv.

    Parameters
    ----------
    folder : path
    pictures : list of (h, w) or (h, w, 3) arrays, 0 … 1 or uint8
    titles : list of str, one a picture
    rows : list of dict, the numbers; keys may differ from row to row
    simulated : bool, said in the picture and in the first column of the numbers
    """
    drawn = figures.pictures([list(pictures)], [""], titles, simulated)
    (Path(folder) / f"{name}.png").write_bytes(print_figure(drawn, "png", name.replace("-", " "), simulated))
    columns = list(dict.fromkeys(["simulated", *(key for row in rows for key in row)]))
    with (Path(folder) / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({"simulated": bool(simulated)} | row for row in rows)


def places(image):
    """(row and column from 1, value) of every place of a channel image (h, w) or (h, w, 3)."""
    for i, line in enumerate(image):
        for j, value in enumerate(line):
            yield {"row": i + 1, "column": j + 1}, value
